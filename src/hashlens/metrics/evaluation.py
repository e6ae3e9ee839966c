"""Retrieval quality of binary codes, exact under ties."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hashlens.classes import Taxonomy, check_class_distances, open_relations
from hashlens.codes.packing import as_packed
from hashlens.compute.kernels import compiled
from hashlens.compute.threads import available_threads, even_slices, run_in_threads
from hashlens.errors import BadInput
from hashlens.metrics.code_statistics import code_statistics
from hashlens.metrics.hierarchical import hierarchical_scores
from hashlens.metrics.histograms import TASKS_PER_THREAD, Comparison
from hashlens.metrics.relevance import relevance
from hashlens.metrics.ties import average_precision, expected_hits, normalized_discounted_gain

QUERIES_AT_ONCE = 2048
CURVE_POINTS = 60
RADIUS = 2
SIMILARITIES = {"": "similarity", "/wup": "wu_palmer_similarity"}  # by the suffix of their figures


def evaluate(
    query_codes: ArrayLike,
    query_labels: ArrayLike,
    database_codes: ArrayLike,
    database_labels: ArrayLike,
    at: Sequence[int | None] | None = None,
    taxonomy: Taxonomy | ArrayLike | str | os.PathLike[str] | None = None,
    classes: Sequence[str] | None = None,
    bits: int | None = None,
) -> dict[str, Any]:
    """Judge codes by how well searching the database with the queries finds what is relevant.

    Hamming distances tie often. Every figure is the exact expectation over a uniformly random order of the
    items at equal distance; for mean average precision the worst and best that any order could give stand
    beside it (per query, then averaged).

    "mAP@k" means three things in the literature. Here, as in HashNet, CSQ, OrthoHash and SHC, AP@k divides by
    the number of relevant items *found* among the first k.

    Args:
        query_codes, database_codes: (Q, ceil(K/8)) and (N, ceil(K/8)) uint8 packed codes, or (·, K) ±1 or
            continuous codes.
        query_labels, database_labels: (·,) classes (integers, −1 for none, or strings) or (·, C) multi-hot;
            relevant is what has the same class, or shares a label.
        at: ranking depths; ``None`` is the whole database. A depth beyond N counts the N there are. By default
            100, 1000 and all; with a taxonomy 250 too.
        taxonomy: of the classes, as :func:`hashlens.classes.class_distances` takes it: a taxonomy, or (C, C)
            distances in [0, 1]. Not for label sets.
        classes: C class names, in the order of the class numbers, to find them in a taxonomy by; not needed
            where labels are names.
        bits: K, where the codes are packed and K is not a multiple of 8.

    Returns:
        A dictionary that JSON can hold. For every k in ``at`` ("all" for ``None``): ``mAP@k``,
        ``mAP@k/worst``, ``mAP@k/best`` and ``ndcg@k`` (binary gains), and, but for "all", ``precision@k``
        and ``recall@k``. With ``taxonomy`` also ``mAHP@k`` and ``HP@k``, see
        :func:`hashlens.metrics.hierarchical.hierarchical_scores`, where the similarity of two classes is
        1 − their distance; and, but for a matrix of distances, ``mAHP@k/wup`` and ``HP@k/wup`` by Wu–Palmer
        similarity. ``precision@radius2``: share of relevant items within distance 2, 0 for a query that finds
        none there. ``curves``: ``precision_recall`` over distance thresholds, ``precision_at_k``, ``distances``
        of relevant and irrelevant pairs, and ``hierarchical_precision_at_k`` with ``taxonomy``.
        ``codes``: the database's :func:`code_statistics`. ``queries``, ``database``, ``bits``, and
        ``queries_without_relevant`` (queries with nothing to find; they count as 0).

    Raises:
        BadInput: shapes that do not go together, no queries, an empty database, a depth below 1, or a class
            that is not in the taxonomy.
    """
    if at is None:
        at = (100, 1000, None) if taxonomy is None else (100, 250, 1000, None)
    depths = _depths(at)
    compared = _compare(query_codes, query_labels, database_codes, database_labels, bits)
    count, size = compared.queries, compared.size
    curve = _curve_depths(size, max([1000, *(k for k in depths if k is not None)]))
    sums = _Sums(len(depths), compared.bits + 1, len(curve))
    cuts = np.array([size if k is None else min(k, size) for k in depths], np.int64)
    discounts = np.concatenate([[0.0], np.cumsum(1 / np.log2(np.arange(2, int(cuts.max(initial=1)) + 2)))])
    for first in range(0, count, QUERIES_AT_ONCE):
        totals, relevants = compared.histograms(first, min(first + QUERIES_AT_ONCE, count))
        sums.add(totals, relevants, cuts, curve, discounts)

    report: dict[str, Any] = {}
    for depth, scores in zip(depths, sums.scores / count, strict=True):
        name = "all" if depth is None else str(depth)
        expected, worst, best, gain, precision, recall = (float(score) for score in scores)
        report |= {f"mAP@{name}": expected, f"mAP@{name}/worst": worst, f"mAP@{name}/best": best}
        if depth is not None:
            report |= {f"precision@{name}": precision, f"recall@{name}": recall}
        report[f"ndcg@{name}"] = gain
    radius_precision, radius_recall = sums.precision_at_radius / count, sums.recall_at_radius / count
    report[f"precision@radius{RADIUS}"] = float(radius_precision[min(RADIUS, compared.bits)])
    within, between = sums.relevant, sums.total - sums.relevant
    report["curves"] = {
        "precision_recall": {
            "radius": list(range(len(within))),
            "precision": radius_precision.tolist(),
            "recall": radius_recall.tolist(),
        },
        "precision_at_k": {"k": curve.tolist(), "precision": (sums.precision_at_k / count).tolist()},
        "distances": {
            "distance": list(range(len(within))),
            "relevant": within.tolist(),
            "irrelevant": between.tolist(),
        },
    }
    if taxonomy is not None:
        similarities, query_numbers, database_numbers = _hierarchy(taxonomy, classes, query_labels, database_labels)
        hierarchical = hierarchical_scores(
            as_packed(query_codes, bits)[0], query_numbers, as_packed(database_codes, bits)[0], database_numbers,
            compared.bits, np.stack(list(similarities.values())), np.concatenate([cuts, curve]),
        )  # fmt: skip
        curves: dict[str, list[float]] = {}
        for kind, suffix in enumerate(similarities):
            for place, depth in enumerate(depths):
                name = "all" if depth is None else str(depth)
                report[f"mAHP@{name}{suffix}"] = float(hierarchical.average_precision[kind, place])
                report[f"HP@{name}{suffix}"] = float(hierarchical.precision[kind, place])
            curves[SIMILARITIES[suffix]] = hierarchical.precision[kind, len(cuts) :].tolist()
        report["curves"]["hierarchical_precision_at_k"] = {"k": curve.tolist(), **curves}
    report["codes"] = code_statistics(database_codes, compared.bits) | {
        "mean_distance_relevant": _mean_level(within),
        "mean_distance_irrelevant": _mean_level(between),
    }
    report |= {
        "queries": count,
        "database": size,
        "bits": compared.bits,
        "queries_without_relevant": int(sums.without_relevant),
    }
    return report


def _hierarchy(
    taxonomy: Taxonomy | ArrayLike | str | os.PathLike[str],
    classes: Sequence[str] | None,
    query_labels: ArrayLike,
    database_labels: ArrayLike,
) -> tuple[dict[str, NDArray[np.float64]], NDArray[Any], NDArray[Any]]:
    """Class similarities by the suffix of their figures, and both labels as class numbers."""
    queries, database = np.asarray(query_labels), np.asarray(database_labels)
    if queries.ndim != 1:
        raise BadInput("Hierarchical metrics need one class for each item, not label sets; leave the taxonomy out.")
    by_name = queries.dtype.kind in "US"
    if classes is None and not isinstance(taxonomy, Taxonomy | str | os.PathLike):
        if by_name:
            raise BadInput("Labels are names, but distances a matrix; give the names in the matrix's order too.")
        return {"": 1 - check_class_distances(taxonomy)}, queries, database
    if classes is None and not by_name:
        raise BadInput("Labels are numbers; give the names of the classes too, to find them in the taxonomy.")
    if by_name:
        names, numbers = np.unique(np.concatenate([queries, database]), return_inverse=True)
        classes = names.tolist() if classes is None else classes
        place = {name: number for number, name in enumerate(classes)}
        missing = [name for name in names.tolist() if name not in place]
        if missing:
            raise BadInput(f"The label '{missing[0]}' is none of the given classes.")
        queries, database = np.split(np.array([place[name] for name in names])[numbers], [len(queries)])
    assert classes is not None
    relations = open_relations(taxonomy, classes)
    if isinstance(relations, Taxonomy):
        similarities = {
            "": relations.similarity_matrix(classes),
            "/wup": relations.similarity_matrix(classes, "wu-palmer"),
        }
        return similarities, queries, database
    return {"": 1 - relations}, queries, database


def mean_average_precision(
    query_codes: ArrayLike,
    query_labels: ArrayLike,
    database_codes: ArrayLike,
    database_labels: ArrayLike,
    k: int | None = None,
    bits: int | None = None,
    leave_one_out: bool = False,
) -> float:
    """mAP@k alone, as :func:`evaluate` defines it.

    Args:
        leave_one_out: the queries are the database itself, in the same order; each looks for the others.

    Raises:
        BadInput: as :func:`evaluate`.
    """
    (depth,) = _depths([k])
    compared = _compare(query_codes, query_labels, database_codes, database_labels, bits)
    cut = compared.size if depth is None else depth
    total = 0.0
    for first in range(0, compared.queries, QUERIES_AT_ONCE):
        totals, relevants = compared.histograms(first, min(first + QUERIES_AT_ONCE, compared.queries))
        if leave_one_out:
            totals[:, 0] -= 1
            relevants[:, 0] -= relevants.sum(1) > 0  # an item with a label is relevant to itself
        scores = np.empty(len(totals))
        slices = even_slices(len(totals), TASKS_PER_THREAD * available_threads())
        run_in_threads(_average_precisions, [(totals[a:b], relevants[a:b], cut, scores[a:b]) for a, b in slices])
        total += float(scores.sum())
    return total / compared.queries


def _compare(
    query_codes: ArrayLike,
    query_labels: ArrayLike,
    database_codes: ArrayLike,
    database_labels: ArrayLike,
    bits: int | None,
) -> Comparison:
    queries, query_bits = as_packed(query_codes, bits)
    database, database_bits = as_packed(database_codes, bits)
    if query_bits != database_bits:
        raise BadInput(f"Queries have {query_bits} bits, but the database has {database_bits}.")
    if not len(queries) or not len(database):
        raise BadInput(f"There is nothing to evaluate: {len(queries)} queries, {len(database)} database items.")
    for name, codes, labels in (("queries", queries, query_labels), ("database", database, database_labels)):
        given = len(np.atleast_1d(np.asarray(labels)))
        if len(codes) != given:
            raise BadInput(f"The {name} have {len(codes)} codes, but {given} labels.")
    return Comparison(queries, database, query_bits, relevance(query_labels, database_labels))


def _depths(at: Sequence[int | None]) -> list[int | None]:
    for k in at:
        if k is not None and (int(k) != k or k < 1):
            raise BadInput(f"A ranking depth of {k} makes no sense; use whole numbers from 1, or None for all.")
    return list(dict.fromkeys(at))


def _curve_depths(size: int, deepest: int) -> NDArray[np.int64]:
    return np.unique(np.geomspace(1, min(size, deepest), CURVE_POINTS).round().astype(np.int64))


def _mean_level(counts: NDArray[np.int64]) -> float | None:
    return float(counts @ np.arange(len(counts)) / counts.sum()) if counts.sum() else None


class _Sums:
    """Sums over queries of everything that :func:`evaluate` averages."""

    def __init__(self, depths: int, levels: int, curve: int) -> None:
        self.scores = np.zeros((depths, 6))
        self.precision_at_k = np.zeros(curve)
        self.precision_at_radius = np.zeros(levels)
        self.recall_at_radius = np.zeros(levels)
        self.total = np.zeros(levels, np.int64)
        self.relevant = np.zeros(levels, np.int64)
        self.without_relevant = 0

    def add(
        self,
        totals: NDArray[np.int64],
        relevants: NDArray[np.int64],
        cuts: NDArray[np.int64],
        curve: NDArray[np.int64],
        discounts: NDArray[np.float64],
    ) -> None:
        count = len(totals)
        scores = np.zeros((count, *self.scores.shape))
        precisions = np.zeros((count, len(curve)))

        def score(start: int, stop: int) -> None:
            here = slice(start, stop)
            _score(totals[here], relevants[here], cuts, discounts, scores[here])
            _precision_at(totals[here], relevants[here], curve, precisions[here])

        run_in_threads(score, even_slices(count, TASKS_PER_THREAD * available_threads()))
        self.scores += scores.sum(0)
        self.precision_at_k += precisions.sum(0)
        found, hits = totals.cumsum(1), relevants.cumsum(1)
        self.precision_at_radius += (hits / np.maximum(found, 1)).sum(0)
        self.recall_at_radius += (hits / np.maximum(hits[:, -1:], 1)).sum(0)
        self.total += totals.sum(0)
        self.relevant += relevants.sum(0)
        self.without_relevant += int((hits[:, -1] == 0).sum())


@compiled
def _score(totals, relevants, cuts, discounts, out):
    """out (Q, M, 6): expected, worst and best AP, NDCG, precision, recall for every query and depth."""
    for q in range(len(totals)):
        all_relevant = relevants[q].sum()
        for c in range(len(cuts)):
            expected, worst, best = average_precision(totals[q], relevants[q], cuts[c])
            hits, rank = expected_hits(totals[q], relevants[q], cuts[c])
            out[q, c, 0] = expected
            out[q, c, 1] = worst
            out[q, c, 2] = best
            out[q, c, 3] = normalized_discounted_gain(totals[q], relevants[q], cuts[c], discounts)
            out[q, c, 4] = hits / rank
            out[q, c, 5] = hits / max(all_relevant, 1)


@compiled
def _precision_at(totals, relevants, depths, out):
    """out (Q, M): expected precision of every query at ascending depths, at most the number of items."""
    for q in range(len(totals)):
        level = 0
        rank = 0
        hits = 0.0
        for d in range(len(depths)):
            while rank + totals[q, level] < depths[d]:
                rank += totals[q, level]
                hits += relevants[q, level]
                level += 1
            inside = (depths[d] - rank) / totals[q, level]
            out[q, d] = (hits + relevants[q, level] * inside) / depths[d]


@compiled
def _average_precisions(totals, relevants, k, out):
    for q in range(len(totals)):
        out[q] = average_precision(totals[q], relevants[q], k)[0]
