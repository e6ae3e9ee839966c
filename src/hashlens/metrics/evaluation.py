"""Retrieval quality of binary codes, exact under ties."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hashlens.classes import Taxonomy, check_class_distances, open_relations
from hashlens.codes.packing import as_packed
from hashlens.compute.threads import available_threads, even_slices, run_in_threads
from hashlens.errors import BadInput
from hashlens.metrics.average_precision import average_precisions
from hashlens.metrics.code_statistics import code_statistics
from hashlens.metrics.graded_items import ItemComparison, kinds_of
from hashlens.metrics.hierarchical import GradedComparison, hierarchical_precisions
from hashlens.metrics.histograms import TASKS_PER_THREAD, Comparison
from hashlens.metrics.metric import METRICS, GradedGroups, Groups, Metric, SharedGroups
from hashlens.metrics.precision import precisions, recalls
from hashlens.metrics.rankings import FloatRanking, HammingRanking, RankedComparison
from hashlens.metrics.relevance import relevance
from hashlens.metrics.report import Report

QUERIES_AT_ONCE = 2048
NUMBERS_AT_ONCE = 1 << 24  # that are held of all queries counted at a time
CURVE_POINTS = 60
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
    leave_one_out: bool = False,
    distance: str = "hamming",
) -> Report:
    """Judge codes by how well searching the database with the queries finds what is relevant.

    Hamming distances tie often, others where items are copies. Every figure is the exact expectation over a
    uniformly random order of the items at equal distance; for mean average precision the worst and best that any
    order could give stand beside it (per query, then averaged).

    "mAP@k" means three things in the literature. Here, as in HashNet, CSQ, OrthoHash and SHC, AP@k divides by
    the number of relevant items *found* among the first k; "mAP@k/min(k,R)" and "mAP@k/R" divide by what their
    names say, R being the relevant items in the database.

    Args:
        query_codes, database_codes: (Q, ceil(K/8)) and (N, ceil(K/8)) uint8 packed codes, or (·, K) ±1 or
            continuous codes, which are rounded to their signs unless another ``distance`` is asked for.
        query_labels, database_labels: (·,) classes (integers, −1 for none, or strings) or (·, C) multi-hot;
            relevant is what has the same class, or shares a label.
        at: ranking depths; ``None`` is the whole database. A depth beyond N counts the N there are. By default
            100, 1000 and all; with a taxonomy 250 too.
        taxonomy: of the classes, as :func:`hashlens.classes.class_distances` takes it: a taxonomy, or (C, C)
            distances in [0, 1]. Label sets are as alike as their classes on the mean of best matches, see
            :class:`hashlens.metrics.graded_items.SetKinds`.
        classes: C class names, in the order of the class numbers, to find them in a taxonomy by; not needed
            where labels are names.
        bits: K, where the codes are packed and K is not a multiple of 8.
        leave_one_out: every query is an item of the database too, with the same code and label, and is left out of
            what it searches; its copies are not. For every item as a query give the database twice.
        distance: "hamming"; or "cosine", "l1" or "l2", by which continuous codes, or features, rank as they are.

    Returns:
        The figures of every metric in :data:`hashlens.metrics.METRICS`, for every depth in ``at`` where they have
        one (their meanings stand in ``docs/metrics.md``). Those that count shared labels are there only for label
        sets; those that need class distances only with ``taxonomy``, and again by Wu–Palmer similarity under a name
        that ends in ``/wup``, unless ``taxonomy`` is a matrix of distances.
        Besides: ``curves``: ``precision_recall_by_rank`` over the first k of the ranking, as papers draw it;
        ``precision_recall`` over distance thresholds, ``precision_at_k``, ``distances``
        of relevant and irrelevant pairs, and ``hierarchical_precision_at_k`` with ``taxonomy``.
        ``codes``: the database's :func:`code_statistics`. ``queries``, ``database``, ``bits``, ``distance``, and
        ``queries_without_relevant`` (queries with nothing to find; they count as 0).
        By another distance than Hamming's all that counts in bits is left out: ``precision@radius2``,
        ``precision_recall``, ``distances``, ``codes`` and ``bits``.

    Raises:
        BadInput: shapes that do not go together, no queries, an empty database, a depth below 1, a class that is
            not in the taxonomy, a query that is to be left out of a database that it is not in, or packed codes for
            another distance than Hamming's.

    Example:
        >>> codes = np.array([[0b00000000], [0b00000001], [0b11111111]], np.uint8)
        >>> report = evaluate(codes, ["cat", "cat", "dog"], codes, ["cat", "cat", "dog"], at=(2, None))
        >>> report["mAP@2"], report["precision@2"]
        (1.0, 0.8333333333333334)
        >>> others = evaluate(codes, ["cat", "cat", "dog"], codes, ["cat", "cat", "dog"], (1,), leave_one_out=True)
        >>> others.per_query["mAP@1"].tolist()
        [1.0, 1.0, 0.0]
        >>> continuous = [[0.9, -0.8], [0.1, -0.2], [0.8, -0.9]]  # which round to equal codes
        >>> evaluate(continuous[:1], [0], continuous[1:], [1, 0], (1,), distance="l2")["mAP@1"]
        1.0
    """
    if at is None:
        at = (100, 1000, None) if taxonomy is None else (100, 250, 1000, None)
    depths = _depths(at)
    ranking: HammingRanking | FloatRanking
    compared: Comparison | RankedComparison
    if distance == "hamming":
        queries, database, bits = _packed(query_codes, database_codes, bits)
        ranking = HammingRanking(queries, database, bits, leave_one_out)
    else:
        ranking = FloatRanking(query_codes, database_codes, distance, leave_one_out)
    items = ranking.size + leave_one_out
    _check_counts(ranking.queries, query_labels, items, database_labels)
    relevant = relevance(query_labels, database_labels)
    if distance == "hamming":
        compared = Comparison(queries, database, ranking.levels - 1, relevant, leave_one_out)
    else:
        compared = RankedComparison(ranking, relevant)
    if compared.size == 0:
        raise BadInput("The database has one item, so nothing is left to find when it is left out.")
    curve = _curve_depths(compared.size, max([1000, *(k for k in depths if k is not None)]))
    table = _Table(depths, compared.queries, compared.size)
    ranks = _curve_depths(compared.size, compared.size)
    sums = _Sums(ranking.levels if distance == "hamming" else 0, len(curve), len(ranks))
    suffixes: list[str] = []
    graded: GradedComparison | ItemComparison | None = None
    held = compared.numbers_held
    if taxonomy is not None:
        similarities, asked, searched = _hierarchy(taxonomy, classes, query_labels, database_labels)
        suffixes, both = list(similarities), np.stack(list(similarities.values()))
        if distance == "hamming" and asked.ndim == 1:
            graded = GradedComparison(queries, asked, database, searched, ranking.levels - 1, both, leave_one_out)
        else:
            graded = ItemComparison(ranking, kinds_of(asked, searched, both))
            held += graded.numbers_held
    graded_curves = np.zeros((len(suffixes), len(curve)))
    step = max(1, min(QUERIES_AT_ONCE, NUMBERS_AT_ONCE // held))
    for first in range(0, compared.queries, step):
        last = min(first + step, compared.queries)
        counted = compared.groups(first, last)
        groups = counted.relevance() if isinstance(counted, SharedGroups) else counted
        table.add("relevance", first, groups)
        if isinstance(counted, SharedGroups):
            table.add("shared labels", first, counted)
        if distance == "hamming":
            table.add("Hamming distance", first, groups)
        sums.add(groups, curve, ranks)
        if graded is not None:
            for kind, graded_groups in enumerate(graded.groups(first, last)):
                table.add("class distance", first, graded_groups, suffixes[kind])
                (scores,) = _in_threads(graded_groups, (hierarchical_precisions, curve, 2))
                graded_curves[kind] += scores[..., 0].sum(0)

    per_query = table.per_query()
    content: dict[str, Any] = {name: float(values.mean()) for name, values in per_query.items()}
    content["curves"] = sums.curves(curve, ranks, compared.queries)
    if graded is not None:
        means = {SIMILARITIES[suffix]: row.tolist() for suffix, row in zip(suffixes, graded_curves, strict=True)}
        for name, row in means.items():
            means[name] = [value / compared.queries for value in row]
        content["curves"]["hierarchical_precision_at_k"] = {"k": curve.tolist(), **means}
    if distance == "hamming":
        content |= {"codes": code_statistics(database, bits) | sums.mean_distances(), "bits": bits}
    content |= {
        "queries": compared.queries,
        "database": items,
        "distance": distance,
        "queries_without_relevant": sums.without_relevant,
    }
    return Report(content, per_query)


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
        leave_one_out: as :func:`evaluate` takes it.

    Raises:
        BadInput: as :func:`evaluate`.

    Example:
        >>> codes = np.array([[0b00000000], [0b00000001], [0b11111111]], np.uint8)
        >>> mean_average_precision(codes[:1], [0], codes, [0, 1, 0])
        0.8333333333333333
    """
    (depth,) = _depths([k])
    queries, database, bits = _packed(query_codes, database_codes, bits)
    _check_counts(len(queries), query_labels, len(database), database_labels)
    compared = Comparison(queries, database, bits, relevance(query_labels, database_labels), leave_one_out)
    cut = np.array([compared.size if depth is None else depth])
    total = 0.0
    for first in range(0, compared.queries, QUERIES_AT_ONCE):
        groups = Groups(*compared.histograms(first, min(first + QUERIES_AT_ONCE, compared.queries)))
        (scores,) = _in_threads(groups, (average_precisions, cut, 3))
        total += float(scores[..., 0].sum())
    return total / compared.queries


