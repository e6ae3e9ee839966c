"""Which classes are found well, and which are taken for each other."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashlens.files import as_shown, replacing
from hashlens.metrics.tables import FigureTable

CLASSES_FILE = "classes.csv"
SHOWN_CLASSES, SHOWN_PAIRS = 5, 8


def scores_by_class(
    scores: Mapping[str, NDArray[np.float64]],
    query_labels: NDArray[Any],
    database_labels: NDArray[Any],
    names: Sequence[str],
) -> list[dict[str, Any]]:
    """Mean scores of the queries of each class, the worst class first; a query with several labels counts in each.

    Args:
        scores: (Q,) by figure; the classes are sorted by the last.

    Example:
        >>> asked, there = np.array([0, 1]), np.array([0, 1, 1])
        >>> scores_by_class({"mAP": np.array([1.0, 0.5])}, asked, there, ["cat", "dog"])[0]
        {'class': 'dog', 'queries': 1, 'in database': 2, 'mAP': 0.5}
    """
    rows = []
    for number, name in enumerate(names):
        asked = query_labels[:, number] if query_labels.ndim == 2 else query_labels == number
        there = database_labels[:, number] if database_labels.ndim == 2 else database_labels == number
        if asked.any():
            means = {figure: float(values[asked].mean()) for figure, values in scores.items()}
            rows.append({"class": name, "queries": int(asked.sum()), "in database": int(there.sum()), **means})
    return sorted(rows, key=lambda row: row[next(reversed(row))])


def confusions(
    shown: NDArray[np.int64], query_labels: NDArray[Any], database_labels: NDArray[Any], classes: int
) -> NDArray[np.int64]:
    """(P, 3) class of the query, class of the result, and how many of the first results are such a pair.

    Args:
        shown: (Q, m) positions in the database of the first results.
        query_labels, database_labels: (Q,) and (N,) class numbers; −1 counts nowhere.

    Example:
        >>> confusions(np.array([[0, 1], [1, 2]]), np.array([0, 1]), np.array([0, 1, 1]), 2).tolist()
        [[0, 0, 1], [0, 1, 1], [1, 1, 2]]
    """
    asked, found = np.broadcast_arrays(query_labels[:, None], database_labels[shown])
    known = (asked >= 0) & (found >= 0)
    pairs, counts = np.unique(asked[known] * classes + found[known], return_counts=True)
    return np.stack([pairs // classes, pairs % classes, counts], 1)


def shares_of(pairs: NDArray[np.int64], classes: int) -> NDArray[np.float64]:
    """(C, C) share of the first results of each class's queries that are of each class.

    Example:
        >>> shares_of(np.array([[0, 0, 1], [0, 1, 1], [1, 1, 2]]), 2).tolist()
        [[0.5, 0.5], [0.0, 1.0]]
    """
    counts = np.zeros((classes, classes))
    counts[pairs[:, 0], pairs[:, 1]] = pairs[:, 2]
    return counts / np.maximum(counts.sum(1, keepdims=True), 1)


def most_confused(pairs: NDArray[np.int64], names: Sequence[str]) -> list[dict[str, Any]]:
    """The pairs of different classes with the largest share of the first results of the query's class.

    Example:
        >>> most_confused(np.array([[0, 0, 1], [0, 1, 1], [1, 1, 2]]), ["cat", "dog"])
        [{'query': 'cat', 'result': 'dog', 'share': 0.5}]
    """
    totals = np.bincount(pairs[:, 0], pairs[:, 2], minlength=len(names))
    wrong = pairs[pairs[:, 0] != pairs[:, 1]]
    shares = wrong[:, 2] / totals[wrong[:, 0]]
    return [
        {"query": names[wrong[place, 0]], "result": names[wrong[place, 1]], "share": float(shares[place])}
        for place in np.argsort(-shares, kind="stable")[: 4 * SHOWN_PAIRS]
    ]


def class_tables(report: Mapping[str, Any]) -> dict[str, FigureTable]:
    """The worst and best classes and the most confused pairs of a report, by title."""
    rows = report.get("classes") or []
    tables = {}
    if len(rows) > 1:
        columns = tuple(rows[0])
        shown = [tuple(_text(value) for value in row.values()) for row in rows]
        if len(rows) <= 2 * SHOWN_CLASSES:
            tables["Classes, the worst first"] = FigureTable(columns, tuple(shown), {})
        else:
            tables["The worst classes"] = FigureTable(columns, tuple(shown[:SHOWN_CLASSES]), {})
            tables["The best classes"] = FigureTable(columns, tuple(shown[: -SHOWN_CLASSES - 1 : -1]), {})
    if report.get("confusions"):
        confused = [
            (one["query"], one["result"], f"{one['share']:.1%}") for one in report["confusions"][:SHOWN_PAIRS]
        ]
        columns = ("searched with", "found", "share of the first ten")
        tables["Most often taken for each other"] = FigureTable(columns, tuple(confused), {})
    return tables


def write_classes(rows: Sequence[Mapping[str, Any]], folder: Path) -> None:
    """Write the scores of all classes as csv."""
    with replacing(folder / CLASSES_FILE) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(rows[0])
        writer.writerows([as_shown(value) for value in row.values()] for row in rows)


def _text(value: Any) -> str:
    return f"{value:.4f}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)
