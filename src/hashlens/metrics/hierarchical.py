"""Retrieval quality where some mistakes are worse than others: a cat for a dog rather than for a bus.

Hierarchical precision (Deng, Berg and Fei-Fei, CVPR 2011; Barz and Denzler, WACV 2019) is HP@k = Σ_{i ≤ k} s(y_q,
y_i) / (the largest such sum that any order of the database gives). AHP@k is the area under HP@1 … HP@k by the
trapezoidal rule with spacing 1/k, as in the program of Barz and Denzler. Both are linear in the ranking, so their
expectation over random orders within ties is exact.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hashlens.codes.tiles import spread_queries
from hashlens.compute.kernels import compiled
from hashlens.compute.threads import available_threads, even_slices, run_in_threads
from hashlens.errors import BadInput
from hashlens.metrics.histograms import (
    QUERIES_TOGETHER,
    TASKS_PER_THREAD,
    SortedCodes,
    add_counts,
    refuse_strangers,
    workspace,
)
from hashlens.metrics.metric import METRICS, Figure, GradedGroups, Metric
from hashlens.metrics.relevance import stable_order
from hashlens.metrics.ties import reciprocal_sums

SHORT = 16  # ranks; a sum over so few is quicker term by term
FLAT = 1e-6  # a similarity below which the closed form of a sum would lose digits


def hierarchical_precisions(groups: GradedGroups, depths: NDArray[np.int64]) -> NDArray[np.float64]:
    """HP@k and AHP@k of every query."""
    scores = np.empty((len(groups), len(depths), 2))
    _score(groups.totals, groups.gains, groups.similarities, groups.sizes, depths, scores)
    return scores


METRICS.register("hierarchical precision")(
    Metric(
        (
            Figure(
                "mAHP@{k}",
                "area under HP@1 … HP@k by the trapezoidal rule, averaged over queries; the similarity of two "
                "classes is 1 − their distance, in a taxonomy the height of their lowest common subsumer",
            ),
            Figure(
                "HP@{k}",
                "hierarchical precision, Σ_{i ≤ k} s(y_q, y_i) ÷ (the largest such sum that any order of the "
                "database gives)",
                headline=False,
            ),
        ),
        lambda groups, depths: hierarchical_precisions(groups, depths)[..., ::-1],
        needs="class distance",
    )
)


class GradedComparison:
    """Queries and a database laid out for counting distances against the similarity of classes.

    Args:
        query_codes, database_codes: packed codes.
        query_labels, database_labels: (·,) class numbers 0 … C − 1; −1 for none, similar to nothing.
        bits: K.
        similarities: (S, C, C), in [0, 1].
        leave_one_out: every query is an item of the database too, and is left out of what it sees.

    Raises:
        BadInput: labels are not of this form.
    """

    def __init__(
        self,
        query_codes: NDArray[np.uint8],
        query_labels: ArrayLike,
        database_codes: NDArray[np.uint8],
        database_labels: ArrayLike,
        bits: int,
        similarities: NDArray[np.float64],
        leave_one_out: bool = False,
    ) -> None:
        classes = similarities.shape[1]
        self._queries = class_numbers(query_labels, classes, "query")
        database = class_numbers(database_labels, classes, "database")
        order = stable_order(database)
        bounds = np.searchsorted(database[order], np.arange(classes + 1))
        self._codes = SortedCodes.of(database_codes[order], database[order], bits)
        self._places = self._codes.places(bounds)
        self._sizes = np.diff(bounds)
        self._query_codes = query_codes
        self._bits = bits
        self._similarities = similarities
        self._leave_one_out = leave_one_out

    def groups(self, first: int, last: int) -> Iterator[GradedGroups]:
        """What queries ``first`` … ``last`` − 1 see, for each of the S similarities."""
        here = self._queries[first:last]
        spread = spread_queries(self._query_codes[first:last], self._bits)
        totals = np.zeros((len(here), self._bits + 1), np.int64)
        gains = np.zeros((len(self._similarities), *totals.shape))
        codes = self._codes

        def count(start: int, stop: int) -> None:
            some = slice(start, stop)
            _count(
                codes.tiles, codes.weights, codes.single, self._places, spread[some], here[some],
                int(self._leave_one_out), self._similarities, totals[some], gains[:, some],
            )  # fmt: skip

        run_in_threads(count, even_slices(len(here), TASKS_PER_THREAD * available_threads()))
        sizes = np.tile(self._sizes, (len(here), 1))
        if self._leave_one_out:
            known = np.flatnonzero(here >= 0)
            sizes[known, here[known]] -= 1
            refuse_strangers(
                np.minimum(totals[:, 0], np.where(here >= 0, sizes[np.arange(len(here)), here], 0)), first
            )
        for kind, similarity in enumerate(self._similarities):
            of_queries = np.where(here[:, None] >= 0, similarity[here], 0)
            yield GradedGroups(totals, gains[kind], of_queries, sizes)


@dataclass(frozen=True)
class HierarchicalScores:
    """Means over queries, for S similarities and M depths.

    Attributes:
        precision: (S, M) hierarchical precision HP@k.
        average_precision: (S, M) its average over 1 … k, mAHP@k.
    """

    precision: NDArray[np.float64]
    average_precision: NDArray[np.float64]


def hierarchical_scores(
    query_codes: NDArray[np.uint8],
    query_labels: ArrayLike,
    database_codes: NDArray[np.uint8],
    database_labels: ArrayLike,
    bits: int,
    similarities: NDArray[np.float64],
    depths: NDArray[np.int64],
    leave_one_out: bool = False,
) -> HierarchicalScores:
    """HP@k and mAHP@k alone.

    Args:
        query_codes, query_labels, database_codes, database_labels, bits, similarities, leave_one_out: see
            :class:`GradedComparison`.
        depths: (M,) k, at most the number of items that a query sees.

    Raises:
        BadInput: labels are not class numbers.
    """
    compared = GradedComparison(
        query_codes, query_labels, database_codes, database_labels, bits, similarities, leave_one_out
    )
    ascending, places = np.unique(depths, return_inverse=True)
    scores = np.stack(
        [hierarchical_precisions(groups, ascending).mean(0) for groups in compared.groups(0, len(query_codes))]
    )[:, places]
    return HierarchicalScores(scores[..., 0], scores[..., 1])


def class_numbers(labels: ArrayLike, classes: int, side: str) -> NDArray[np.int64]:
    """Labels as (N,) int64 class numbers, −1 for none.

    Raises:
        BadInput: they are not that; ``side`` says whose labels they are.
    """
    numbers = np.asarray(labels)
    if numbers.ndim != 1 or numbers.dtype.kind not in "iu":
        raise BadInput(f"Hierarchical metrics need one class number per item; the {side} labels are not that.")
    if len(numbers) and (numbers.min() < -1 or numbers.max() >= classes):
        raise BadInput(
            f"The {side} labels go from {numbers.min()} to {numbers.max()}, but the taxonomy has {classes} classes."
        )
    return numbers.astype(np.int64)


@compiled
def _count(tiles, weights, single, places, queries, query_classes, left_out, similarities, totals, gains):
    """Add up items and similarities at each distance; queries without a class see nothing."""
    kinds, classes, _ = similarities.shape
    counts = np.zeros(totals.shape[1], np.int64)
    work = workspace(tiles, totals.shape[1])
    for group in range(0, len(queries), QUERIES_TOGETHER):
        for c in range(-1, classes):  # items without a label come first
            start, stop = (0, places[0]) if c < 0 else (places[c], places[c + 1])
            for q in range(group, min(group + QUERIES_TOGETHER, len(queries))):
                own = query_classes[q]
                if own < 0 or start == stop:
                    continue
                counts[:] = 0
                add_counts(tiles, weights, single, queries, q, start, stop, work, counts)
                if c == own:
                    counts[0] -= left_out
                totals[q] += counts
                if c >= 0:
                    for kind in range(kinds):
                        gains[kind, q] += similarities[kind, own, c] * counts


@compiled
def _score(totals, gains, similarities, sizes, depths, out):
    for q in range(len(totals)):
        if totals[q].sum() == 0:  # a query without a class
            out[q] = 0.0
        else:
            _average_gains(totals[q], gains[q], similarities[q], sizes[q], depths, out[q])


@compiled
def _average_gains(totals, gains, similarity, sizes, depths, out):
    """HP@k and AHP@k of one query at ascending depths; out (M, 2).

    What the ranking gains grows evenly within a group of ties, and what the best order gains within a class.
    So HP is a quotient of two linear functions between two ends of either, and is summed piece by piece.
    """
    best_first = np.argsort(-similarity)
    level = -1
    left_in_level = 0
    gain_step = 0.0
    place = -1
    left_in_class = 0
    best_step = 0.0
    rank = 0
    gain = 0.0
    best = 0.0
    first = 0.0
    total = 0.0
    for d in range(len(depths)):
        while rank < depths[d]:
            while left_in_level == 0:
                level += 1
                left_in_level = totals[level]
                if left_in_level:
                    gain_step = gains[level] / left_in_level
            while left_in_class == 0:
                place += 1
                if place < len(best_first):
                    left_in_class = sizes[best_first[place]]
                    best_step = similarity[best_first[place]]
                else:  # only items without a label are left
                    left_in_class = depths[-1]
                    best_step = 0.0
            steps = min(left_in_level, left_in_class, depths[d] - rank)
            if rank == 0:
                first = gain_step / best_step if best_step > 0 else 0.0
            total += _sum_of_quotients(gain, gain_step, best, best_step, steps)
            gain += steps * gain_step
            best += steps * best_step
            rank += steps
            left_in_level -= steps
            left_in_class -= steps
        last = gain / best if best > 0 else 0.0
        out[d, 0] = last
        out[d, 1] = (total - (first + last) / 2) / rank


@compiled
def _sum_of_quotients(a, b, c, d, count):
    """Σ (a + b·t)/(c + d·t) for t = 1 … count; 0 where the denominator is."""
    if c + d * count <= 0:
        return 0.0
    if d == 0:
        return (a * count + b * count * (count + 1) / 2) / c
    if count > SHORT and d > FLAT:
        reciprocals, weighted = reciprocal_sums(c / d, count)
        return ((a + b) * reciprocals + b * weighted) / d
    total = 0.0
    for t in range(1, count + 1):
        total += (a + b * t) / (c + d * t)
    return total