class _Table:
    """Scores of every query in every figure, filled block by block."""

    def __init__(self, depths: Sequence[int | None], queries: int, size: int) -> None:
        self._depths = depths
        self._queries = queries
        self._size = size
        self._columns: dict[str, NDArray[np.float64]] = {}
        self._places: dict[str, int] = {}

    def add(self, needs: str, first: int, groups: Groups | SharedGroups | GradedGroups, suffix: str = "") -> None:
        """Fill in the scores of queries ``first`` … in all metrics that need these groups."""
        found: dict[str, int] = {}
        metrics = [metric for metric in METRICS.values() if metric.needs == needs]
        depths = [self._depths_of(metric) for metric in metrics]
        cuts = [np.unique(self._cuts(own), return_inverse=True) for own in depths]
        tasks = [
            (metric.function, ascending, len(metric.figures))
            for metric, (ascending, _) in zip(metrics, cuts, strict=True)
        ]
        for metric, own, (_, places), scores in zip(
            metrics, depths, cuts, _in_threads(groups, *tasks), strict=True
        ):
            for at, place in zip(own, places, strict=True):
                for number, figure in enumerate(metric.figures):
                    name = figure.at(at) + suffix
                    column = self._columns.setdefault(name, np.zeros(self._queries))
                    column[first : first + len(groups)] = scores[:, place, number]
                    found[name] = self._depths.index(at) if figure.has_depth else len(self._depths)
        for name in sorted(found, key=lambda name: found[name]):  # depth by depth
            self._places.setdefault(name, len(self._places))

    def _depths_of(self, metric: Metric) -> list[int | None]:
        """The depths at which a metric is reported."""
        if not any(figure.has_depth for figure in metric.figures):
            return [None]
        return [k for k in self._depths if metric.whole or k is not None]

    def _cuts(self, depths: Sequence[int | None]) -> NDArray[np.int64]:
        return np.array([self._size if k is None else min(k, self._size) for k in depths], np.int64)

    def per_query(self) -> dict[str, NDArray[np.float64]]:
        """All columns."""
        return {name: self._columns[name] for name in self._places}


