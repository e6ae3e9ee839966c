"""One HTML page, with everything in it, that shows a person how good a search is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashlens.metrics.graded_items import kinds_of
from hashlens.metrics.relevance import relevant_results
from hashlens.metrics.tables import figure_tables
from hashlens.reports.baselines import baseline_table
from hashlens.reports.by_class import class_tables
from hashlens.reports.pictures import Picture, embedded, link_to, thumbnail, write_html
from hashlens.reports.plots import Plot
from hashlens.sources import Source, UnreadableImage
from hashlens.sources.labels import Labels

SAMPLED_QUERIES = 500
ROWS = 8
THUMBNAIL = 160  # pixels


@dataclass(frozen=True)
class Side:
    """One side of an evaluation.

    Attributes:
        source: where the images are.
        items: (n,) int64, their numbers in the source.
        codes: (n, ceil(K/8)) uint8.
        labels: (n,) or (n, C), numbered alike on both sides.
    """

    source: Source
    items: NDArray[np.int64]
    codes: NDArray[np.uint8]
    labels: Labels


@dataclass(frozen=True)
class ResultRow:
    query: Picture
    results: Sequence[Picture]


def result_rows(
    queries: Side,
    database: Side,
    shown: NDArray[np.int64],
    class_distance: NDArray[np.float64] | None = None,
    seed: int = 0,
) -> tuple[list[ResultRow], list[ResultRow]]:
    """Result grids: queries drawn at random, and of those drawn the ones with the fewest right answers.

    Args:
        shown: (Q, m) positions in the database of the results that each query is shown.
        class_distance: (C, C) by label number, to show how wrong a wrong answer is.

    Returns:
        Rows for random queries, and rows for the worst.
    """
    random = np.random.default_rng(seed)
    drawn = random.permutation(len(queries.codes))[:SAMPLED_QUERIES]
    found = shown[drawn]
    apart_by = np.unpackbits(queries.codes[drawn][:, None] ^ database.codes[found], axis=2).sum(2)
    relevant = relevant_results(queries.labels[drawn], database.labels[found])

    kinds = None
    if class_distance is not None:
        kinds = kinds_of(queries.labels[drawn], database.labels, 1 - class_distance[None])
        (alike,) = kinds.similarities(kinds.of_queries)

    def apart(place: int, hit: int) -> float | None:
        if kinds is None or min(kinds.of_queries[place], kinds.of_database[hit]) < 0:
            return None
        return float(1 - alike[place, kinds.of_database[hit]])

    def row(place: int) -> ResultRow:
        results = [
            _picture(database, int(hit), f"{distance} · ", bool(right), apart(place, int(hit)))
            for hit, distance, right in zip(found[place], apart_by[place], relevant[place], strict=True)
        ]
        return ResultRow(_picture(queries, int(drawn[place])), results)

    worst = np.argsort(relevant.sum(1), kind="stable")[:ROWS]
    return [row(place) for place in range(min(ROWS, len(drawn)))], [row(int(place)) for place in worst]


def write_page(
    path: Path,
    facts: Mapping[str, str],
    report: Mapping[str, Any],
    plots: Sequence[Plot],
    rows: tuple[Sequence[ResultRow], Sequence[ResultRow]] | None,
    made: Mapping[str, Any],
) -> None:
    """Write the page.

    Args:
        facts: what was evaluated, as names and values.
        report: what :func:`hashlens.metrics.evaluate` returns, and ``notes`` that a reader should know of.
        rows: what :func:`result_rows` returns; ``None`` where there are no images to show.
        made: what :func:`made_by` returns.
    """
    content = {
        "facts": facts,
        "tables": figure_tables(report),
        "report": report,
        "baselines": baseline_table(report["baselines"]),
        "classes": class_tables(report),
        "hierarchical": "hierarchical_precision_at_k" in report["curves"],
        "plots": [
            {"title": plot.title, "meaning": plot.meaning, "data": embedded(plot.file.read_bytes(), "png")}
            for plot in plots
        ],
        "sections": rows and [("Queries drawn at random", rows[0]), ("Where it fails most", rows[1])],
        "links": any(row.query.link for row in rows[0]) if rows else False,
        "made": made,
    }
    write_html(path, "page.html", content)


def _picture(
    side: Side, row: int, before: str = "", relevant: bool | None = None, apart: float | None = None
) -> Picture:
    item = int(side.items[row])
    caption = before + (", ".join(side.source.label_names(item)) or "no label")
    if relevant is False and apart is not None:
        caption += f" · {apart:.2f} apart"
    path = side.source.location(item)
    try:
        data, missing = thumbnail(side.source.image(item, THUMBNAIL), THUMBNAIL), ""
    except UnreadableImage:
        data, missing = "", "cannot be read any more"
    return Picture(data, caption, path, link_to(path), missing, relevant, apart)
