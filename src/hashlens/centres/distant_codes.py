"""Codebooks whose closest rows are as far apart as we can make them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hashlens.centres.best_known_codes import best_known_code
from hashlens.centres.codebook import check_size, distance_counts
from hashlens.centres.distance_bounds import distance_upper_bound
from hashlens.centres.random_codes import bernoulli
from hashlens.compute.kernels import compiled

ANNEALED_CLASSES = 512
ANNEALING_MOVES = 400_000


def maximum_distance(classes: int, bits: int, seed: int = 0) -> NDArray[np.int8]:
    """C codes with a large minimum Hamming distance, the goal of MDS (Wang et al., CVPR 2023).

    Instead of their Lp-box optimisation we take the best code that coding theory knows how to construct, see
    :func:`hashlens.centres.best_known_codes.best_known_code`. For up to 512 classes, random codes annealed on
    their closest pairs compete with it; among equal distances the one with fewer closest pairs wins, since
    rows and their negatives, which algebra likes, span few dimensions and retrieve worse.

    Args:
        classes: C, from 1 to 100,000 and at most 2^K.
        bits: K, from 8 to 1024.
        seed: decides which class gets which code, and which bits change sign for all classes.

    Returns:
        (C, K) int8 in {−1, +1} with distinct rows.

    Raises:
        BadInput: C or K is out of range.

    Example:
        >>> from hashlens.centres import minimum_distance
        >>> minimum_distance(maximum_distance(200, 16)), minimum_distance(maximum_distance(1000, 64))
        (6, 28)
    """
    check_size(classes, bits)
    random = np.random.default_rng(seed)
    if classes == 1:
        return bernoulli(classes, bits, seed)
    bound = distance_upper_bound(classes, bits)
    known = best_known_code(classes, bits, bound)
    best = known.make()[:classes].astype(np.int8) * 2 - 1
    if classes <= ANNEALED_CLASSES:
        columns = np.ascontiguousarray(bernoulli(classes, bits, seed).T)
        _spread(columns, ANNEALING_MOVES, np.random.default_rng(seed))
        best = max((best, np.ascontiguousarray(columns.T)), key=_fewest_closest_pairs)
    # All-zero words would give one class nothing but −1; a common change of signs keeps all distances.
    return best[random.permutation(classes)] * random.choice(np.array([-1, 1], np.int8), bits)


def _fewest_closest_pairs(codebook: NDArray[np.int8]) -> tuple[int, int]:
    """Rank of a codebook: larger is better."""
    counts = distance_counts(codebook)
    closest = int(np.flatnonzero(counts)[0])
    return closest, -int(counts[closest])


@compiled
def _spread(columns, moves, random):
    """Flip single bits of codes, in place, so that close pairs move apart.

    The cost of a pair grows steeply as its distance falls, so that the closest pairs decide. Moves that raise
    the cost are accepted at a falling temperature, and not at all in the last fifth.

    columns: (K, C) int8 in {−1, +1}, the codebook transposed, C ≥ 2.
    """
    bits, classes = columns.shape
    cost = np.exp(-8.0 * (np.arange(bits + 1) - bits / 2) / np.sqrt(bits))
    distances = np.zeros((classes, classes), np.int64)
    for column in columns:
        for a in range(classes):
            for b in range(classes):
                distances[a, b] += column[a] != column[b]
    for move in range(moves):
        row = random.integers(0, classes)
        column = columns[random.integers(0, bits)]
        change = 0.0
        for other in range(classes):
            if other != row:
                step = 1 if column[other] == column[row] else -1
                change += cost[distances[row, other] + step] - cost[distances[row, other]]
        temperature = 10.0 ** (1.0 - 4.0 * move / moves)
        if change < 0 or (5 * move < 4 * moves and random.random() < np.exp(-change / temperature)):
            for other in range(classes):
                if other != row:
                    step = 1 if column[other] == column[row] else -1
                    distances[row, other] += step
                    distances[other, row] += step
            column[row] = -column[row]
