"""Codebooks of rows of Hadamard matrices."""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from hashlens.centres.codebook import check_size
from hashlens.centres.finite_fields import prime_power, quadratic_character
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

    Example:
        >>> codebook = hadamard(32, 16).astype(int)
        >>> np.unique(codebook @ codebook.T).tolist()  # orthogonal, opposite, or the same
        [-16, 0, 16]
    """
    check_size(classes, bits)
    order = next(n for n in range(bits, 4 * bits) if has_hadamard_matrix(n))
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

    By Sylvester's doubling and Paley's two constructions from the squares of a finite field (Paley 1933), and
    their Kronecker products. ``None`` where none of them applies, see :func:`has_hadamard_matrix`.
    """
    if not has_hadamard_matrix(order):
        return None
    if order == 1:
        return np.ones((1, 1), np.int8)
    if order == 2:
        return np.array([[1, 1], [1, -1]], np.int8)
    if prime_power(order - 1):
        return _paley_first(order - 1)
    factor = _factor_of_product(order)
    if factor is None:
        return _paley_second(order // 2 - 1)
    left, right = hadamard_matrix(factor), hadamard_matrix(order // factor)
    assert left is not None and right is not None
    return np.kron(left, right).astype(np.int8)


@functools.cache
def has_hadamard_matrix(order: int) -> bool:
    """Whether :func:`hadamard_matrix` knows a matrix of this order; costs next to nothing."""
    if order < 4 or order % 4:
        return order in (1, 2)
    if prime_power(order - 1) or _factor_of_product(order) is not None:
        return True
    return (order // 2 - 1) % 4 == 1 and prime_power(order // 2 - 1) is not None


def _factor_of_product(order: int) -> int | None:
    for factor in range(2, int(order**0.5) + 1):
        if order % factor == 0 and has_hadamard_matrix(factor) and has_hadamard_matrix(order // factor):
            return factor
    return None


def _paley_first(order: int) -> NDArray[np.int8]:
    """Order q + 1 for a prime power q ≡ 3 (mod 4)."""
    skew = np.zeros((order + 1, order + 1), np.int8)
    skew[0, 1:] = 1
    skew[1:, 0] = -1
    skew[1:, 1:] = quadratic_character(order)
    return skew + np.eye(order + 1, dtype=np.int8)


def _paley_second(order: int) -> NDArray[np.int8]:
    """Order 2(q + 1) for a prime power q ≡ 1 (mod 4)."""
    symmetric = np.zeros((order + 1, order + 1), np.int8)
    symmetric[0, 1:] = symmetric[1:, 0] = 1
    symmetric[1:, 1:] = quadratic_character(order)
    off_diagonal = np.kron(symmetric, np.array([[1, 1], [1, -1]], np.int8))
    diagonal = np.kron(np.eye(order + 1, dtype=np.int8), np.array([[1, -1], [-1, -1]], np.int8))
    return (off_diagonal + diagonal).astype(np.int8)
