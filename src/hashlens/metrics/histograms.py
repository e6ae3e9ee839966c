"""Counts of database items by distance and relevance: all that the ranking metrics need.

A matrix of all distances would not fit in memory; these counts take (K + 1) numbers per query. Items with equal
codes that are relevant to the same queries are compared once and counted as often as there are.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashlens.codes.distances import available_threads, compiled, even_slices, run_in_threads
from hashlens.codes.tiles import compare, spread_queries, to_tiles
from hashlens.index.distinct import group_equal
from hashlens.metrics.relevance import Relevance, SameClass, SharedLabel

TASKS_PER_THREAD = 4
QUERIES_TOGETHER = 8  # that share codes while these are in the second-level cache
CODES_TOGETHER = 1 << 15
TILES_TOGETHER = 32
PAIRS = 1 << 16  # of distances of one byte


class Comparison:
    """Queries and a database laid out for counting distances against relevance.

    Attributes:
        queries, size, bits: number of queries, number of database items, code length.
    """

    def __init__(
        self,
        query_codes: NDArray[np.uint8],
        database_codes: NDArray[np.uint8],
        bits: int,
        relevance: Relevance,
    ) -> None:
        self.queries, self.size, self.bits = len(query_codes), len(database_codes), bits
        self._relevance = relevance
        self._query_codes = query_codes
        if isinstance(relevance, SameClass):
            self._codes = SortedCodes(database_codes[relevance.order], relevance.classes, bits)
            self._starts = self._codes.places(relevance.starts)
            self._stops = self._codes.places(relevance.stops)
        else:
            self._codes = SortedCodes(database_codes, relevance.database_masks, bits)
            self._masks = relevance.database_masks[self._codes.firsts]

    def histograms(self, first: int, last: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Items and relevant items at each distance 0 … K, for queries ``first`` … ``last`` − 1.

        Returns:
            totals and relevants, each (last − first, K + 1) int64.
        """
        totals = np.zeros((last - first, self.bits + 1), np.int64)
        relevants = np.zeros_like(totals)
        queries = spread_queries(self._query_codes[first:last], self.bits)
        codes = self._codes

        def count(start: int, stop: int) -> None:
            here, all_here = slice(start, stop), slice(first + start, first + stop)
            out = totals[here], relevants[here]
            if isinstance(self._relevance, SharedLabel):
                masks = self._relevance.query_masks[all_here]
                _count_shared_label(
                    codes.tiles, codes.weights, codes.count, queries[here], self._masks, masks, *out
                )
            else:
                bounds = self._starts[all_here], self._stops[all_here]
                _count_same_class(codes.tiles, codes.weights, codes.count, queries[here], *bounds, *out)

        run_in_threads(count, even_slices(last - first, TASKS_PER_THREAD * available_threads()))
        return totals, relevants


