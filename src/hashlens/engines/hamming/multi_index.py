"""Exact search that looks at few of the codes: multi-index hashing.

Codes are cut into m parts, and for each part a table lists the codes by the value of that part. If two codes
differ in at most r bits, they differ in at most floor(r/m) bits in some part. So looking up all values near the
query's own, part by part and at growing distance, soon has met everything within a radius, and stops when that
radius holds k codes (Norouzi, Punjani and Fleet, CVPR 2012).

How much there is to look up grows steeply with the distance of the k-th neighbour. Tables are therefore built only
where a trial on the codes themselves counts half the work of a scan or less, and a query that comes to cost as
much as a scan is left to the scan. Work is counted and weighed with :class:`Costs`, never timed, so that the same
codes always get the same answer.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashlens.codes.packing import bytes_per_code
from hashlens.codes.tiles import Queries, from_tiles
from hashlens.compute.kernels import compiled, popcount
from hashlens.compute.threads import available_threads, even_slices, run_in_threads
from hashlens.engines.hamming.scan import NO_MASKS, Found, nearest

FEWEST = 1 << 21  # codes; a scan of fewer takes less than a millisecond
MOST_PARTS = 8
LONGEST_PART = 24  # bits; a table has an entry for every value
LOOKUP, CODE = 25.0, 1.5  # work: to look up a value in a table, and to compare a code that has it
TRIAL_QUERIES = 64
TRIAL_DEPTHS = (10, 100, 1000)
LEAST_GAIN = 2.0  # over a scan
TIES = 1 << 14  # codes at the distance of the k-th that are kept before a query is left to the scan


@dataclass(frozen=True)
class Costs:
    """What work costs, in nanoseconds that one thread computes; see :mod:`hashlens.engines.hamming.calibration`.

    Attributes:
        alone: for a code that a scan compares with one query.
        together: the same where many queries share the scan.
        work: for a unit of looking up, see ``LOOKUP`` and ``CODE``.
    """

    alone: float
    together: float
    work: float


@dataclass(frozen=True)
class Rule:
    """When tables answer with less work than a scan, for one query alone and for one of many.

    Attributes:
        deepest: the largest k that pays; 0 if none does.
        budgets: work of looking up at which to leave a query to the scan: for the odd query that is far from
            everything.
    """

    deepest: tuple[int, int]
    budgets: tuple[float, float]


ALWAYS = Rule((1 << 62, 1 << 62), (math.inf, math.inf))


@dataclass(frozen=True)
class Tables:
    """The codes of a segment, listed by the values of m parts of them.

    Attributes:
        bounds: (m + 1,) int64; part p consists of bits ``bounds[p]`` … ``bounds[p + 1]`` − 1.
        starts: (m, S + 1) int32; entries ``starts[p, v]`` … ``starts[p, v + 1]`` − 1 of table p have the value v.
        positions: (m, n) int32, of the codes in the segment, ascending for each value.
        words: (m, n, V) uint64, the codes themselves in the same order, so that those of a value lie together.
        rule: when to use them.
    """

    bounds: NDArray[np.int64]
    starts: NDArray[np.int32]
    positions: NDArray[np.int32]
    words: NDArray[np.uint64]
    rule: Rule

    def nearest(
        self, queries: Queries, k: int, masks: NDArray[np.uint64], scan: Callable[[Queries], Found]
    ) -> Found:
        """The ``k`` nearest codes of each query.

        Args:
            k, masks: see :func:`hashlens.engines.hamming.scan.nearest`.
            scan: finds the same for some of the queries by a scan.

        Returns:
            See :func:`hashlens.engines.hamming.scan.nearest`.
        """
        company = int(len(queries) >= available_threads())
        if k > self.rule.deepest[company]:
            return scan(queries)
        distances = np.empty((len(queries), k), np.int32)
        positions = np.empty((len(queries), k), np.int64)
        costs = self.look_up(as_words(queries.packed), masks, self.rule.budgets[company], distances, positions)
        left = np.flatnonzero(costs < 0)
        if len(left):
            distances[left], positions[left] = scan(queries[left])
        return distances, positions

    def look_up(
        self,
        words: NDArray[np.uint64],
        masks: NDArray[np.uint64],
        budget: float,
        distances: NDArray[np.int32],
        positions: NDArray[np.int64],
    ) -> NDArray[np.float64]:
        """Fill the (Q, k) outputs; return the work (Q,), negative for queries that were given up."""
        costs = np.empty(len(words))

        def some(start: int, stop: int) -> None:
            for q in range(start, stop):
                costs[q] = _nearest(
                    self.bounds, self.starts, self.positions, self.words, words[q], masks, TIES, budget,
                    distances[q], positions[q],
                )  # fmt: skip

        run_in_threads(some, even_slices(len(words), min(len(words), 4 * available_threads())))
        return costs


def build_tables(tiles: NDArray[Any], count: int, bits: int, costs: Costs) -> Tables | None:
    """Tables of the codes, if they answer with half the work of a scan or less.

    The codes themselves serve as trial queries. The distance of their neighbours, and how often parts of codes are
    near each other, tell how much work m parts would be; the tables of the cheapest are built and their work
    counted.

    Args:
        tiles: (T, W, 64), see :mod:`hashlens.codes.tiles`, of ``count`` codes.
        costs: of this machine for codes of this length.
    """
    if count < FEWEST:
        return None
    trial = np.arange(0, count, count // TRIAL_QUERIES)[:TRIAL_QUERIES]
    asked = Queries.of(from_tiles(tiles, trial, bits), bits)
    radii = nearest(tiles, count, asked.spread, min(TRIAL_DEPTHS[0], count))[0][:, -1]
    # A scan for one query is shared by all threads, and what one looks up is not.
    scan_work = costs.alone * count / available_threads() / costs.work, costs.together * count / costs.work
    words = as_words(asked.packed)
    fewest_parts = max(2, math.ceil(8 * asked.packed.shape[1] / LONGEST_PART))
    sample = as_words(from_tiles(tiles, np.arange(0, count, max(1, count // (1 << 14))), bits))
    expected = {
        parts: _expected_work(words, radii, sample, count, table_shape(bits, parts)[0])
        for parts in range(fewest_parts, MOST_PARTS + 1)
    }
    parts = min(expected, key=lambda parts: expected[parts], default=0)
    if not expected or expected[parts] * LEAST_GAIN > max(scan_work):
        return None
    tables = make_tables(from_tiles(tiles, np.arange(count), bits), parts)
    rule = _rule(tables, words, scan_work)
    return replace(tables, rule=rule) if any(rule.deepest) else None


def _rule(tables: Tables, words: NDArray[np.uint64], scan_work: tuple[float, float]) -> Rule:
    """Count the work of looking up neighbours of (Q, V) trial queries.

    A query may cost as much as the scan that it would take anyway if it is given up.
    """
    deepest = [0, 0]
    for company, budget in enumerate(scan_work):
        for k in TRIAL_DEPTHS:
            if k > tables.positions.shape[1]:
                break
            found = np.empty((len(words), k), np.int32), np.empty((len(words), k), np.int64)
            work = tables.look_up(words, NO_MASKS, budget, *found)
            if np.where(work < 0, 2 * budget, work).mean() * LEAST_GAIN > budget:
                break
            deepest[company] = k
    return Rule((deepest[0], deepest[1]), scan_work)


def make_tables(packed: NDArray[np.uint8], parts: int) -> Tables:
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
    return Tables(bounds, starts, positions, listed, ALWAYS)


def as_words(packed: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """(n, B) uint8 → (n, ceil(B/8)) uint64, zero-padded."""
    missing = -packed.shape[1] % 8
    padded = np.pad(packed, ((0, 0), (0, missing))) if missing else np.ascontiguousarray(packed)
    return padded.view(np.dtype("<u8")).astype(np.uint64, copy=False)


def table_shape(bits: int, parts: int) -> tuple[NDArray[np.int64], int, int]:
    """Bounds of the parts of codes, how many values the longest part has, and words of a code."""
    code_bytes = bytes_per_code(bits)
    bounds = np.arange(parts + 1, dtype=np.int64) * 8 * code_bytes // parts
    return bounds, 1 << int(np.diff(bounds).max()), -(-code_bytes // 8)


def _expected_work(
    queries: NDArray[np.uint64],
    radii: NDArray[np.int32],
    sample: NDArray[np.uint64],
    count: int,
    bounds: NDArray[np.int64],
) -> float:
    """Mean for a query."""
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
def _nearest(bounds, starts, positions, words, query, masks, ties, budget, out_distances, out_positions):
    """Fill the (k,) outputs and return the work, or return −1 where that exceeds the budget."""
    k = len(out_distances)
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
                    return -1.0
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
                                return -1.0
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
                        return -1.0
                    if flips == 0:
                        break
                    # The next larger number with as many one bits.
                    lowest = flips & -flips
                    carried = flips + lowest
                    flips = (((flips ^ carried) >> 2) // lowest) | carried
            # What has not been met differs by more than ``step`` in the parts so far, by ``step`` in the others.
            complete = limit <= parts * step + p and below_limit + at_distance[limit] >= k
            if complete or (step == longest and p == parts - 1):
                size = _drop_far(kept, size, limit)
                found = np.sort(kept[:size])
                for i in range(k):
                    out_distances[i] = found[i] >> 32
                    out_positions[i] = found[i] & 0xFFFFFFFF
                return spent
    return spent


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
