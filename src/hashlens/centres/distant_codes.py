"""Codebooks whose closest rows are as far apart as we can make them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from hashlens.centres.codebook import check_size, distance_counts
from hashlens.centres.hadamard_codes import hadamard
from hashlens.centres.random_codes import bernoulli
from hashlens.codes.distances import compiled

LINEAR_TRIALS = 200
ANNEALED_CLASSES = 512
ANNEALING_MOVES = 400_000


def maximum_distance(classes: int, bits: int, seed: int = 0) -> NDArray[np.int8]:
    """C codes with a large minimum Hamming distance, the goal of MDS (Wang et al., CVPR 2023).

    Instead of their Lp-box optimisation we keep the best of several constructions: rows of a Hadamard matrix
    and their negatives (optimal for C ≤ 2K by Plotkin's bound where a matrix of order K exists), the best of
    many random linear codes, and, for up to 512 classes, random codes annealed on their closest pairs. Among
    equal distances the one with fewer closest pairs wins.

    Args:
        classes: C, from 1 to 100,000 and at most 2^K.
        bits: K, from 8 to 1024.

    Returns:
        (C, K) int8 in {−1, +1} with distinct rows, in random order.

    Raises:
        BadInput: C or K is out of range.
    """
    check_size(classes, bits)
    best: NDArray[np.int8] | None = None
    best_rank: tuple[int, int] | None = None
    for candidate in _candidates(classes, bits, seed):
        counts = distance_counts(candidate)
        closest = int(np.flatnonzero(counts)[0]) if classes > 1 else bits
        rank = (closest, -int(counts[closest]))
        if best_rank is None or rank > best_rank:
            best, best_rank = candidate, rank
    assert best is not None
    return best[np.random.default_rng(seed).permutation(classes)]


def _candidates(classes: int, bits: int, seed: int) -> Iterator[NDArray[np.int8]]:
    yield hadamard(classes, bits, seed)
    if classes > 2:
        yield _best_linear_code(classes, bits, seed)
    if 1 < classes <= ANNEALED_CLASSES:
        columns = np.ascontiguousarray(bernoulli(classes, bits, seed).T)
        _spread(columns, ANNEALING_MOVES, np.random.default_rng(seed))
        if len(np.unique(columns, axis=1).T) == classes:
            yield columns.T


def _best_linear_code(classes: int, bits: int, seed: int) -> NDArray[np.int8]:
    """The first C words of the random binary linear code of dimension ceil(log2 C) with the largest distance.

    All distances in a linear code are weights of its words, so a code is judged by 2^dimension weights
    instead of C²/2 distances.
    """
    dimension = max(1, int(np.ceil(np.log2(classes))))
    random = np.random.default_rng(seed)
    best_weight, best_words = -1, np.empty((0, bits), np.uint8)
    trials = max(4, min(LINEAR_TRIALS, (1 << 24) >> dimension))
    for _ in range(trials):
        # Systematic form: an identity in front makes the words distinct.
        generator = random.integers(0, 2, (dimension, bits), dtype=np.uint8)
        generator[:, :dimension] = np.eye(dimension, dtype=np.uint8)
        words = np.zeros((1, bits), np.uint8)
        for row in generator:
            words = np.concatenate([words, words ^ row])
        weight = int(words[1:].sum(1, dtype=np.int64).min())
        if weight > best_weight:
            best_weight, best_words = weight, words
    return best_words[:classes].astype(np.int8) * 2 - 1


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
