"""Counts of database items by distance and relevance: all that the ranking metrics need.

A matrix of all distances would not fit in memory; these counts take (K + 1) numbers per query. Items with equal
codes that are relevant to the same queries are compared once and counted as often as there are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashlens.codes.equal_codes import group_equal
from hashlens.codes.tiles import compare, from_tiles, spread_queries, to_tiles
from hashlens.compute.kernels import compiled, popcount
from hashlens.compute.threads import available_threads, even_slices, run_in_threads
from hashlens.errors import BadInput
from hashlens.metrics.metric import Groups, SharedGroups
from hashlens.metrics.relevance import Relevance, SameClass, SharedLabel

TASKS_PER_THREAD = 4
QUERIES_TOGETHER = 8  # that share codes while these are in the second-level cache
CODES_TOGETHER = 1 << 16
TILES_TOGETHER = 32
PAIRED_TILES = 1 << 10  # of 32 pairs each, so that counters of 16 bits, which fit in the first-level cache, suffice


class Comparison:
    """Queries and a database laid out for counting distances against relevance.

    Args:
        leave_one_out: every query is an item of the database too, and is left out of what it sees.

    Attributes:
        queries, size, bits: number of queries, number of items that each sees, code length.
    """

    def __init__(
        self,
        query_codes: NDArray[np.uint8],
        database_codes: NDArray[np.uint8],
        bits: int,
        relevance: Relevance,
        leave_one_out: bool = False,
    ) -> None:
        self.queries, self.size, self.bits = len(query_codes), len(database_codes) - leave_one_out, bits
        self._leave_one_out = leave_one_out
        self._relevance = relevance
        self._query_codes = query_codes
        if isinstance(relevance, SameClass):
            self._codes = SortedCodes.of(database_codes[relevance.order], relevance.classes, bits)
            self._single_first = self._codes.single_first()
            self._starts = self._codes.places(relevance.starts)
            self._stops = self._codes.places(relevance.stops)
        else:
            self._codes = SortedCodes.of(database_codes, relevance.database_masks, bits)
            self._masks = relevance.database_masks[self._codes.firsts]
            self._own = np.bitwise_count(relevance.query_masks).sum(1, dtype=np.int64)

    @property
    def numbers_held(self) -> int:
        """How many numbers are held for each query that is counted at a time."""
        return (self.bits + 1) * (self.most_shared + 1)

    def groups(self, first: int, last: int) -> Groups | SharedGroups:
        """What queries ``first`` … ``last`` − 1 see.

        Raises:
            BadInput: a query that is to be left out is not in the database.
        """
        if self.most_shared:
            return SharedGroups(self.shared_histograms(first, last))
        return Groups(*self.histograms(first, last))

    def histograms(self, first: int, last: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Items and relevant items at each distance 0 … K, for queries ``first`` … ``last`` − 1.

        Returns:
            totals and relevants, each (last − first, K + 1) int64.

        Raises:
            BadInput: a query that is to be left out is not in the database.
        """
        if isinstance(self._relevance, SharedLabel):
            groups = SharedGroups(self._count_shared(first, last, most=1)).relevance()
            return groups.totals, groups.relevants
        totals = np.zeros((last - first, self.bits + 1), np.int64)
        relevants = np.zeros_like(totals)
        queries = spread_queries(self._query_codes[first:last], self.bits)
        codes, every = self._codes, self._single_first

        def count(start: int, stop: int) -> None:
            here, all_here = slice(start, stop), slice(first + start, first + stop)
            _count_all(every.tiles, every.weights, every.single, every.count, queries[here], totals[here])
            bounds = self._starts[all_here], self._stops[all_here]
            _count_ranges(codes.tiles, codes.weights, codes.single, queries[here], *bounds, relevants[here])

        run_in_threads(count, even_slices(last - first, TASKS_PER_THREAD * available_threads()))
        if self._leave_one_out:
            totals[:, 0] -= 1
            relevants[:, 0] -= relevants.any(axis=1)  # an item with a label is relevant to itself
            refuse_strangers(np.minimum(totals, relevants)[:, 0], first)
        return totals, relevants

    @property
    def most_shared(self) -> int:
        """S, the largest number of labels that an item may share with a query, at least 1; 0 for single labels."""
        return max(1, int(self._own.max())) if isinstance(self._relevance, SharedLabel) else 0

    def shared_histograms(self, first: int, last: int) -> NDArray[np.int64]:
        """The same for label sets, by the number of labels in common.

        Returns:
            (last − first, K + 1, S + 1) int64.

        Raises:
            BadInput: a query that is to be left out is not in the database.
        """
        return self._count_shared(first, last, self.most_shared)

    def _count_shared(self, first: int, last: int, most: int) -> NDArray[np.int64]:
        """(last − first, K + 1, most + 1) items by distance and labels in common, or more than the last."""
        assert isinstance(self._relevance, SharedLabel)
        counts = np.zeros((last - first, self.bits + 1, most + 1), np.int64)
        queries = spread_queries(self._query_codes[first:last], self.bits)
        codes, masks = self._codes, self._relevance.query_masks[first:last]

        def count(start: int, stop: int) -> None:
            here = slice(start, stop)
            _count_shared_labels(
                codes.tiles, codes.weights, codes.count, queries[here], self._masks, masks[here], counts[here]
            )

        run_in_threads(count, even_slices(last - first, TASKS_PER_THREAD * available_threads()))
        if self._leave_one_out:
            themselves = np.arange(last - first), 0, np.minimum(self._own[first:last], most)
            counts[themselves] -= 1
            refuse_strangers(counts[themselves], first)
        return counts


