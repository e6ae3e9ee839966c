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

from hashlens.codes.equal_codes import group_equal
from hashlens.codes.tiles import to_tiles
from hashlens.compute.kernels import compiled
from hashlens.compute.threads import available_threads, even_slices, run_in_threads
from hashlens.engines.hamming.scan import Found, Ragged

MANY = 1 << 17  # neighbours from which on several threads list the holders of codes


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

        run_in_threads(fill, even_slices(len(codes), available_threads() if codes.size > MANY else 1))
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
