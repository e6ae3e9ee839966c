"""The hash centres of CSQ (Yuan et al., CVPR 2020, algorithm 1)."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from hashlens.centres.codebook import check_size, distance_counts
from hashlens.centres.hadamard_codes import hadamard_matrix
from hashlens.errors import BadInput

TRIES = 20  # of the sampled centres, as in DeepHash-pytorch


def csq(classes: int, bits: int, seed: int = 0) -> NDArray[np.int8]:
    """Rows of a Hadamard matrix and their negatives, then sampled centres at K/2 from each other on average.

    Where K is a power of two, the first 2K centres are the rows of Sylvester's matrix and their negatives. The
    other centres, or all where K is no power of two, have −1 at half of the places, drawn at random. Of up to 20
    such draws the first is taken in which the smallest distance exceeds K/4 and the mean is at least K/2, or else
    the last: the rule of DeepHash-pytorch, after the authors' advice. Their own notebook, on 64 bits, draws until
    the smallest distance is 20.

    Deviations: the seed decides the order of the rows; where K is odd, half of the sampled centres have one −1 more
    than the others; centres that are drawn twice are drawn again.

    Args:
        classes: C, from 1 to 100,000.
        bits: K, from 8 to 1024.
        seed: decides the order of the rows, and what is sampled.

    Returns:
        (C, K) int8 in {−1, +1} with distinct rows.

    Raises:
        BadInput: C or K is out of range, or there are fewer such centres than classes.

    Example:
        >>> codebook = csq(32, 16).astype(int)
        >>> np.unique(codebook @ codebook.T).tolist()  # orthogonal, opposite, or the same
        [-16, 0, 16]
        >>> csq(10, 24).sum(1).tolist()
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
    """
    check_size(classes, bits)
    random = np.random.default_rng(seed)
    fixed = np.empty((0, bits), np.int8)
    if bits & (bits - 1) == 0:
        rows = _sylvester(bits)[random.permutation(bits)]
        fixed = np.concatenate([rows, -rows])[:classes]
    if len(fixed) == classes:
        return fixed
    halves = sorted({bits // 2, bits - bits // 2})
    possible = len(fixed) + sum(math.comb(bits, half) for half in halves) - _balanced(fixed, halves)
    if possible < classes:
        raise BadInput(
            f"CSQ has only {possible} centres of {bits} bits, too few for {classes} classes; use others."
        )
    codebook = fixed
    for _ in range(TRIES):
        codebook = _filled(fixed, classes, bits, random)
        counts = distance_counts(codebook) if classes > 1 else np.ones(bits + 1, np.int64)
        mean = counts @ np.arange(bits + 1) / counts.sum()
        if np.flatnonzero(counts)[0] > bits / 4 and mean >= bits / 2:
            break
    return codebook


def _sylvester(bits: int) -> NDArray[np.int8]:
    """(K, K) by doubling, K a power of two."""
    matrix = np.ones((1, 1), np.int8)
    doubling = hadamard_matrix(2)
    assert doubling is not None
    while len(matrix) < bits:
        matrix = np.kron(doubling, matrix).astype(np.int8)
    return matrix


def _balanced(codes: NDArray[np.int8], halves: list[int]) -> int:
    """How many of these codes might be sampled too."""
    return int(np.isin((codes < 0).sum(1), halves).sum())


def _filled(fixed: NDArray[np.int8], classes: int, bits: int, random: np.random.Generator) -> NDArray[np.int8]:
    """(C, K), the fixed codes and sampled ones after them, no two equal."""
    found = {code.tobytes(): code for code in fixed}
    while len(found) < classes:
        code = np.ones(bits, np.int8)
        half = bits // 2 + (bits % 2 and len(found) % 2)
        code[random.permutation(bits)[:half]] = -1
        found.setdefault(code.tobytes(), code)
    return np.stack(list(found.values()))
