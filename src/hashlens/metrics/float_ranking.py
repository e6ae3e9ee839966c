"""How well features themselves find what is relevant: what codes are to be compared with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashlens.compute.threads import run_in_threads
from hashlens.errors import BadInput
from hashlens.metrics.metric import METRICS, Figure, Groups
from hashlens.metrics.relevance import relevant_items
from hashlens.metrics.report import Report
from hashlens.sources.feature_array import unit_length

PAIRS_AT_ONCE = 1 << 24  # of a query and an item, whose distances are held together
DIGITS = 6  # of cosines; what float32 sums say beyond depends on the order of adding, so that copies would not tie
MEASURES = {"cosine": "", "l1": "cityblock", "l2": "sqeuclidean"}  # of the others scipy's names
COMPARED = ("average precision", "precision")  # of METRICS; of each the first figure


def evaluate_features(
    query_features: NDArray[np.float32],
    query_labels: NDArray[Any],
    database_features: NDArray[np.float32],
    database_labels: NDArray[Any],
    at: Sequence[int | None],
    left_out: NDArray[np.int64] | None = None,
    distance: str = "cosine",
) -> Report:
    """Judge features, or continuous codes, by how well ranking the database by them finds what is relevant.

    Every item is ranked, and items at equal distances, such as copies, count as the expectation over their orders,
    as in :func:`hashlens.metrics.evaluate`. Some queries at a time are compared with the database, so that no more
    than 16 million distances are held.

    Args:
        query_features, database_features: (Q, D) and (N, D).
        query_labels, database_labels: (·,) class numbers, −1 for none, or (·, C) bool.
        at: ranking depths, ``None`` for all; one beyond N counts the N there are.
        left_out: (Q,) the item of the database that each query does not see, since it is itself.
        distance: "cosine", "l1" or "l2".

    Returns:
        ``mAP@k`` and ``precision@k`` for every depth, the latter not for all.

    Raises:
        BadInput: there is no such distance.

    Example:
        >>> x = np.eye(4, dtype=np.float32)[[0, 0, 1, 1]]
        >>> report = evaluate_features(x[:1], np.array([5]), x, np.array([5, 5, 7, 7]), at=(2, None))
        >>> dict(report)
        {'mAP@2': 1.0, 'precision@2': 1.0, 'mAP@all': 1.0}
    """
    if distance not in MEASURES:
        raise BadInput(f"There is no distance '{distance}'; use one of {', '.join(MEASURES)}.")
    count, size = len(query_features), len(database_features) - (left_out is not None)
    columns: dict[str, NDArray[np.float64]] = {}
    by_cosine = distance == "cosine"
    database = unit_length(database_features) if by_cosine else database_features
    step = max(1, min(256, PAIRS_AT_ONCE // size))
    for first in range(0, count, step):
        here = slice(first, min(first + step, count))
        if by_cosine:
            distances = -(unit_length(query_features[here]) @ database.T).round(DIGITS)
        else:
            from scipy.spatial.distance import cdist

            distances = cdist(query_features[here], database, MEASURES[distance])
        relevant = relevant_items(query_labels[here], database_labels)
        if left_out is not None:
            others = np.arange(size + 1) != left_out[here, None]
            distances, relevant = (found[others].reshape(-1, size) for found in (distances, relevant))
        groups = _groups(distances, relevant)
        for k in at:
            cut = np.array([size if k is None else min(k, size)])
            for name in COMPARED:
                metric = METRICS[name]
                if metric.whole or k is not None:
                    figure: Figure = metric.figures[0]
                    column = columns.setdefault(figure.at(k), np.empty(count))
                    column[here] = metric.function(groups, cut)[:, 0, 0]
    return Report({name: float(values.mean()) for name, values in columns.items()}, columns)


def _groups(distances: NDArray[np.floating], relevant: NDArray[np.bool_]) -> Groups:
    """Items at equal distances, the nearest first, as groups; padded with empty ones."""
    totals, relevants = (np.zeros(distances.shape, np.int64) for _ in range(2))

    def group(start: int, stop: int) -> None:
        for q in range(start, stop):
            order = np.argsort(distances[q])
            ranked = distances[q][order]
            starts = np.flatnonzero(np.concatenate([[True], ranked[1:] != ranked[:-1]]))
            totals[q, : len(starts)] = np.diff(np.append(starts, len(ranked)))
            relevants[q, : len(starts)] = np.add.reduceat(relevant[q][order].astype(np.int64), starts)

    run_in_threads(group, [(q, q + 1) for q in range(len(distances))])
    return Groups(totals, relevants)
