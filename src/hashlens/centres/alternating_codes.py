"""The hash centres of SHC (Chen et al., 2025, stage 2), by the authors' own alternating optimisation."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hashlens.centres.codebook import check_codebook
from hashlens.centres.distance_bounds import gilbert_varshamov_distance
from hashlens.centres.lp_box_codes import mds
from hashlens.classes import check_similarity

# Of the authors' program.
ROUNDS, PASSES = 30, 3
PENALTY = 0.2  # ρ, ties the real codes to the binary ones
APART = 0.625  # μ, weight of the sum of all inner products
CONSTRAINT = 1e-6  # β, penalty of the distance constraints
STEP = 2.0  # 1/η
CONSTRAINT_SCALE = 1e-4
FIRST_MULTIPLIER = 0.1


def shc(
    classes: int, bits: int, seed: int = 0, *, similarity: ArrayLike, start: ArrayLike | None = None
) -> NDArray[np.int8]:
    """Centres whose cosines follow a class similarity: MDS centres, of which all bits of a class are set at a time.

    min ‖S − HHᵀ/K‖² subject to a distance of at least d (:func:`gilbert_varshamov_distance`) between every two
    centres. In turn: real codes M that reproduce S from H, tied to it; slacks of the distances; for each class the
    sign of a gradient step on all its bits, which is taken if no pair of centres is nearer than d then; and
    multipliers. The H with the smallest mismatch is kept. As in the authors' program, multipliers of the distances
    stay 0, and their penalty hardly counts. :func:`semantic` fits better.

    Args:
        classes: C, from 2 to 1,000.
        bits: K, from 8 to 1024.
        seed: of the start.
        similarity: S, (C, C) in [−1, 1], symmetric, 1 on the diagonal.
        start: a (C, K) codebook to start from; that of :func:`mds` where it is ``None``.

    Returns:
        (C, K) int8 in {−1, +1} with distinct rows.

    Raises:
        BadInput: the similarity or the start does not fit, or C or K is out of range.

    Example:
        >>> similarity = [[1, 0.5, -0.5], [0.5, 1, -0.5], [-0.5, -0.5, 1]]
        >>> shc(3, 16, similarity=similarity).shape
        (3, 16)
    """
    wanted = check_similarity(similarity, classes)
    first = mds(classes, bits, seed) if start is None else check_codebook(start, classes, bits)
    distance = gilbert_varshamov_distance(classes, bits)
    codes = np.ascontiguousarray(first.T, np.float64)  # H, (K, C)
    limit = bits - 2 * distance
    multipliers = np.full((bits, classes), FIRST_MULTIPLIER)
    best, least = codes.copy(), np.inf
    for _ in range(ROUNDS):
        system = 2 / bits**2 * codes @ codes.T + PENALTY * np.eye(bits)
        relaxed = np.linalg.solve(system, 2 / bits * codes @ wanted + multipliers + PENALTY * codes)
        slacks = np.maximum(limit - codes.T @ codes, 0)
        gram, pull = 2 / bits**2 * relaxed @ relaxed.T, 2 / bits * relaxed @ wanted
        for _ in range(PASSES):
            for number in range(classes):
                code = codes[:, number].copy()
                weights = limit - slacks[number]
                weights[number] = 0
                others = 2 * APART * (codes.sum(1) - code) + CONSTRAINT * (
                    2 * bits * (classes - 1) * code - 2 * codes @ weights
                )
                gradient = gram @ code - pull[:, number] + multipliers[:, number]
                gradient += PENALTY * (code - relaxed[:, number]) + CONSTRAINT_SCALE * others
                codes[:, number] = np.where(code - STEP * gradient > 0, 1.0, -1.0)
                if _largest_product(codes) > limit:
                    codes[:, number] = code
        multipliers += PENALTY * (codes - relaxed)
        mismatch = float(np.square(wanted - codes.T @ codes / bits).mean())
        if mismatch < least:
            best, least = codes.copy(), mismatch
    return np.ascontiguousarray(best.T, np.int8)


def _largest_product(codes: NDArray[np.float64]) -> float:
    """Of two different columns."""
    products = codes.T @ codes
    np.fill_diagonal(products, -np.inf)
    return float(products.max())