class _Sums:
    """Sums over queries of what the curves and statistics tell; without levels, nothing of distances."""

    def __init__(self, levels: int, points: int, ranks: int) -> None:
        self.precision_at_k = np.zeros(points)
        self.precision_at_rank, self.recall_at_rank = np.zeros((2, ranks))
        self.precision_at_radius = np.zeros(levels)
        self.recall_at_radius = np.zeros(levels)
        self.total = np.zeros(levels, np.int64)
        self.relevant = np.zeros(levels, np.int64)
        self.without_relevant = 0

    def add(self, groups: Groups, curve: NDArray[np.int64], ranks: NDArray[np.int64]) -> None:
        scores = _in_threads(groups, (precisions, curve, 1), (precisions, ranks, 1), (recalls, ranks, 1))
        at_k, at_rank, recall = (found[..., 0].sum(0) for found in scores)
        self.precision_at_k += at_k
        self.precision_at_rank += at_rank
        self.recall_at_rank += recall
        self.without_relevant += int((~groups.relevants.any(1)).sum())
        if len(self.total):
            found, hits = groups.totals.cumsum(1), groups.relevants.cumsum(1)
            self.precision_at_radius += (hits / np.maximum(found, 1)).sum(0)
            self.recall_at_radius += (hits / np.maximum(hits[:, -1:], 1)).sum(0)
            self.total += groups.totals.sum(0)
            self.relevant += groups.relevants.sum(0)

    def curves(self, curve: NDArray[np.int64], ranks: NDArray[np.int64], queries: int) -> dict[str, Any]:
        curves: dict[str, Any] = {
            "precision_recall_by_rank": {
                "k": ranks.tolist(),
                "precision": (self.precision_at_rank / queries).tolist(),
                "recall": (self.recall_at_rank / queries).tolist(),
            },
            "precision_at_k": {"k": curve.tolist(), "precision": (self.precision_at_k / queries).tolist()},
        }
        levels = list(range(len(self.total)))
        if levels:
            curves["precision_recall"] = {
                "radius": levels,
                "precision": (self.precision_at_radius / queries).tolist(),
                "recall": (self.recall_at_radius / queries).tolist(),
            }
            curves["distances"] = {
                "distance": levels,
                "relevant": self.relevant.tolist(),
                "irrelevant": (self.total - self.relevant).tolist(),
            }
        return curves

    def mean_distances(self) -> dict[str, float | None]:
        return {
            "mean_distance_relevant": _mean_level(self.relevant),
            "mean_distance_irrelevant": _mean_level(self.total - self.relevant),
        }


