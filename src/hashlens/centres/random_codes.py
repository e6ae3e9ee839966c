"""Codebooks of random codes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hashlens.centres.codebook import check_size

ENUMERABLE_BITS = 24


def bernoulli(classes: int, bits: int, seed: int = 0) -> NDArray[np.int8]:
    """Each entry is +1 or −1 with probability 1/2 (OrthoHash, section 3.2), given that all rows differ.

    Args:
        classes: C, from 1 to 100,000 and at most 2^K.
        bits: K, from 8 to 1024.
        seed: the same seed gives the same codes.

    Returns:
        (C, K) int8 in {−1, +1} with distinct rows.

    Raises:
        BadInput: C or K is out of range, or C distinct rows do not exist.

    Example:
        >>> codebook = bernoulli(10, 64)
        >>> codebook.shape, codebook.dtype, np.unique(codebook).tolist()
        ((10, 64), dtype('int8'), [-1, 1])
    """
    check_size(classes, bits)
    random = np.random.default_rng(seed)
    if bits <= ENUMERABLE_BITS:
        numbers = random.choice(2**bits, classes, replace=False)
        return ((numbers[:, None] >> np.arange(bits) & 1) * 2 - 1).astype(np.int8)
    rows = np.empty((0, bits), np.int8)
    while len(rows) < classes:  # a repeated row is rare at this length, and drawn again
        fresh = random.integers(0, 2, (classes - len(rows), bits), dtype=np.int8) * 2 - 1
        rows = np.concatenate([rows, fresh])
        _, first = np.unique(np.packbits(rows > 0, axis=1), axis=0, return_index=True)
        rows = rows[np.sort(first)]
    return rows
