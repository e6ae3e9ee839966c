"""Exact search by Hamming distance over codes held in memory."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hashlens.codes.distances import (
    BLOCK,
    available_threads,
    compiled,
    count_below,
    distances_in_block,
    even_slices,
    run_in_threads,
)
from hashlens.codes.packing import as_packed, check_bits, to_words
from hashlens.errors import BadInput

QUERIES_PER_TASK = 16  # queries that share a block of codes while it is in cache
SMALLEST_SLICE = 64 * BLOCK  # codes; a thread is not worth starting for fewer

Ragged = tuple[list[NDArray[np.int32]], list[NDArray[np.int64]]]


class HammingIndex:
    """Packed codes that answer nearest-neighbour and radius queries exactly.

    Results are sorted by distance, then by id, where the id of a code is its row number. The index keeps its
    own copy of the codes, 8 bytes for every started 64 bits.

    Attributes:
        bits: code length K.
    """

    def __init__(self, words: NDArray[np.uint64], bits: int) -> None:
        self._words = words
        self.bits = bits

    @classmethod
    def build(cls, codes: ArrayLike, bits: int | None = None) -> HammingIndex:
        """Index codes.

        Args:
            codes: (N, ceil(K/8)) uint8 packed codes, or (N, K) ±1 or continuous codes. N may be 0.
            bits: K, where the codes are packed and K is not a multiple of 8.

        Raises:
            BadInput: the array has the wrong shape, or K is not between 8 and 1024.
        """
        packed, bits = as_packed(codes, bits)
        return cls(to_words(packed), check_bits(bits))

    def __len__(self) -> int:
        return self._words.shape[1]

    def __repr__(self) -> str:
        return f"HammingIndex({len(self):,} codes of {self.bits} bits)"

    def search(self, codes: ArrayLike, k: int = 10) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """The ``k`` nearest codes of each query.

        Args:
            codes: (Q, ceil(K/8)) uint8 packed codes or (Q, K) ±1 or continuous ones; one code alone counts
                as a batch of one.
            k: at least 1; where it exceeds N, every code is returned.

        Returns:
            distances (Q, min(k, N)) int32 and ids (Q, min(k, N)) int64, sorted by distance, then id.

        Raises:
            BadInput: the queries have another code length than the index, or ``k`` is not positive.
        """
        if k < 1:
            raise BadInput(f"k is {k}; ask for at least one neighbour.")
        queries = self._query_words(codes)
        k = min(int(k), len(self))
        count = len(queries)
        if k == 0 or count == 0:
            return np.zeros((count, k), np.int32), np.zeros((count, k), np.int64)

        query_slices = even_slices(count, -(-count // QUERIES_PER_TASK))
        code_slices = even_slices(len(self), self._parts(len(query_slices)))
        distances = np.full((len(code_slices), count, k), np.iinfo(np.int32).max, np.int32)
        ids = np.full((len(code_slices), count, k), -1, np.int64)
        run_in_threads(
            lambda part, first, last, start, stop: _nearest(
                self._words,
                queries[first:last],
                start,
                stop,
                distances[part, first:last],
                ids[part, first:last],
            ),
            [(p, *queries_of, *codes_of) for queries_of in query_slices for p, codes_of in enumerate(code_slices)],
        )
        if len(code_slices) == 1:
            return distances[0], ids[0]
        # Slices are in id order and each is sorted by (distance, id), so a stable sort by distance keeps ties
        # in id order. What a slice did not fill sorts last and is cut off, since k ≤ N.
        merged = np.concatenate(list(distances), axis=1)
        order = np.argsort(merged, axis=1, kind="stable")[:, :k]
        return np.take_along_axis(merged, order, 1), np.take_along_axis(np.concatenate(list(ids), axis=1), order, 1)

    def within(self, codes: ArrayLike, radius: int) -> Ragged:
        """All codes within a distance of each query.

        Args:
            codes: as for :meth:`search`.
            radius: largest distance, inclusive, 0 or more.

        Returns:
            Two lists with one array per query: distances (int32) and ids (int64), sorted by distance, then id.

        Raises:
            BadInput: the queries have another code length than the index, or the radius is negative.
        """
        if radius < 0:
            raise BadInput(f"The radius is {radius}; it must be 0 or more.")
        queries = self._query_words(codes)
        limit = min(int(radius), self.bits) + 1
        distances: list[NDArray[np.int32]] = [np.empty(0, np.int32)] * len(queries)
        ids: list[NDArray[np.int64]] = [np.empty(0, np.int64)] * len(queries)

        def collect(row: int) -> None:
            distances[row], ids[row] = _within(self._words, queries[row], limit)

        run_in_threads(collect, [(row,) for row in range(len(queries))])
        return distances, ids

    def _query_words(self, codes: ArrayLike) -> NDArray[np.uint64]:
        packed, bits = as_packed(codes)
        padded = np.asarray(codes).dtype == np.uint8 and (self.bits + 7) // 8 == packed.shape[1]
        if bits != self.bits and not padded:
            raise BadInput(
                f"The queries have {bits} bits, but the index has {self.bits}; encode both with the same model."
            )
        return np.ascontiguousarray(to_words(packed).T)

    def _parts(self, query_tasks: int) -> int:
        """Into how many slices to cut the codes so that every thread has work."""
        return max(1, min(-(-available_threads() // query_tasks), len(self) // SMALLEST_SLICE))


@compiled
def _nearest(words, queries, start, stop, out_distances, out_ids):
    """k nearest of codes ``start`` … ``stop`` − 1 for each query; rows of the outputs are filled from the left.

    Per query we keep candidates in order of id and a limit: the smallest t such that at least k candidates
    have distance ≤ t. Ids ascend, so a later code can only matter if its distance is below the limit. Most
    blocks hold no such code and cost one vectorised comparison.
    """
    count, k = out_distances.shape
    levels = 64 * words.shape[0] + 2
    capacity = k + BLOCK
    block = np.empty(BLOCK, np.int16)
    kept_distances = np.empty((count, capacity), np.int16)
    kept_ids = np.empty((count, capacity), np.int64)
    kept = np.zeros(count, np.int64)
    at_distance = np.zeros((count, levels), np.int64)
    limits = np.full(count, levels - 1, np.int64)
    below_limit = np.zeros(count, np.int64)
    for block_start in range(start, stop, BLOCK):
        block_stop = min(block_start + BLOCK, stop)
        size = block_stop - block_start
        for q in range(count):
            distances_in_block(words, queries[q], block_start, block_stop, block)
            limit = limits[q]
            hits = count_below(block, size, np.int16(limit))
            if hits == 0:
                continue
            if kept[q] + hits > capacity:
                kept[q] = _drop_surplus(kept_distances[q], kept_ids[q], kept[q], limit, k - below_limit[q])
            position = kept[q]
            for i in range(size):
                distance = block[i]
                if distance < limit:
                    kept_distances[q, position] = distance
                    kept_ids[q, position] = block_start + i
                    at_distance[q, distance] += 1
                    position += 1
            kept[q] = position
            below_limit[q] += hits
            while below_limit[q] >= k:
                limits[q] -= 1
                below_limit[q] -= at_distance[q, limits[q]]
    for q in range(count):
        # Counting sort, stable, so that ties stay in order of id.
        size = _drop_surplus(kept_distances[q], kept_ids[q], kept[q], limits[q], k - below_limit[q])
        next_slot = np.zeros(levels + 1, np.int64)
        for i in range(size):
            next_slot[kept_distances[q, i] + 1] += 1
        for distance in range(levels):
            next_slot[distance + 1] += next_slot[distance]
        for i in range(size):
            distance = kept_distances[q, i]
            out_distances[q, next_slot[distance]] = distance
            out_ids[q, next_slot[distance]] = kept_ids[q, i]
            next_slot[distance] += 1


@compiled
def _drop_surplus(distances, ids, size, limit, places):
    """Keep, in order, what is below ``limit`` and the first ``places`` at it; return how many remain."""
    position = 0
    for i in range(size):
        distance = distances[i]
        if distance < limit or (distance == limit and places > 0):
            if distance == limit:
                places -= 1
            distances[position] = distance
            ids[position] = ids[i]
            position += 1
    return position


@compiled
def _within(words, query, limit):
    """Distances and ids of all codes closer than ``limit``, sorted by distance, then id."""
    count = words.shape[1]
    block = np.empty(BLOCK, np.int16)
    next_slot = np.zeros(limit + 1, np.int64)
    for start in range(0, count, BLOCK):
        stop = min(start + BLOCK, count)
        distances_in_block(words, query, start, stop, block)
        if count_below(block, stop - start, np.int16(limit)) > 0:
            for i in range(stop - start):
                if block[i] < limit:
                    next_slot[block[i] + 1] += 1
    for distance in range(limit):
        next_slot[distance + 1] += next_slot[distance]
    found = next_slot[limit]
    out_distances = np.empty(found, np.int32)
    out_ids = np.empty(found, np.int64)
    if found == 0:
        return out_distances, out_ids
    for start in range(0, count, BLOCK):
        stop = min(start + BLOCK, count)
        distances_in_block(words, query, start, stop, block)
        if count_below(block, stop - start, np.int16(limit)) > 0:
            for i in range(stop - start):
                distance = block[i]
                if distance < limit:
                    out_distances[next_slot[distance]] = distance
                    out_ids[next_slot[distance]] = start + i
                    next_slot[distance] += 1
    return out_distances, out_ids