class SortedCodes:
    """Codes in tiles, with weights in place of repetitions.

    Attributes:
        tiles, count: the codes to compare with, see :mod:`hashlens.codes.tiles`.
        weights: (count,) int64, how often each is there; empty if all are there once.
        firsts: (count,) int64, for each the row where it is there first.
    """

    def __init__(self, packed: NDArray[np.uint8], kinds: NDArray[Any], bits: int) -> None:
        """
        Args:
            packed: (N, B) packed codes.
            kinds: (N,) or (N, M); equal codes are merged only where these are equal, too. In the order of the
                codes, equal kinds must stand together for :meth:`places` to make sense.
        """
        columns = np.ascontiguousarray(kinds).view(np.uint8).reshape(len(packed), -1)
        groups = group_equal(np.ascontiguousarray(np.concatenate([packed, columns], axis=1)))
        if groups is None:
            self.firsts = np.arange(len(packed))
            self.weights = np.empty(0, np.int64)
            self.tiles = to_tiles(packed, bits)
        else:
            self.firsts = groups[1]
            self.weights = np.bincount(groups[0], minlength=len(self.firsts)).astype(np.int64)
            self.tiles = to_tiles(packed[self.firsts], bits)
        self.count = len(self.firsts)

    def places(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Where the codes from given rows on, each the start or end of a kind, begin."""
        return np.searchsorted(self.firsts, rows)


@compiled
def workspace(tiles, levels):
    """Memory for :func:`add_counts`: distances of some tiles, counts of pairs of distances, and of distances."""
    pairs = PAIRS if tiles.itemsize == 1 else 1
    return (
        np.empty((TILES_TOGETHER, 64), tiles.dtype),
        np.zeros(pairs, np.uint32),
        np.zeros((4, levels), np.int64),
    )


@compiled
def add_counts(tiles, weights, queries, q, start, stop, work, counts):
    """Add to ``counts`` (K + 1,) how many of codes ``start`` … ``stop`` − 1 are at each distance of query ``q``.

    tiles, weights: see :class:`SortedCodes`; queries: see :func:`hashlens.codes.tiles.spread_queries`.
    """
    levels = len(counts)
    first, last = (start + 63) // 64, stop // 64
    paired = len(weights) == 0 and tiles.itemsize == 1 and 64 * (last - first) > 4 * levels * levels
    if paired:
        _count_singly(tiles, weights, queries, q, start, 64 * first, work)
        _count_pairs(tiles, queries, q, first, last, work[0], work[1])
        _count_singly(tiles, weights, queries, q, 64 * last, stop, work)
        _move_pairs(work[1], counts)
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
    one = np.uint32(1)
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
    for high in range(len(counts)):
        for low in range(len(counts)):
            found = pairs[256 * high + low]
            if found:
                counts[high] += found
                counts[low] += found
                pairs[256 * high + low] = 0


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
def _count_same_class(tiles, weights, count, queries, starts, stops, totals, relevants):
    levels = totals.shape[1]
    work = workspace(tiles, levels)
    whole = count // 64 if len(weights) == 0 and tiles.itemsize == 1 else 0
    pairs = np.zeros((QUERIES_TOGETHER, len(work[1]) if whole else 1), np.uint32)
    for group in range(0, len(queries), QUERIES_TOGETHER):
        group_stop = min(group + QUERIES_TOGETHER, len(queries))
        for first in range(0, whole, CODES_TOGETHER // 64):
            last = min(first + CODES_TOGETHER // 64, whole)
            for q in range(group, group_stop):
                _count_pairs(tiles, queries, q, first, last, work[0], pairs[q - group])
        for start in range(64 * whole, count, CODES_TOGETHER):
            for q in range(group, group_stop):
                add_counts(tiles, weights, queries, q, start, min(start + CODES_TOGETHER, count), work, totals[q])
        for q in range(group, group_stop):
            if whole:
                _move_pairs(pairs[q - group], totals[q])
            add_counts(tiles, weights, queries, q, starts[q], stops[q], work, relevants[q])


@compiled
def _count_shared_label(tiles, weights, count, queries, database_masks, query_masks, totals, relevants):
    levels, width = totals.shape[1], database_masks.shape[1]
    distances = np.empty((TILES_TOGETHER, 64), tiles.dtype)
    every = distances.reshape(-1)
    lanes = np.zeros((2, 2 * levels), np.int64)  # relevant or not, in two counters in turn
    weighted = len(weights) > 0
    for q in range(len(queries)):
        lanes[:] = 0
        for first in range(0, (count + 63) // 64, TILES_TOGETHER):
            last = min(first + TILES_TOGETHER, (count + 63) // 64)
            _compare_tiles(tiles, queries, q, first, last, distances)
            for i in range(min(count, 64 * last) - 64 * first):
                shared = False
                for m in range(width):
                    shared |= (database_masks[64 * first + i, m] & query_masks[q, m]) != 0
                lanes[i % 2, 2 * np.int64(every[i]) + shared] += weights[64 * first + i] if weighted else 1
        for level in range(levels):
            relevants[q, level] = lanes[0, 2 * level + 1] + lanes[1, 2 * level + 1]
            totals[q, level] = relevants[q, level] + lanes[0, 2 * level] + lanes[1, 2 * level]
