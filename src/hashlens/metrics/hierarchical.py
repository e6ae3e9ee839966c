"""Retrieval quality where some mistakes are worse than others: a cat for a dog rather than for a bus."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hashlens.codes.distances import available_threads, compiled, even_slices, run_in_threads
from hashlens.codes.packing import to_words
from hashlens.errors import BadInput
from hashlens.metrics.histograms import TASKS_PER_THREAD, add_counts


@dataclass(frozen=True)
class HierarchicalScores:
    """Means over queries.

    Attributes:
        precision: (M,) hierarchical precision HP@k for M depths.
        average_precision: (M,) its average over 1 … k, mAHP@k.
    """

    precision: NDArray[np.float64]
    average_precision: NDArray[np.float64]


def hierarchical_scores(
    query_codes: NDArray[np.uint8],
    query_labels: ArrayLike,
    database_codes: NDArray[np.uint8],
    database_labels: ArrayLike,
    bits: int,
    class_distances: ArrayLike,
    cuts: NDArray[np.int64],
) -> HierarchicalScores:
    """Hierarchical precision (Deng, Berg and Fei-Fei, CVPR 2011; Barz and Denzler, WACV 2019).

    HP@k = Σ_{i ≤ k} s(y_q, y_i) / (the largest such sum that any order of the database gives), with
    s = 1 − d. AHP@k is the area under HP@1 … HP@k by the trapezoidal rule with spacing 1/k, as in the program
    of Barz and Denzler. Both are linear in the ranking, so their expectation over random orders within ties
    is exact.

    Args:
        query_codes, database_codes: packed codes.
        query_labels, database_labels: (·,) class numbers 0 … C − 1; −1 for none, similar to nothing.
        class_distances: d, (C, C), symmetric, in [0, 1], 0 on the diagonal.
        cuts: (M,) depths, at most the size of the database.

    Raises:
        BadInput: labels or distances are not of this form.
    """
    distances = check_class_distances(class_distances)
    queries = _class_numbers(query_labels, len(distances), "query")
    database = _class_numbers(database_labels, len(distances), "database")
    order = np.argsort(database, kind="stable")
    bounds = np.searchsorted(database[order], np.arange(len(distances) + 1))
    unlabelled = int(bounds[0])
    words = to_words(database_codes[order])
    query_words = np.ascontiguousarray(to_words(query_codes).T)
    similarity = 1 - distances
    scores = np.zeros((len(queries), len(cuts), 2))

    def score(start: int, stop: int) -> None:
        here = slice(start, stop)
        _score(words, query_words[here], queries[here], bounds, unlabelled, similarity, bits, cuts, scores[here])

    run_in_threads(score, even_slices(len(queries), TASKS_PER_THREAD * available_threads()))
    means = scores.mean(0)
    return HierarchicalScores(means[:, 0], means[:, 1])


def check_class_distances(class_distances: ArrayLike) -> NDArray[np.float64]:
    """(C, C) float64 distances between classes.

    Raises:
        BadInput: the array is not square, symmetric, in [0, 1] and 0 on the diagonal.
    """
    distances = np.asarray(class_distances, np.float64)
    if distances.ndim != 2 or distances.shape[0] != distances.shape[1]:
        raise BadInput(f"Class distances must be a (C, C) array, not one of shape {distances.shape}.")
    if not np.isfinite(distances).all() or distances.min(initial=0) < 0 or distances.max(initial=0) > 1:
        raise BadInput("Class distances must lie between 0 (the same) and 1 (unrelated), without NaN.")
    if np.diag(distances).any() or not np.allclose(distances, distances.T):
        raise BadInput("Class distances must be symmetric and 0 on the diagonal.")
    return distances


def _class_numbers(labels: ArrayLike, classes: int, side: str) -> NDArray[np.int64]:
    numbers = np.asarray(labels)
    if numbers.ndim != 1 or numbers.dtype.kind not in "iu":
        raise BadInput(f"Hierarchical metrics need one class number per item; the {side} labels are not that.")
    if len(numbers) and (numbers.min() < -1 or numbers.max() >= classes):
        raise BadInput(
            f"The {side} labels go from {numbers.min()} to {numbers.max()}, but there are distances for "
            f"{classes} classes."
        )
    return numbers.astype(np.int64)


@compiled
def _score(words, queries, query_classes, bounds, unlabelled, similarity, bits, cuts, out):
    classes = len(similarity)
    deepest = cuts.max()
    gained = np.empty(deepest)
    counts = np.zeros(bits + 1, np.int64)
    for q in range(len(queries)):
        if query_classes[q] < 0:
            continue
        row = similarity[query_classes[q]]
        totals = np.zeros(bits + 1, np.int64)
        sums = np.zeros(bits + 1)
        add_counts(words, queries[q], 0, unlabelled, totals)
        for c in range(classes):
            if bounds[c + 1] > bounds[c]:
                counts[:] = 0
                add_counts(words, queries[q], bounds[c], bounds[c + 1], counts)
                totals += counts
                sums += row[c] * counts

        rank = 0
        sum_so_far = 0.0
        for level in range(bits + 1):
            for _ in range(min(totals[level], deepest - rank)):
                sum_so_far += sums[level] / totals[level]
                gained[rank] = sum_so_far
                rank += 1

        # Divide by what the best order would have gained: the most similar classes first.
        rank = 0
        best = 0.0
        for c in np.argsort(-row):
            for _ in range(min(bounds[c + 1] - bounds[c], deepest - rank)):
                best += row[c]
                gained[rank] = gained[rank] / best if best > 0 else 0.0
                rank += 1
        while rank < deepest:  # only unlabelled items are left
            gained[rank] = gained[rank] / best if best > 0 else 0.0
            rank += 1

        total = 0.0
        done = 0
        for position in np.argsort(cuts):
            k = cuts[position]
            while done < k:
                total += gained[done]
                done += 1
            out[q, position, 0] = gained[k - 1]
            out[q, position, 1] = (total - (gained[0] + gained[k - 1]) / 2) / k
