"""Kerdock codes, of which the Nordstrom–Robinson code is the shortest."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hashlens.centres.finite_fields import powers_of_generator
from hashlens.errors import BadInput

LENGTHS = (16, 64, 256, 1024)


def kerdock_distance(length: int) -> int:
    """Minimum distance of the Kerdock code of length n = 4^r, (n − √n)/2."""
    return (length - int(length**0.5)) // 2


def kerdock_code(length: int, dimension: int) -> NDArray[np.uint8]:
    """2^dimension words of the Kerdock code of length n = 4^r, at distance (n − √n)/2.

    Built as the Gray image of a linear code over the integers modulo 4 (Hammons, Kumar, Calderbank, Sloane
    and Solé, 1994): with h the lift of a primitive polynomial of odd degree m, 2^(m+1) = n, the code is
    spanned by the all-ones word and by m sequences with feedback h, each with a zero in front. The first
    2^(m+2) words are the first-order Reed–Muller code, at distance n/2; every further dimension doubles the
    code. The words chosen are closed under addition modulo 4 and Gray's map keeps distances, so the minimum
    distance is the smallest weight.

    Args:
        length: 16, 64, 256 or 1024.
        dimension: from 1 to 2(m + 1) = 2 log2 n.

    Returns:
        (2^dimension, length) uint8 of 0 and 1.

    Raises:
        BadInput: there is no such code.
    """
    if length not in LENGTHS:
        raise BadInput(f"There is no Kerdock code of length {length}; use one of {', '.join(map(str, LENGTHS))}.")
    degree = length.bit_length() - 2
    if not 1 <= dimension <= 2 * (degree + 1):
        raise BadInput(f"A Kerdock code of length {length} has dimension 1 to {2 * (degree + 1)}, not {dimension}.")
    sequences = _feedback_sequences(degree)
    ones = np.ones((1, sequences.shape[1]), np.int8)
    # Each generator is used with the coefficients 0 and 1; a double stands beside its single.
    generators = np.concatenate([2 * ones, ones, 2 * sequences, sequences])
    words = np.zeros((1, sequences.shape[1]), np.int8)
    for generator in generators[:dimension]:
        words = np.concatenate([words, (words + generator) % 4])
    return np.concatenate([words >= 2, (words == 1) | (words == 2)], axis=1).astype(np.uint8)


def _feedback_sequences(degree: int) -> NDArray[np.int8]:
    """(degree, 2^degree) sequences modulo 4 whose feedback polynomial divides x^(2^degree − 1) − 1."""
    feedback = _lifted_polynomial(degree)
    period = 2**degree - 1
    sequences = np.zeros((degree, period + 1), np.int64)
    sequences[:, 1 : degree + 1] = np.eye(degree)
    for at in range(degree + 1, period + 1):
        sequences[:, at] = -(sequences[:, at - degree : at] @ feedback[:degree]) % 4
    return sequences.astype(np.int8)


def _lifted_polynomial(degree: int) -> NDArray[np.int64]:
    """Coefficients modulo 4, lowest first, of the monic lift of a primitive polynomial, by Graeffe's method."""
    powers = powers_of_generator(2**degree)
    binary = np.zeros(degree + 1, np.int64)
    binary[:degree] = powers[degree] >> np.arange(degree) & 1
    binary[degree] = 1
    even, odd = binary.copy(), binary.copy()
    even[1::2] = 0
    odd[::2] = 0
    squared = np.convolve(even, even) - np.convolve(odd, odd)
    return squared[::2] * squared[-1 if degree % 2 == 0 else 2 * degree] % 4
