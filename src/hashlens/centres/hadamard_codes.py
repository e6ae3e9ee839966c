"""Codebooks of rows of Hadamard matrices."""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from hashlens.centres.codebook import check_size
from hashlens.centres.random_codes import bernoulli


def hadamard(classes: int, bits: int, seed: int = 0) -> NDArray[np.int8]:
    """Mutually orthogonal centres where they exist (CSQ, Yuan et al., CVPR 2020, algorithm 1).

    Rows of a Hadamard matrix of order K are at distance K/2 from each other; with their negatives they are
    2K centres at least K/2 apart. CSQ builds the matrix by Sylvester's doubling, so it needs K to be a power
    of two; we add Paley's constructions. Where no matrix of order K is known, columns of a slightly larger
    one are dropped, at the price of at most one unit of distance for each. As in CSQ, more than 2K classes
    get Bernoulli centres.

    Args:
        classes: C, from 1 to 100,000 and at most 2^K.
        bits: K, from 8 to 1024.
        seed: decides which rows are taken, which columns are kept, and which columns change sign.

    Returns:
        (C, K) int8 in {−1, +1} with distinct rows.

    Raises:
        BadInput: C or K is out of range.
    """
    check_size(classes, bits)
    order = next(n for n in range(bits, 4 * bits) if hadamard_matrix(n) is not None)
    matrix = hadamard_matrix(order)
    assert matrix is not None
    if classes > 2 * order:
        return bernoulli(classes, bits, seed)
    random = np.random.default_rng(seed)
    columns = np.sort(random.permutation(order)[:bits])
    rows = random.permutation(order)
    signed = np.concatenate([matrix[rows], -matrix[rows]])[:classes, columns]
    # The all-ones row of the matrix would set every bit of one class; flipping columns spreads the signs.
    return (signed * random.choice(np.array([-1, 1], np.int8), bits)).astype(np.int8)


@functools.cache
def hadamard_matrix(order: int) -> NDArray[np.int8] | None:
    """A Hadamard matrix: (n, n) int8 in {−1, +1} with orthogonal rows.

    By Sylvester's doubling and Paley's two constructions from the squares modulo a prime (Paley 1933), and
    their Kronecker products. ``None`` where none of them applies.
    """
    if order == 1:
        return np.ones((1, 1), np.int8)
    if order == 2:
        return np.array([[1, 1], [1, -1]], np.int8)
    if order < 4 or order % 4:
        return None
    if _is_prime(order - 1):
        return _paley_first(order - 1)
    for factor in range(2, int(order**0.5) + 1):
        if order % factor == 0:
            left, right = hadamard_matrix(factor), hadamard_matrix(order // factor)
            if left is not None and right is not None:
                return np.kron(left, right).astype(np.int8)
    if _is_prime(order // 2 - 1) and (order // 2 - 1) % 4 == 1:
        return _paley_second(order // 2 - 1)
    return None


def _is_prime(number: int) -> bool:
    return number > 1 and all(number % factor for factor in range(2, int(number**0.5) + 1))


def _jacobsthal(prime: int) -> NDArray[np.int8]:
    """Entry (i, j) is +1 where i − j is a non-zero square modulo the prime, −1 where it is none, else 0."""
    character = np.full(prime, -1, np.int8)
    character[np.arange(prime) ** 2 % prime] = 1
    character[0] = 0
    positions = np.arange(prime)
    return character[(positions[:, None] - positions) % prime]


def _paley_first(prime: int) -> NDArray[np.int8]:
    """Order p + 1 for a prime p ≡ 3 (mod 4)."""
    skew = np.zeros((prime + 1, prime + 1), np.int8)
    skew[0, 1:] = 1
    skew[1:, 0] = -1
    skew[1:, 1:] = _jacobsthal(prime)
    return skew + np.eye(prime + 1, dtype=np.int8)


def _paley_second(prime: int) -> NDArray[np.int8]:
    """Order 2(p + 1) for a prime p ≡ 1 (mod 4)."""
    symmetric = np.zeros((prime + 1, prime + 1), np.int8)
    symmetric[0, 1:] = symmetric[1:, 0] = 1
    symmetric[1:, 1:] = _jacobsthal(prime)
    off_diagonal = np.kron(symmetric, np.array([[1, 1], [1, -1]], np.int8))
    diagonal = np.kron(np.eye(prime + 1, dtype=np.int8), np.array([[1, -1], [-1, -1]], np.int8))
    return (off_diagonal + diagonal).astype(np.int8)
