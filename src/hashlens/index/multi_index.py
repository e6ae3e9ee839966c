"""Exact search that looks at few of the codes: multi-index hashing.

Codes are cut into m parts, and for each part a table lists the codes by the value of that part. If two codes
differ in at most r bits, they differ in at most floor(r/m) bits in some part. So looking up all values near the
query's own, part by part and at growing distance, soon has met everything within a radius, and stops when that
radius holds k codes (Norouzi, Punjani and Fleet, CVPR 2012).

How much there is to look up grows steeply with the distance of the k-th neighbour. Tables are therefore built only
where a trial on the codes themselves shows a gain, and a query that would cost more than half of a scan is left to
the scan.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashlens.codes.distances import available_threads, compiled, even_slices, popcount, run_in_threads
from hashlens.codes.tiles import Queries
from hashlens.index.scan import NO_MASKS, Found

FEWEST = 1 << 21  # codes; a scan of fewer takes less than a millisecond
MOST_PARTS = 8
LONGEST_PART = 24  # bits; a table has an entry for every value
LOOKUP, CODE = 25.0, 1.5  # nanoseconds, measured: to look up a value, to compare one code; used to choose m
TRIAL_QUERIES = 16
TRIAL_K = 10
TRIALS = 3  # the fastest counts, since other work may disturb some
LEAST_GAIN = 1.5  # over a scan
TIES = 1 << 14  # codes at the distance of the k-th that are kept before a query is left to the scan


@dataclass(frozen=True)
class Tables:
    """The codes of a segment, listed by the values of m parts of them.

    Attributes:
        bounds: (m + 1,) int64; part p consists of bits ``bounds[p]`` … ``bounds[p + 1]`` − 1.
        starts: (m, S + 1) int32; entries ``starts[p, v]`` … ``starts[p, v + 1]`` − 1 of table p have the value v.
        positions: (m, n) int32, of the codes in the segment, ascending for each value.
        words: (m, n, V) uint64, the codes themselves in the same order, so that those of a value lie together.
        scan_times: nanoseconds that a scan takes, for one query alone and for one of many on one thread.
    """

    bounds: NDArray[np.int64]
    starts: NDArray[np.int32]
    positions: NDArray[np.int32]
    words: NDArray[np.uint64]
    scan_times: tuple[float, float]

    def nearest(
        self, queries: Queries, k: int, masks: NDArray[np.uint64], scan: Callable[[Queries], Found]
    ) -> Found:
        """The ``k`` nearest codes of each query.

        Args:
            k, masks: see :func:`hashlens.index.scan.nearest`.
            scan: finds the same for some of the queries by a scan.

        Returns:
            See :func:`hashlens.index.scan.nearest`.
        """
        words = as_words(queries.packed)
        distances = np.empty((len(queries), k), np.int32)
        positions = np.empty((len(queries), k), np.int64)
        answered = np.zeros(len(queries), np.bool_)
        threads = available_threads()
        budget = self.scan_times[0 if len(queries) < threads else 1] / 2

        def look_up(start: int, stop: int) -> None:
            for q in range(start, stop):
                answered[q] = _nearest(
                    self.bounds, self.starts, self.positions, self.words, words[q], masks, k, TIES, budget,
                    distances[q], positions[q],
                )  # fmt: skip

        run_in_threads(look_up, even_slices(len(queries), min(len(queries), 4 * threads)))
        left = np.flatnonzero(~answered)
        if len(left):
            distances[left], positions[left] = scan(queries[left])
        return distances, positions


def build_tables(packed: NDArray[np.uint8], bits: int, scan: Callable[[Queries, int], Found]) -> Tables | None:
    """Tables of the codes, if they answer faster than a scan.

    The codes themselves serve as trial queries. The distance of their k-th neighbours, and how often parts of
    codes are near each other, tell what m would cost; the tables of the cheapest are built and timed.

    Args:
        packed: (n, B) packed codes.
        scan: finds the k nearest of these codes to queries by a scan.
    """
    if len(packed) < FEWEST:
        return None
    stride = len(packed) // TRIAL_QUERIES
    asked = Queries.of(np.ascontiguousarray(packed[::stride][:TRIAL_QUERIES]), bits)
    distances, _ = scan(asked, TRIAL_K)
    alone = _least_seconds(lambda: scan(asked[:1], TRIAL_K))
    batch = _least_seconds(lambda: scan(asked, TRIAL_K))
    scan_times = alone * 1e9, batch * 1e9 * available_threads() / len(asked)
    sample = as_words(np.ascontiguousarray(packed[:: max(1, len(packed) // (1 << 14))]))
    costs = {
        parts: _expected_cost(
            as_words(asked.packed), distances[:, -1], sample, len(packed), table_shape(bits, parts)[0]
        )
        for parts in range(max(2, -(-8 * packed.shape[1] // LONGEST_PART)), MOST_PARTS + 1)
    }
    parts = min(costs, key=lambda parts: costs[parts], default=0)
    if not costs or costs[parts] * LEAST_GAIN > scan_times[0]:
        return None
    tables = make_tables(packed, parts, scan_times)
    timed = _least_seconds(lambda: tables.nearest(asked[:1], TRIAL_K, NO_MASKS, lambda left: scan(left, TRIAL_K)))
    return tables if timed * LEAST_GAIN < alone else None


def make_tables(packed: NDArray[np.uint8], parts: int, scan_times: tuple[float, float]) -> Tables:
    """Tables of (n, B) packed codes cut into ``parts``."""
    words = as_words(packed)
    bounds, values, _ = table_shape(8 * packed.shape[1], parts)
    starts = np.zeros((parts, values + 1), np.int32)
    positions = np.empty((parts, len(words)), np.int32)
    listed = np.empty((parts, *words.shape), np.uint64)
    run_in_threads(
        lambda part: _list_values(
            words, bounds[part], bounds[part + 1], starts[part], positions[part], listed[part]
        ),
        [(part,) for part in range(parts)],
    )
    return Tables(bounds, starts, positions, listed, scan_times)


def as_words(packed: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """(n, B) uint8 → (n, ceil(B/8)) uint64, zero-padded."""
    missing = -packed.shape[1] % 8
    padded = np.pad(packed, ((0, 0), (0, missing))) if missing else np.ascontiguousarray(packed)
    return padded.view(np.dtype("<u8")).astype(np.uint64, copy=False)


def table_shape(bits: int, parts: int) -> tuple[NDArray[np.int64], int, int]:
    """Bounds of the parts of codes, how many values the longest part has, and words of a code."""
    code_bytes = -(-bits // 8)
    bounds = np.arange(parts + 1, dtype=np.int64) * 8 * code_bytes // parts
    return bounds, 1 << int(np.diff(bounds).max()), -(-code_bytes // 8)


def _least_seconds(run: Callable[[], Any]) -> float:
    taken = []
    for _ in range(TRIALS):
        start = time.perf_counter()
        run()
        taken.append(time.perf_counter() - start)
    return min(taken)


def _expected_cost(
    queries: NDArray[np.uint64],
    radii: NDArray[np.int32],
    sample: NDArray[np.uint64],
    count: int,
    bounds: NDArray[np.int64],
) -> float:
    """Mean nanoseconds for a query."""
    parts = len(bounds) - 1
    near = np.zeros((len(queries), parts, LONGEST_PART + 2), np.int64)
    _count_near_parts(queries, sample, bounds, near)
    share = near.cumsum(2) / len(sample)
    total = 0.0
    for q, radius in enumerate(radii.tolist()):
        for part in range(parts):
            # The parts are looked up in turn, so that the first ones go one step further than the last ones.
            steps = radius // parts - (part > radius % parts)
            if steps < 0:
                continue
            width = int(bounds[part + 1] - bounds[part])
            lookups = sum(math.comb(width, step) for step in range(steps + 1))
            total += LOOKUP * lookups + CODE * count * share[q, part, min(steps, width)]
    return total / len(queries)


@compiled
def _part(words, start, stop):
    """Bits ``start`` … ``stop`` − 1 of a code, as a number; less than 64 of them."""
    word, shift = start // 64, start % 64
    value = words[word] >> np.uint64(shift)
    if stop > 64 * (word + 1):
        value |= words[word + 1] << np.uint64(64 - shift)
    return np.int64(value & ((np.uint64(1) << np.uint64(stop - start)) - np.uint64(1)))


@compiled
def _count_near_parts(queries, sample, bounds, near):
    for q in range(len(queries)):
        for p in range(len(bounds) - 1):
            own = _part(queries[q], bounds[p], bounds[p + 1])
            for i in range(len(sample)):
                near[q, p, popcount(np.uint64(own ^ _part(sample[i], bounds[p], bounds[p + 1])))] += 1


@compiled
def _list_values(words, start, stop, starts, positions, listed):
    """Sort codes by a part of them, by its high bits first, so that few places in memory are written at a time."""
    count, width = words.shape
    for i in range(count):
        starts[_part(words[i], start, stop) + 1] += 1
    for value in range(len(starts) - 1):
        starts[value + 1] += starts[value]
    next_slot = starts[:-1].copy()
    low = max(0, stop - start - 8)
    next_coarse = np.empty(1 << (stop - start - low), np.int64)
    for coarse in range(len(next_coarse)):
        next_coarse[coarse] = starts[coarse << low]
    coarse_positions = np.empty(count, np.int32)
    coarse_words = np.empty((count, width), np.uint64)
    for i in range(count):
        coarse = _part(words[i], start, stop) >> low
        slot = next_coarse[coarse]
        next_coarse[coarse] += 1
        coarse_positions[slot] = i
        for w in range(width):
            coarse_words[slot, w] = words[i, w]
    for i in range(count):
        value = _part(coarse_words[i], start, stop)
        slot = next_slot[value]
        next_slot[value] += 1
        positions[slot] = coarse_positions[i]
        for w in range(width):
            listed[slot, w] = coarse_words[i, w]


@compiled
def _nearest(bounds, starts, positions, words, query, masks, k, ties, budget, out_distances, out_positions):
    """Fill the outputs and return True, or return False where a scan would be cheaper."""
    parts, _, width = words.shape
    levels = 64 * width + 2
    at_distance = np.zeros(levels, np.int64)
    limit = levels - 1  # at least k of the codes met are at most this far away
    below_limit = 0
    capacity = 2 * k + ties
    kept = np.empty(capacity, np.int64)  # distance · 2³² + position
    size = 0
    spent = 0.0
    masked = len(masks) > 0
    longest = 0
    for p in range(parts):
        longest = max(longest, bounds[p + 1] - bounds[p])
    for step in range(longest + 1):
        for p in range(parts):
            part_bits = bounds[p + 1] - bounds[p]
            if step <= part_bits:
                lookups = 1.0
                for i in range(step):
                    lookups = lookups * (part_bits - i) / (i + 1)
                spent += lookups * LOOKUP
                if spent > budget:
                    return False
                own = _part(query, bounds[p], bounds[p + 1])
                flips = np.int64((1 << step) - 1)
                while flips < (1 << part_bits):
                    value = own ^ flips
                    first, last = starts[p, value], starts[p, value + 1]
                    for i in range(first, last):
                        distance = np.int64(0)
                        for w in range(width):
                            distance += popcount(words[p, i, w] ^ query[w])
                        if distance > limit:
                            continue
                        position = np.int64(positions[p, i])
                        if masked and (masks[position // 64] >> np.uint64(position % 64)) & np.uint64(1) == 0:
                            continue
                        if _met_before(words[p, i], query, bounds, p, step):
                            continue
                        if size == capacity:
                            size = _drop_far(kept, size, limit)
                            if size == capacity:
                                return False
                        kept[size] = (distance << 32) | position
                        size += 1
                        at_distance[distance] += 1
                        if distance < limit:
                            below_limit += 1
                            while below_limit >= k:
                                limit -= 1
                                below_limit -= at_distance[limit]
                    spent += (last - first) * CODE
                    if spent > budget:
                        return False
                    if flips == 0:
                        break
                    # The next larger number with as many one bits.
                    lowest = flips & -flips
                    carried = flips + lowest
                    flips = (((flips ^ carried) >> 2) // lowest) | carried
            # What has not been met differs by more than ``step`` in the parts so far, by ``step`` in the others.
            if limit <= parts * step + p and below_limit + at_distance[limit] >= k:
                size = _drop_far(kept, size, limit)
                found = np.sort(kept[:size])
                for i in range(k):
                    out_distances[i] = found[i] >> 32
                    out_positions[i] = found[i] & 0xFFFFFFFF
                return True
    size = _drop_far(kept, size, limit)
    found = np.sort(kept[:size])
    for i in range(k):
        out_distances[i] = found[i] >> 32
        out_positions[i] = found[i] & 0xFFFFFFFF
    return True


@compiled
def _met_before(words, query, bounds, part, step):
    for p in range(len(bounds) - 1):
        if p != part:
            apart = np.uint64(_part(words, bounds[p], bounds[p + 1]) ^ _part(query, bounds[p], bounds[p + 1]))
            if popcount(apart) < step + (p < part):
                return True
    return False


@compiled
def _drop_far(kept, size, limit):
    remaining = 0
    for i in range(size):
        if kept[i] >> 32 <= limit:
            kept[remaining] = kept[i]
            remaining += 1
    return remaining
