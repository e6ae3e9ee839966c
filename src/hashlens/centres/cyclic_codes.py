"""Extended cyclic binary codes: BCH and quadratic-residue codes, as generator matrices."""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from hashlens.centres.finite_fields import powers_of_generator

# Length of the extended code: its minimum distance (MacWilliams and Sloane, chapter 16, figure 16.2).
QUADRATIC_RESIDUE_DISTANCES = {24: 8, 42: 10, 48: 12}


@functools.cache
def bch_generators(degree: int, largest_dimension: int) -> tuple[tuple[NDArray[np.uint8], int], ...]:
    """The extended narrow-sense BCH codes of length 2^degree, from small to large (MacWilliams and Sloane, ch. 9).

    Args:
        degree: from 3 to 10.
        largest_dimension: codes of a larger dimension are left out, but for the first that exceeds it.

    Returns:
        Pairs of a (k, 2^degree) uint8 generator matrix, whose first rows generate the smaller codes, and a
        lower bound on the code's minimum distance: the extended designed distance.
    """
    period = 2**degree - 1
    powers = powers_of_generator(2**degree)
    rows = [np.ones((1, period + 1), np.uint8)]
    codes = []
    for leader, members in sorted(_cosets(period).items(), reverse=True):
        # Words of the cyclic code whose only non-zeros are this coset: traces of multiples of x^leader.
        exponents = (np.arange(degree)[:, None] + leader * np.arange(period)) % period
        traces = _trace(powers, exponents, degree)
        rows.append(np.pad(independent_rows(traces)[: len(members)], ((0, 0), (0, 1))))
        generator = np.concatenate(rows)
        codes.append((generator, leader + 1))
        if len(generator) >= largest_dimension:
            break
    return tuple(codes)


def quadratic_residue_generator(length: int) -> NDArray[np.uint8]:
    """(length/2, length) uint8 generator of the extended quadratic-residue code, length − 1 a prime 8t ± 1.

    The residues modulo p are the support of a word whose cyclic shifts, with the all-ones word, span the code.
    """
    prime = length - 1
    residues = np.zeros(prime, np.uint8)
    residues[np.arange(1, prime) ** 2 % prime] = 1
    if prime % 8 == 1:
        # The idempotent has the constant term 1 where −1 is a square.
        residues[0] = 1
    circulant = residues[(np.arange(prime) - np.arange(prime)[:, None]) % prime]
    spanning = np.concatenate([circulant, np.ones((1, prime), np.uint8)])
    extended = np.concatenate([spanning, spanning.sum(1, keepdims=True, dtype=np.uint8) % 2], axis=1)
    return independent_rows(extended)


def _cosets(period: int) -> dict[int, set[int]]:
    """The classes of 1 … period − 1 under doubling modulo the period, by their smallest members."""
    cosets: dict[int, set[int]] = {}
    seen: set[int] = set()
    for leader in range(1, period):
        if leader not in seen:
            members = {leader * 2**power % period for power in range(period.bit_length())}
            cosets[leader] = members
            seen |= members
    return cosets


def _trace(powers: NDArray[np.int64], exponents: NDArray[np.int64], degree: int) -> NDArray[np.uint8]:
    period = len(powers)
    total = np.zeros_like(exponents)
    for power in range(degree):
        total ^= powers[exponents * 2**power % period]
    return total.astype(np.uint8)


def independent_rows(matrix: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A basis of the row space over the field with two elements, in reduced echelon form."""
    reduced = matrix.copy()
    rank = 0
    for column in range(matrix.shape[1]):
        below = np.flatnonzero(reduced[rank:, column])
        if len(below) == 0:
            continue
        pivot = rank + below[0]
        reduced[[rank, pivot]] = reduced[[pivot, rank]]
        others = np.flatnonzero(reduced[:, column])
        others = others[others != rank]
        reduced[others] ^= reduced[rank]
        rank += 1
        if rank == len(reduced):
            break
    return reduced[:rank]
