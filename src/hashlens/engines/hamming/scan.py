"""Exact search of tiles of codes: every code is looked at, most of them 64 at a time and only once.

What is said here about positions holds for ids: they ascend together.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashlens.codes.tiles import LANES, compare, lanes_in_use, lowest_lane, tiles_in_cache
from hashlens.compute import kernels
from hashlens.compute.kernels import compiled
from hashlens.compute.threads import available_threads, even_slices, run_in_threads
from hashlens.engines.engine import Found, Ragged

QUERIES_PER_TASK = 64  # queries that share codes while these are in cache
SMALLEST_SLICE = 1 << 21  # bytes of codes; a thread is not worth waking for fewer
FEW_TILES = 64  # for each neighbour, in a slice of the codes that many queries share
SLICES_PER_THREAD = 2  # so that a thread that was held up leaves work to others
COLD_BYTES = 1 << 26  # of codes that NumPy compares, for all queries, in the time that numba takes to be loaded
_cold_bytes_left = COLD_BYTES
SLACK = 2048  # candidates beyond k before those that cannot win are dropped
CANDIDATE_BYTES = 1 << 27  # that the candidates of one task may take

NO_MASKS = np.empty(0, np.uint64)


def nearest(
    tiles: NDArray[Any], count: int, queries: NDArray[Any], k: int, masks: NDArray[np.uint64] = NO_MASKS
) -> Found:
    """The ``k`` nearest codes of each query.

    Args:
        tiles: (T, W, 64), see :mod:`hashlens.codes.tiles`, of ``count`` codes.
        queries: (Q, W, 64), see :func:`hashlens.codes.tiles.spread_queries`.
        k: 1 … the number of codes that take part.
        masks: (T,) uint64, the lanes of each tile that take part; empty if all do.

    Returns:
        distances (Q, k) int32 and positions (Q, k) int64, sorted by distance, then position.
    """
    asked = len(queries)
    if _by_numpy(tiles, asked):
        ranked = list(_rankings(tiles, count, queries, masks))
        return (
            np.array([nearby[:k] for nearby, _ in ranked], np.int32).reshape(asked, k),
            np.array([at[:k] for _, at in ranked], np.int64).reshape(asked, k),
        )
    per_task = max(1, min(QUERIES_PER_TASK, CANDIDATE_BYTES // (10 * min(2 * k + SLACK, count))))
    parts = -(-asked // per_task)
    threads = available_threads()
    code_parts = _code_parts(tiles, k)
    if asked >= threads and len(tiles) < FEW_TILES * k * code_parts:
        code_parts = 1  # queries are split rather than codes, of which every slice finds k of its own
    code_slices = even_slices(len(tiles), code_parts)
    if len(code_slices) == 1:
        parts = min(asked, -(-parts // threads) * threads)
    distances = np.empty((len(code_slices), asked, k), np.int32)
    positions = np.empty((len(code_slices), asked, k), np.int64)
    found = np.empty((len(code_slices), asked), np.int64)
    last_lanes, in_cache = lanes_in_use(count), tiles_in_cache(tiles)

    def search(part: int, start: int, stop: int, first: int, last: int) -> None:
        here = part, slice(first, last)
        _nearest(
            tiles, queries[first:last], masks, last_lanes, start, stop, in_cache, SLACK,
            distances[here], positions[here], found[here],
        )  # fmt: skip

    run_in_threads(
        search,
        [(part, *codes, *some) for some in even_slices(asked, parts) for part, codes in enumerate(code_slices)],
    )
    return merge(distances, positions, found, k)


def within(
    tiles: NDArray[Any], count: int, queries: NDArray[Any], radius: int, masks: NDArray[np.uint64] = NO_MASKS
) -> Ragged:
    """All codes within ``radius`` of each query; arguments and order of results as for :func:`nearest`.

    Returns:
        Two lists with one array per query: distances (int32) and positions (int64).
    """
    if _by_numpy(tiles, len(queries)):
        ranked = list(_rankings(tiles, count, queries, masks))
        ends = [int(np.searchsorted(nearby, radius, side="right")) for nearby, _ in ranked]
        return (
            [nearby[:end] for (nearby, _), end in zip(ranked, ends, strict=True)],
            [at[:end] for (_, at), end in zip(ranked, ends, strict=True)],
        )
    code_slices = even_slices(len(tiles), _code_parts(tiles, 1))
    pieces: list[list[Any]] = [[None] * len(code_slices) for _ in range(len(queries))]
    last_lanes = lanes_in_use(count)

    def search(query: int, part: int, start: int, stop: int) -> None:
        pieces[query][part] = _within(tiles, queries, query, masks, last_lanes, start, stop, radius)

    run_in_threads(
        search,
        [(query, part, *codes) for query in range(len(queries)) for part, codes in enumerate(code_slices)],
    )
    distances, positions = [], []
    for row in pieces:
        joined = np.concatenate([np.empty(0, np.int32), *(piece[0] for piece in row)])
        order = np.argsort(joined, kind="stable")
        distances.append(joined[order])
        positions.append(np.concatenate([np.empty(0, np.int64), *(piece[1] for piece in row)])[order])
    return distances, positions


def _by_numpy(tiles: NDArray[Any], asked: int) -> bool:
    """Whether NumPy is to answer, so that a program that asks once need not wait for numba.

    A program that asks on and on, such as a service, soon has used up what that is good for, and loads numba.
    """
    global _cold_bytes_left
    if kernels.loaded():
        return False
    _cold_bytes_left -= asked * tiles.nbytes
    return _cold_bytes_left >= 0


def _rankings(
    tiles: NDArray[Any], count: int, queries: NDArray[Any], masks: NDArray[np.uint64]
) -> Iterator[tuple[NDArray[np.int32], NDArray[np.int64]]]:
    """All distances to each query and the positions that they are at, sorted by both, by NumPy."""
    takes_part = np.arange(count)
    if len(masks):
        lanes = np.arange(LANES, dtype=np.uint64)
        takes_part = np.flatnonzero((masks[:, None] >> lanes & np.uint64(1)).ravel()[:count])
    for query in queries:
        distances = np.bitwise_count(tiles ^ query).sum(axis=1, dtype=tiles.dtype).ravel()[takes_part]
        order = np.argsort(distances, kind="stable")
        yield distances[order].astype(np.int32), takes_part[order]


def merge(distances: NDArray[np.int32], numbers: NDArray[np.int64], found: NDArray[np.int64], k: int) -> Found:
    """Join the results of parts.

    Args:
        distances, numbers: (P, Q, m), each row sorted by distance, then number (position or id).
        found: (P, Q) how many entries of each row count; they add up to at least ``k`` for every query.
        k: how many to keep.

    Returns:
        distances (Q, k) int32 and numbers (Q, k) int64, sorted likewise.
    """
    if len(distances) == 1 and distances.shape[2] == k:
        return distances[0], numbers[0]
    merged = np.empty((distances.shape[1], k), np.int32), np.empty((distances.shape[1], k), np.int64)
    if kernels.loaded():
        _merge(distances, numbers, found, *merged)
        return merged
    for q in range(distances.shape[1]):
        filled = np.arange(distances.shape[2]) < found[:, q, None]
        near, at = distances[:, q][filled], numbers[:, q][filled]
        first = np.lexsort((at, near))[:k]
        merged[0][q], merged[1][q] = near[first], at[first]
    return merged


def _code_parts(tiles: NDArray[Any], k: int) -> int:
    """Into how many slices to cut the codes: each slice finds k of its own, so it should hold many more."""
    return max(
        1, min(SLICES_PER_THREAD * available_threads(), tiles.nbytes // SMALLEST_SLICE, len(tiles) // (2 * k))
    )


@compiled
def _nearest(
    tiles, queries, masks, last_lanes, start, stop, in_cache, slack, out_distances, out_positions, out_found
):
    """k nearest of tiles ``start`` … ``stop`` − 1 for each query; rows of the outputs are filled from the left.

    Per query we keep candidates in order of position and a limit: the smallest t such that at least k
    candidates have distance ≤ t. Positions ascend, so a later code can only matter if its distance is below
    the limit. Most tiles hold no such code and cost one comparison.
    """
    count, k = out_distances.shape
    word_bits = 8 * tiles.itemsize
    levels = min(word_bits * tiles.shape[1], (1 << word_bits) - 1) + 2  # distances fit in a word
    capacity = min(2 * k + slack, 64 * (stop - start))
    tile_distances = np.empty(64, tiles.dtype)
    kept_distances = np.empty((count, capacity), np.int16)
    kept_positions = np.empty((count, capacity), np.int64)
    kept = np.zeros(count, np.int64)
    at_distance = np.zeros((count, levels), np.int64)
    limits = np.full(count, levels - 1, np.int64)
    below_limit = np.zeros(count, np.int64)
    masked = len(masks) > 0
    final = len(tiles) - 1
    for group in range(start, stop, in_cache):
        group_stop = min(group + in_cache, stop)
        for q in range(count):
            limit = limits[q]
            if limit == 0:
                continue
            for t in range(group, group_stop):
                if masked and masks[t] == 0:
                    continue
                hits = compare(tiles, t, queries, q, min(limit - 1, levels - 2), tile_distances)
                if hits == 0:
                    continue
                if masked:
                    hits &= masks[t]
                if t == final:
                    hits &= last_lanes
                position = kept[q]
                while hits != 0:
                    lane = lowest_lane(hits)
                    hits &= hits - np.uint64(1)
                    distance = np.int64(tile_distances[lane])
                    if distance >= limit:
                        continue
                    if position == capacity:
                        position = _drop_surplus(
                            kept_distances[q], kept_positions[q], position, limit, k - below_limit[q]
                        )
                    kept_distances[q, position] = distance
                    kept_positions[q, position] = 64 * t + lane
                    position += 1
                    at_distance[q, distance] += 1
                    below_limit[q] += 1
                    while below_limit[q] >= k:
                        limit -= 1
                        below_limit[q] -= at_distance[q, limit]
                kept[q] = position
                limits[q] = limit
                if limit == 0:
                    break
    for q in range(count):
        # Counting sort, stable, so that ties stay in order of position.
        size = _drop_surplus(kept_distances[q], kept_positions[q], kept[q], limits[q], k - below_limit[q])
        out_found[q] = size
        next_slot = np.zeros(levels + 1, np.int64)
        for i in range(size):
            next_slot[kept_distances[q, i] + 1] += 1
        for level in range(levels):
            next_slot[level + 1] += next_slot[level]
        for i in range(size):
            distance = kept_distances[q, i]
            out_distances[q, next_slot[distance]] = distance
            out_positions[q, next_slot[distance]] = kept_positions[q, i]
            next_slot[distance] += 1


@compiled
def _drop_surplus(distances, positions, size, limit, places):
    """Keep, in order, what is below ``limit`` and the first ``places`` at it; return how many remain."""
    kept = 0
    for i in range(size):
        distance = distances[i]
        if distance < limit or (distance == limit and places > 0):
            if distance == limit:
                places -= 1
            distances[kept] = distance
            positions[kept] = positions[i]
            kept += 1
    return kept


@compiled
def _merge(distances, numbers, found, out_distances, out_numbers):
    parts, count, _ = distances.shape
    k = out_distances.shape[1]
    taken = np.empty(parts, np.int64)
    for q in range(count):
        taken[:] = 0
        for filled in range(k):
            nearest_part = -1
            least = np.int32(0)
            lowest = np.int64(0)
            for p in range(parts):
                if taken[p] < found[p, q]:
                    distance, number = distances[p, q, taken[p]], numbers[p, q, taken[p]]
                    if nearest_part < 0 or distance < least or (distance == least and number < lowest):
                        nearest_part, least, lowest = p, distance, number
            out_distances[q, filled] = least
            out_numbers[q, filled] = lowest
            taken[nearest_part] += 1


@compiled
def _within(tiles, queries, query, masks, last_lanes, start, stop, radius):
    """Distances and positions of all codes of tiles ``start`` … ``stop`` − 1 within ``radius``, unsorted."""
    tile_distances = np.empty(64, tiles.dtype)
    distances = np.empty(256, np.int32)
    positions = np.empty(256, np.int64)
    size = 0
    masked = len(masks) > 0
    for t in range(start, stop):
        if masked and masks[t] == 0:
            continue
        hits = compare(tiles, t, queries, query, radius, tile_distances)
        if hits == 0:
            continue
        if masked:
            hits &= masks[t]
        if t == len(tiles) - 1:
            hits &= last_lanes
        if size + LANES > len(distances):
            more = np.empty(2 * len(distances), np.int32)
            more[:size] = distances[:size]
            distances = more
            more_positions = np.empty(2 * len(positions), np.int64)
            more_positions[:size] = positions[:size]
            positions = more_positions
        while hits != 0:
            lane = lowest_lane(hits)
            hits &= hits - np.uint64(1)
            distances[size] = tile_distances[lane]
            positions[size] = 64 * t + lane
            size += 1
    return distances[:size].copy(), positions[:size].copy()
