"""How large the minimum distance of a codebook can be: what is guaranteed, and what is impossible."""

from __future__ import annotations

import functools
import math
from fractions import Fraction

from hashlens.centres.codebook import check_size

HIGHEST_DEGREE = 32  # of the polynomials: codes of up to 100,000 words gain nothing from higher ones


def gilbert_varshamov_distance(classes: int, bits: int) -> int:
    """The d that SHC derives from the bound of Gilbert and Varshamov (Chen et al., 2025).

    Words chosen one after the other, each outside the balls of radius d − 1 around the earlier ones, do not
    run out before there are 2^K/V of them, V = Σ_{i<d} C(K, i) the size of a ball. The paper's d is the first
    at which this guarantees no more than C words.

    Args:
        classes: C, from 1 to 100,000 and at most 2^K.
        bits: K, from 8 to 1024.

    Returns:
        The smallest d with C · Σ_{i<d} C(K, i) ≥ 2^K, from 1 to K + 1 (K + 1 only for one class).

    Raises:
        BadInput: C or K is out of range.

    Example:
        >>> gilbert_varshamov_distance(100, 16)  # maximum_distance(100, 16) has 6
        4
    """
    check_size(classes, bits)
    distance, ball = 0, 0
    while classes * ball < 2**bits:
        ball += math.comb(bits, distance)
        distance += 1
    return distance


@functools.lru_cache(maxsize=1024)
def distance_upper_bound(classes: int, bits: int) -> int:
    """A distance that no C codes of K bits can exceed, the smallest that these bounds give.

    Plotkin's bound, applied also to shortened codes; sphere packing; and Delsarte's linear program for codes
    with even distances, its solution checked in exact arithmetic (MacWilliams and Sloane, chapters 2 and 17).

    Args:
        classes: C, from 1 to 100,000 and at most 2^K.
        bits: K, from 8 to 1024.

    Returns:
        From 1 to K; K where C ≤ 2.

    Raises:
        BadInput: C or K is out of range.

    Example:
        >>> distance_upper_bound(100, 16)  # which is reached
        6
    """
    check_size(classes, bits)
    if classes <= 2:
        return bits
    possible, excluded = 1, bits
    while excluded - possible > 1:
        distance = (possible + excluded) // 2
        if classes <= _largest_size(bits, distance):
            possible = distance
        else:
            excluded = distance
    return possible


def _largest_size(bits: int, distance: int) -> int:
    """An upper bound on the number of words of ``bits`` bits at this distance."""
    # A parity bit makes every odd distance even, so the question for an odd d is that of d + 1 and one bit more.
    length, even = bits + distance % 2, distance + distance % 2
    cheap = min(_plotkin(length, even), _sphere_packing(length - 1, even - 1))
    return cheap if cheap < 3 else min(cheap, _delsarte(length, even))


def _plotkin(length: int, distance: int) -> int:
    """Words at an even distance d: 2⌊d/(2d − n)⌋ if 2d > n, 2n if 2d = n; one bit more at most doubles them."""
    shortest = min(length, 2 * distance)
    most = 2 * shortest if shortest == 2 * distance else 2 * (distance // (2 * distance - shortest))
    return most << (length - shortest)


def _sphere_packing(length: int, distance: int) -> int:
    radius = (distance - 1) // 2
    return 2**length // sum(math.comb(length, i) for i in range(radius + 1))


def _delsarte(length: int, distance: int) -> int:
    """Words of n bits whose distances are even and at least d, by linear programming.

    Any f(i) = 1 + Σ_k b_k κ_k(i) with b ≥ 0 and κ_k the Krawtchouk polynomials, scaled to 1 at 0, has an
    average of at least 1 over all ordered pairs of words. If f ≤ ε at all distances that occur, then M words
    satisfy f(0) + (M − 1) ε ≥ M. The program seeks the f with ε = 0 and the smallest f(0); it works in
    floating point, so its ε is then computed exactly.
    """
    import numpy as np
    from scipy.optimize import linprog

    distances = range(distance, length + 1, 2)
    degree = min(length // 2, HIGHEST_DEGREE)  # κ_(n − k) equals κ_k at even distances
    values = [_krawtchouk(length, degree, i) for i in distances]
    solution = linprog(
        np.ones(degree),
        A_ub=np.array([[float(value) for value in row] for row in values]),
        b_ub=-np.ones(len(values)),
        method="highs",
    )
    if solution.x is None:
        return 2**length
    weights = [Fraction(max(0.0, float(weight))) for weight in solution.x]
    excess = max(1 + sum(w * v for w, v in zip(weights, row, strict=True) if w) for row in values)
    excess = max(excess, Fraction(0))
    if excess >= 1:
        return 2**length
    return math.floor((1 + sum(weights) - excess) / (1 - excess))


def _krawtchouk(length: int, degree: int, at: int) -> list[Fraction]:
    """κ_1 … κ_degree at one distance: K_k(i)/C(n, k) by the three-term recurrence."""
    before, current = 1, length - 2 * at
    values = []
    for k in range(1, degree + 1):
        values.append(Fraction(current, math.comb(length, k)))
        before, current = current, ((length - 2 * at) * current - (length - k + 1) * before) // (k + 1)
    return values
