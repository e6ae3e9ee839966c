"""Equal codes searched once: trained codes collapse, so that many images share one.

Distinct codes are kept in the order of their first holder. Then the k nearest items belong to the k nearest
distinct codes, ties by first holder: were an item's code not among these, the first holders of the k codes before
it would all come before the item. So distinct codes are searched as any others are, and their holders listed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashlens.codes.distances import available_threads, compiled, even_slices, run_in_threads
from hashlens.codes.tiles import to_tiles
from hashlens.index.scan import Found, Ragged

LEAST_SHARING = 2  # items for each distinct code from which on listing them apart pays
SAMPLE = 1 << 17  # codes that tell whether it is worth while to look at all of them
FEWEST = 1 << 10  # codes; fewer are scanned faster than anything else is done


@dataclass(frozen=True)
class Distinct:
    """The distinct codes of a segment and who holds them.

    Attributes:
        tiles: (T, W, 64), see :mod:`hashlens.codes.tiles`, in order of their first holders.
        count: D, how many there are.
        starts: (D + 1,) int64; the holders of code d are ``holders[starts[d]:starts[d + 1]]``.
        holders: (n,) int32 positions in the segment, ascending for each code.
    """

    tiles: NDArray[Any]
    count: int
    starts: NDArray[np.int64]
    holders: NDArray[np.int32]

    def expand(self, distances: NDArray[np.int32], codes: NDArray[np.int64], k: int) -> Found:
        """The ``k`` nearest items, from the min(k, D) nearest distinct codes of each query."""
        found = np.empty((len(codes), k), np.int32), np.empty((len(codes), k), np.int64)

        def fill(start: int, stop: int) -> None:
            _expand(
                distances[start:stop], codes[start:stop], self.starts, self.holders,
                found[0][start:stop], found[1][start:stop],
            )  # fmt: skip

        run_in_threads(fill, even_slices(len(codes), available_threads() if codes.size > SAMPLE else 1))
        return found

    def expand_all(self, distances: list[NDArray[np.int32]], codes: list[NDArray[np.int64]]) -> Ragged:
        """All items with the given codes; one array of codes per query, sorted by distance, then code."""
        found: Ragged = [], []
        for row_distances, row_codes in zip(distances, codes, strict=True):
            size = int((self.starts[row_codes + 1] - self.starts[row_codes]).sum())
            filled = np.empty((1, size), np.int32), np.empty((1, size), np.int64)
            _expand(row_distances[None], row_codes[None], self.starts, self.holders, *filled)
            found[0].append(filled[0][0])
            found[1].append(filled[1][0])
        return found


def find_distinct(packed: NDArray[np.uint8], bits: int) -> Distinct | None:
    """The distinct ones of (N, B) packed codes, if there are at least twice as many codes as distinct ones."""
    found = group_equal(packed)
    if found is None:
        return None
    groups, firsts = found
    starts, holders = _list_holders(groups, len(firsts))
    return Distinct(to_tiles(packed[firsts], bits), len(firsts), starts, holders)


def group_equal(rows: NDArray[np.uint8]) -> tuple[NDArray[np.int32], NDArray[np.int64]] | None:
    """Group equal rows, if there are at least ``LEAST_SHARING`` times as many as distinct ones.

    Spread-out rows are told from a sample: N rows with at most N/m distinct ones have at least m·s²/2N equal pairs
    among s of them on average.

    Args:
        rows: (N, B) uint8, C-contiguous.

    Returns:
        (N,) int32 numbers of the distinct rows, in order of appearance, and (D,) int64 where each appears first;
        None where too few are equal.
    """
    count = len(rows)
    if count < FEWEST:
        return None
    words = _widest_words(rows)
    if count > 2 * SAMPLE:
        sample = words[np.arange(SAMPLE, dtype=np.int64) * count // SAMPLE]
        groups, firsts = _group(sample, SAMPLE)
        sizes = np.bincount(groups, minlength=len(firsts))
        if (sizes * (sizes - 1)).sum() // 2 < LEAST_SHARING * SAMPLE**2 / (2 * count) / 2:
            return None
    groups, firsts = _group(words, count // LEAST_SHARING)
    return (groups, firsts) if len(firsts) * LEAST_SHARING <= count else None


def count_distinct(rows: NDArray[np.uint8]) -> int:
    """How many of (N, B) uint8 rows, C-contiguous, are different."""
    return len(_group(_widest_words(rows), len(rows))[1])


def _widest_words(packed: NDArray[np.uint8]) -> NDArray[Any]:
    for dtype in (np.uint64, np.uint32, np.uint16):
        if packed.shape[1] % np.dtype(dtype).itemsize == 0 and packed.ctypes.data % np.dtype(dtype).itemsize == 0:
            return packed.view(dtype)
    return packed


@compiled
def _group(words, most):
    """Number distinct rows in order of appearance; stop, with results of no use, when there are more than ``most``.

    Returns the number of each row (int32), and where each distinct one appears first.
    """
    count, width = words.shape
    size_bits = 10
    while (1 << size_bits) < 2 * min(most + 1, count):
        size_bits += 1
    size = 1 << size_bits
    slots = np.full(size, -1, np.int32)
    groups = np.empty(count, np.int32)
    firsts = np.empty(min(most + 1, count), np.int64)
    distinct = 0
    for i in range(count):
        mixed = np.uint64(0)
        for w in range(width):
            mixed = (mixed ^ np.uint64(words[i, w])) * np.uint64(0x9E3779B97F4A7C15)
            mixed ^= mixed >> np.uint64(32)
        slot = np.int64((mixed * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(64 - size_bits))
        while True:
            group = slots[slot]
            if group < 0:
                slots[slot] = distinct
                groups[i] = distinct
                firsts[distinct] = i
                distinct += 1
                break
            same = True
            for w in range(width):
                if words[firsts[group], w] != words[i, w]:
                    same = False
                    break
            if same:
                groups[i] = group
                break
            slot = (slot + 1) & (size - 1)
        if distinct > most:
            break
    return groups, firsts[:distinct].copy()


@compiled
def _list_holders(groups, distinct):
    starts = np.zeros(distinct + 1, np.int64)
    for group in groups:
        starts[group + 1] += 1
    for group in range(distinct):
        starts[group + 1] += starts[group]
    next_slot = starts[:-1].copy()
    holders = np.empty(len(groups), np.int32)
    for i in range(len(groups)):
        holders[next_slot[groups[i]]] = i
        next_slot[groups[i]] += 1
    return starts, holders


@compiled
def _expand(distances, codes, starts, holders, out_distances, out_positions):
    """Fill each row of the outputs with the first holders of the codes, by distance, then position."""
    k = out_distances.shape[1]
    for q in range(len(codes)):
        filled = 0
        first = 0
        while filled < k:
            last = first
            size = 0
            most = 0
            places = k - filled
            while last < codes.shape[1] and distances[q, last] == distances[q, first]:
                holding = starts[codes[q, last] + 1] - starts[codes[q, last]]
                size += holding
                most += min(holding, places)
                last += 1
            level = out_positions[q, filled : filled + size] if size <= places else np.empty(most, np.int64)
            position = 0
            for i in range(first, last):
                start = starts[codes[q, i]]
                for h in range(start, min(starts[codes[q, i] + 1], start + places)):
                    level[position] = holders[h]
                    position += 1
            if last > first + 1:
                level.sort()
            taken = min(size, places)
            out_positions[q, filled : filled + taken] = level[:taken]
            out_distances[q, filled : filled + taken] = distances[q, first]
            filled += taken
            first = last