def refuse_strangers(left: NDArray[np.int64], first: int) -> None:
    """Refuse queries that cannot be left out of a database that they are not in.

    Args:
        left: (Q,) how many items at distance 0 each has besides itself; below 0 where not even itself was there.
        first: number of the first of these queries.

    Raises:
        BadInput: there is such a query.
    """
    strangers = np.flatnonzero(left < 0)
    if len(strangers):
        raise BadInput(
            f"Query {first + strangers[0]} is not in the database with its code and label, so it cannot be left "
            "out; give the database itself, or some of its items, as queries."
        )


@dataclass(frozen=True)
class SortedCodes:
    """Codes in tiles, with weights in place of repetitions.

    Attributes:
        tiles, count, bits: the codes to compare with, see :mod:`hashlens.codes.tiles`.
        weights: (count,) int64, how often each is there; empty if all are there once.
        single: of the first so many codes all are there once.
        firsts: (count,) int64, for each the row where it is there first.
    """

    tiles: NDArray[Any]
    count: int
    bits: int
    weights: NDArray[np.int64]
    single: int
    firsts: NDArray[np.int64]

    @classmethod
    def of(cls, packed: NDArray[np.uint8], kinds: NDArray[Any], bits: int) -> SortedCodes:
        """
        Args:
            packed: (N, B) packed codes.
            kinds: (N,) or (N, M); equal codes are merged only where these are equal, too. In the order of the
                codes, equal kinds must stand together for :meth:`places` to make sense.
        """
        columns = np.ascontiguousarray(kinds).view(np.uint8).reshape(len(packed), -1)
        groups = group_equal(np.ascontiguousarray(np.concatenate([packed, columns], axis=1)))
        if groups is None:
            count = len(packed)
            return cls(to_tiles(packed, bits), count, bits, np.empty(0, np.int64), count, np.arange(count))
        numbers, firsts = groups
        weights = np.bincount(numbers, minlength=len(firsts)).astype(np.int64)
        return cls(to_tiles(packed[firsts], bits), len(firsts), bits, weights, 0, firsts)

    def places(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Where the codes from given rows on, each the start or end of a kind, begin."""
        return np.searchsorted(self.firsts, rows)

    def single_first(self) -> SortedCodes:
        """The same codes, those before the others that are there once; :meth:`places` makes no sense then."""
        if not len(self.weights):
            return self
        order = np.argsort(self.weights > 1, kind="stable")
        tiles = to_tiles(from_tiles(self.tiles, order, self.bits), self.bits)
        single = int((self.weights == 1).sum())
        return SortedCodes(tiles, self.count, self.bits, self.weights[order], single, self.firsts[order])


@compiled
def workspace(tiles, levels):
    """Memory for :func:`add_counts`: distances of some tiles, counts of pairs of distances, and of distances."""
    pairs = 256 * levels if tiles.itemsize == 1 else 1
    return (
        np.empty((TILES_TOGETHER, 64), tiles.dtype),
        np.zeros(pairs, np.uint16),
        np.zeros((4, levels), np.int64),
    )


@compiled
def add_counts(tiles, weights, single, queries, q, start, stop, work, counts):
    """Add to ``counts`` (K + 1,) how many of codes ``start`` … ``stop`` − 1 are at each distance of query ``q``.

    tiles, weights, single: see :class:`SortedCodes`; queries: see :func:`hashlens.codes.tiles.spread_queries`.
    """
    levels = len(counts)
    first, last = (start + 63) // 64, min(stop, single) // 64
    if tiles.itemsize == 1 and 64 * (last - first) > 2 * levels * levels:
        _count_singly(tiles, weights, queries, q, start, 64 * first, work)
        for some in range(first, last, PAIRED_TILES):
            _count_pairs(tiles, queries, q, some, min(some + PAIRED_TILES, last), work[0], work[1])
            _move_pairs(work[1], counts)
        _count_singly(tiles, weights, queries, q, 64 * last, stop, work)
    else:
        _count_singly(tiles, weights, queries, q, start, stop, work)
    lanes = work[2]
    for level in range(levels):
        counts[level] += lanes[0, level] + lanes[1, level] + lanes[2, level] + lanes[3, level]
    lanes[:] = 0


@compiled
def _compare_tiles(tiles, queries, q, first, last, distances):
    # Some tiles at a time, since what has just been written as a vector is slow to read in parts.
    for t in range(first, last):
        compare(tiles, t, queries, q, 0, distances[t - first])


@compiled
def _count_pairs(tiles, queries, q, first, last, distances, pairs):
    """Count whole tiles, two neighbouring codes at a time: half as many counters to increase."""
    eights = distances.reshape(-1).view(np.uint64)
    one = np.uint16(1)
    for start in range(first, last, TILES_TOGETHER):
        stop = min(start + TILES_TOGETHER, last)
        _compare_tiles(tiles, queries, q, start, stop, distances)
        for i in range(8 * (stop - start)):
            eight = eights[i]
            pairs[eight & 0xFFFF] += one
            pairs[(eight >> 16) & 0xFFFF] += one
            pairs[(eight >> 32) & 0xFFFF] += one
            pairs[eight >> 48] += one


@compiled
def _move_pairs(pairs, counts):
    levels = len(counts)
    for high in range(levels):
        row = pairs[256 * high : 256 * high + levels]
        total = np.int64(0)
        for low in range(levels):
            total += row[low]
            counts[low] += row[low]
        counts[high] += total
        row[:] = 0


@compiled
def _count_singly(tiles, weights, queries, q, start, stop, work):
    distances, _, lanes = work
    if start >= stop:
        return
    weighted = len(weights) > 0
    every = distances.reshape(-1)
    for first in range(start // 64, (stop + 63) // 64, TILES_TOGETHER):
        last = min(first + TILES_TOGETHER, (stop + 63) // 64)
        _compare_tiles(tiles, queries, q, first, last, distances)
        i, end = max(start - 64 * first, 0), min(stop, 64 * last) - 64 * first
        # Neighbouring items often have equal distances; four counters in turn do not wait for each other.
        if weighted:
            here = weights[64 * first : 64 * first + end]
            while i + 4 <= end:
                lanes[0, every[i]] += here[i]
                lanes[1, every[i + 1]] += here[i + 1]
                lanes[2, every[i + 2]] += here[i + 2]
                lanes[3, every[i + 3]] += here[i + 3]
                i += 4
            while i < end:
                lanes[0, every[i]] += here[i]
                i += 1
        else:
            while i + 4 <= end:
                lanes[0, every[i]] += 1
                lanes[1, every[i + 1]] += 1
                lanes[2, every[i + 2]] += 1
                lanes[3, every[i + 3]] += 1
                i += 4
            while i < end:
                lanes[0, every[i]] += 1
                i += 1


@compiled
def _count_all(tiles, weights, single, count, queries, totals):
    """Count all codes; see :class:`SortedCodes` for what describes them."""
    work = workspace(tiles, totals.shape[1])
    for group in range(0, len(queries), QUERIES_TOGETHER):
        for start in range(0, count, CODES_TOGETHER):
            stop = min(start + CODES_TOGETHER, count)
            for q in range(group, min(group + QUERIES_TOGETHER, len(queries))):
                add_counts(tiles, weights, single, queries, q, start, stop, work, totals[q])


@compiled
def _count_ranges(tiles, weights, single, queries, starts, stops, counts):
    """Count codes ``starts[q]`` … ``stops[q]`` − 1 for every query; those with the same range follow each other."""
    work = workspace(tiles, counts.shape[1])
    for q in np.argsort(starts):
        add_counts(tiles, weights, single, queries, q, starts[q], stops[q], work, counts[q])


@compiled
def _count_shared_labels(tiles, weights, count, queries, database_masks, query_masks, counts):
    levels, kinds = counts.shape[1:]
    width = database_masks.shape[1]
    distances = np.empty((TILES_TOGETHER, 64), tiles.dtype)
    every = distances.reshape(-1)
    lanes = np.zeros((2, levels * kinds), np.int64)  # in two counters in turn
    weighted = len(weights) > 0
    for q in range(len(queries)):
        lanes[:] = 0
        for first in range(0, (count + 63) // 64, TILES_TOGETHER):
            last = min(first + TILES_TOGETHER, (count + 63) // 64)
            _compare_tiles(tiles, queries, q, first, last, distances)
            for i in range(min(count, 64 * last) - 64 * first):
                shared = np.int64(0)
                for m in range(width):
                    shared += popcount(database_masks[64 * first + i, m] & query_masks[q, m])
                place = kinds * np.int64(every[i]) + min(shared, kinds - 1)
                lanes[i % 2, place] += weights[64 * first + i] if weighted else 1
        for level in range(levels):
            for kind in range(kinds):
                counts[q, level, kind] = lanes[0, level * kinds + kind] + lanes[1, level * kinds + kind]
