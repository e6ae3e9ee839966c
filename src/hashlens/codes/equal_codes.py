"""Which codes are equal: trained codes collapse, so that many images share one."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashlens.compute.kernels import compiled

LEAST_SHARING = 2  # items for each distinct code from which on listing them apart pays
SAMPLE = 1 << 17  # codes that tell whether it is worth while to look at all of them
FEWEST = 1 << 10  # codes; fewer are scanned faster than anything else is done


def group_equal(rows: NDArray[np.uint8]) -> tuple[NDArray[np.int32], NDArray[np.int64]] | None:
    """Group equal rows, if there are at least ``LEAST_SHARING`` times as many as distinct ones.

    Spread-out rows are told from a sample: N rows with at most N/m distinct ones have at least m·s²/2N equal pairs
    among s of them on average.

    Args:
        rows: (N, B) uint8, C-contiguous.

    Returns:
        (N,) int32 numbers of the distinct rows, in order of appearance, and (D,) int64 where each appears first;
        None where too few are equal.

    Example:
        >>> groups, firsts = group_equal(np.array([[7], [3], [7]] * 1000, np.uint8))
        >>> groups[:4].tolist(), firsts.tolist()
        ([0, 1, 0, 0], [0, 1])
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
    """How many of (N, B) uint8 rows, C-contiguous, are different.

    Example:
        >>> count_distinct(np.array([[7], [3], [7]], np.uint8))
        2
    """
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