def _in_threads(
    groups: Groups | SharedGroups | GradedGroups, *tasks: tuple[Any, NDArray[np.int64], int]
) -> list[NDArray[np.float64]]:
    """(Q, M, F) scores for each metric's function, its (M,) depths and the number F of its figures."""
    scores = [np.empty((len(groups), len(depths), figures)) for _, depths, figures in tasks]

    def score(start: int, stop: int) -> None:
        part = groups[start:stop]
        for (function, depths, _), found in zip(tasks, scores, strict=True):
            if len(depths):
                found[start:stop] = function(part, depths)

    run_in_threads(score, even_slices(len(groups), TASKS_PER_THREAD * available_threads()))
    return scores


def _hierarchy(
    taxonomy: Taxonomy | ArrayLike | str | os.PathLike[str],
    classes: Sequence[str] | None,
    query_labels: ArrayLike,
    database_labels: ArrayLike,
) -> tuple[dict[str, NDArray[np.float64]], NDArray[Any], NDArray[Any]]:
    """Class similarities by the suffix of their figures, and both labels as class numbers or multi-hot."""
    queries, database = np.asarray(query_labels), np.asarray(database_labels)
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


def _packed(
    query_codes: ArrayLike, database_codes: ArrayLike, bits: int | None
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], int]:
    """Both codes packed, and K."""
    queries, query_bits = as_packed(query_codes, bits)
    database, database_bits = as_packed(database_codes, bits)
    if query_bits != database_bits:
        raise BadInput(f"Queries have {query_bits} bits, but the database has {database_bits}.")
    return queries, database, query_bits


def _check_counts(queries: int, query_labels: ArrayLike, database: int, database_labels: ArrayLike) -> None:
    if not queries or not database:
        raise BadInput(f"There is nothing to evaluate: {queries} queries, {database} database items.")
    for name, count, labels in (("queries", queries, query_labels), ("database", database, database_labels)):
        given = len(np.atleast_1d(np.asarray(labels)))
        if count != given:
            raise BadInput(f"The {name} have {count} codes, but {given} labels.")


def _depths(at: Sequence[int | None]) -> list[int | None]:
    for k in at:
        if k is not None and (int(k) != k or k < 1):
            raise BadInput(f"A ranking depth of {k} makes no sense; use whole numbers from 1, or None for all.")
    return list(dict.fromkeys(at))


def _curve_depths(size: int, deepest: int) -> NDArray[np.int64]:
    return np.unique(np.geomspace(1, min(size, deepest), CURVE_POINTS).round().astype(np.int64))


def _mean_level(counts: NDArray[np.int64]) -> float | None:
    return float(counts @ np.arange(len(counts)) / counts.sum()) if counts.sum() else None
