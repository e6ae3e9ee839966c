"""Codes from conference matrices."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hashlens.centres.finite_fields import prime_power, quadratic_character
from hashlens.errors import BadInput


def exists(length: int) -> bool:
    """Whether :func:`conference_code` knows a code of this length."""
    return length % 4 == 1 and prime_power(length) is not None


def conference_code(length: int) -> NDArray[np.uint8]:
    """2(q + 1) words of length q at distance (q − 1)/2, for a prime power q ≡ 1 (mod 4).

    With Q the matrix of the quadratic character (the core of Paley's symmetric conference matrix of order
    q + 1), the words are the rows of (Q + I + J)/2 and of (−Q + I + J)/2, zero, and all ones (Sloane and
    Seidel, 1970).

    Returns:
        (2q + 2, q) uint8 of 0 and 1.

    Raises:
        BadInput: ``length`` is not such a prime power.
    """
    if not exists(length):
        raise BadInput(f"There is no conference code of length {length}, which must be a prime power 4t + 1.")
    core = quadratic_character(length).astype(np.int64)
    diagonal = np.eye(length, dtype=np.int64) + 1
    both = np.concatenate([core + diagonal, -core + diagonal]) // 2
    ends = np.stack([np.zeros(length), np.ones(length)])
    return np.concatenate([ends, both]).astype(np.uint8)
