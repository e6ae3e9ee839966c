"""What a code loses when it is rounded, in a byte for each bit: it orders what codes cannot tell apart."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

LARGEST = 127


def as_details(continuous: ArrayLike, threshold: float = 0.0) -> NDArray[np.int8]:
    """Continuous codes in a byte for each entry.

    Each code is scaled so that its largest entry becomes 127: lengths do not matter to cosines.

    Args:
        continuous: (N, K) real numbers.
        threshold: 0 for codes around zero, 0.5 for sigmoid codes.

    Returns:
        (N, K) int8.

    Example:
        >>> as_details([[0.5, -0.25, 0.0]]).tolist()
        [[127, -64, 0]]
    """
    centred = np.asarray(continuous, np.float32) - np.float32(threshold)
    largest = np.abs(centred).max(1, keepdims=True, initial=1e-12)
    return np.rint(centred * (LARGEST / largest)).astype(np.int8)


def detail_cosines(query: NDArray[np.int8], details: NDArray[np.int8]) -> NDArray[np.float32]:
    """Cosines of one code (K,) with others (n, K), all from :func:`as_details`; (n,), 1 for equal ones.

    Example:
        >>> others = np.array([[127, -64], [64, 127]], np.int8)
        >>> detail_cosines(others[0], others).round(2).tolist()
        [1.0, 0.0]
    """
    asked, others = query.astype(np.float32), details.astype(np.float32)
    lengths = np.linalg.norm(others, axis=1) * np.linalg.norm(asked)
    return (others @ asked) / np.maximum(lengths, np.float32(1e-12))


def detail_order(query: NDArray[np.int8], details: NDArray[np.int8]) -> NDArray[np.intp]:
    """Others (n, K) in the order in which they are shown, by :func:`detail_cosines`; equal ones as they stand.

    Example:
        >>> others = np.array([[-127, 64], [127, -64], [64, 127]], np.int8)
        >>> detail_order(others[1], others).tolist()
        [1, 2, 0]
    """
    return np.argsort(-detail_cosines(query, details), kind="stable")
