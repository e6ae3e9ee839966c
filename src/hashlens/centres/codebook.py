"""What all codebooks have in common: their limits, and the distances between their rows."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hashlens.codes.distances import distances_in_block
from hashlens.codes.packing import check_bits, pack, to_words
from hashlens.compute.kernels import compiled
from hashlens.errors import BadInput

LARGEST_CODEBOOK = 100_000


def check_size(classes: int, bits: int) -> None:
    """Raise :class:`BadInput` unless ``classes`` distinct codes of ``bits`` bits exist and are within limits."""
    check_bits(bits)
    if not 1 <= classes <= LARGEST_CODEBOOK:
        raise BadInput(f"A codebook for {classes} classes is out of range; use 1 to {LARGEST_CODEBOOK:,}.")
    if bits < 63 and classes > 2**bits:
        raise BadInput(f"{bits} bits hold only {2**bits} distinct codes, too few for {classes} classes.")


def check_codebook(codebook: ArrayLike, classes: int | None = None, bits: int | None = None) -> NDArray[np.int8]:
    """Return a user's codebook as (C, K) int8.

    Args:
        codebook: (C, K) integers or real numbers, all −1 or +1.
        classes, bits: C and K, where they are known.

    Raises:
        BadInput: it is not a (C, K) array of −1 and +1 of the wanted size with distinct rows.

    Example:
        >>> check_codebook([[1.0, -1.0] * 4, [1.0, 1.0] * 4]).dtype
        dtype('int8')
        >>> check_codebook([[1, -1] * 4, [1, -1] * 4])
        Traceback (most recent call last):
        ...
        hashlens.errors.BadInput: The codebook has only 1 distinct rows; one stands 2 times.
    """
    array = np.asarray(codebook)
    if array.ndim != 2 or array.dtype.kind not in "iuf" or not (np.abs(array) == 1).all():
        raise BadInput(f"A codebook must be a (C, K) array of −1 and +1, not {array.dtype} {array.shape}.")
    for name, wanted, found in (("classes", classes, array.shape[0]), ("bits", bits, array.shape[1])):
        if wanted is not None and wanted != found:
            raise BadInput(f"The codebook is for {found} {name}, but {wanted} are needed.")
    check_size(*array.shape)
    rows, counts = np.unique(pack(array), axis=0, return_counts=True)
    if len(rows) < len(array):
        raise BadInput(f"The codebook has only {len(rows)} distinct rows; one stands {counts.max()} times.")
    return array.astype(np.int8)


def minimum_distance(codebook: NDArray[np.int8]) -> int:
    """Smallest Hamming distance between two rows of a (C, K) codebook in {−1, +1}, C ≥ 2.

    Example:
        >>> minimum_distance(np.array([[1, 1, -1], [1, -1, 1], [1, 1, 1]], np.int8))
        1
    """
    counts = distance_counts(codebook)
    return int(np.flatnonzero(counts)[0])


def distance_counts(codebook: NDArray[np.int8]) -> NDArray[np.int64]:
    """(K + 1,) number of pairs of rows at each Hamming distance."""
    counts = np.zeros(codebook.shape[1] + 1, np.int64)
    _count_pairs(to_words(pack(codebook)), counts)
    return counts


@compiled
def _count_pairs(words, counts):
    count = words.shape[1]
    distances = np.empty(count, np.int16)
    for row in range(count - 1):
        distances_in_block(words, words[:, row].copy(), row + 1, count, distances)
        for i in range(count - row - 1):
            counts[distances[i]] += 1
