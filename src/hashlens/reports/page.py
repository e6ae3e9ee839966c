"""One HTML page, with everything in it, that shows a person how good a search is."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashlens.engines import HammingIndex
from hashlens.files import replacing
from hashlens.metrics.relevance import relevant_results
from hashlens.metrics.tables import figure_tables
from hashlens.sources import Source, UnreadableImage
from hashlens.sources.labels import Labels

NEIGHBOURS = 10
SAMPLED_QUERIES = 500
ROWS = 8
THUMBNAIL = 96  # pixels


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
class Picture:
    """A thumbnail.

    Attributes:
        data: the image, as an address that holds it; empty where it cannot be read any more.
        relevant: of a result, whether it is relevant.
        apart: of a result that is not, how far its class is from the query's, in [0, 1], if that is known.
    """

    data: str
    caption: str
    relevant: bool | None = None
    apart: float | None = None


@dataclass(frozen=True)
class ResultRow:
    query: Picture
    results: Sequence[Picture]


def result_rows(
    queries: Side,
    database: Side,
    index: HammingIndex,
    class_distance: NDArray[np.float64] | None = None,
    seed: int = 0,
) -> tuple[list[ResultRow], list[ResultRow]]:
    """Result grids: queries drawn at random, and of those drawn the ones with the fewest right answers.

    Args:
        index: of the codes of the database, by their position.
        class_distance: (C, C) by label number, to show how wrong a wrong answer is.

    Returns:
        Rows for random queries, and rows for the worst.
    """
    random = np.random.default_rng(seed)
    drawn = random.permutation(len(queries.codes))[:SAMPLED_QUERIES]
    distances, found = index.search(queries.codes[drawn], NEIGHBOURS)
    relevant = relevant_results(queries.labels[drawn], database.labels[found])

    def apart(query: int, hit: int) -> float | None:
        labels = queries.labels[query], database.labels[hit]
        if class_distance is None or min(labels) < 0:
            return None
        return float(class_distance[labels])

    def row(place: int) -> ResultRow:
        results = [
            _picture(database, int(hit), f"{distance} · ", bool(right), apart(int(drawn[place]), int(hit)))
            for hit, distance, right in zip(found[place], distances[place], relevant[place], strict=True)
        ]
        return ResultRow(_picture(queries, int(drawn[place])), results)

    worst = np.argsort(relevant.sum(1), kind="stable")[:ROWS]
    return [row(place) for place in range(min(ROWS, len(drawn)))], [row(int(place)) for place in worst]


def write_page(
    path: Path,
    facts: Mapping[str, str],
    report: Mapping[str, Any],
    plots: Mapping[str, Path],
    rows: tuple[Sequence[ResultRow], Sequence[ResultRow]] | None,
) -> None:
    """Write the page.

    Args:
        facts: what was evaluated, as names and values.
        report: what :func:`hashlens.metrics.evaluate` returns, and ``notes`` that a reader should know of.
        plots: PNG files by title.
        rows: what :func:`result_rows` returns; ``None`` where there are no images to show.
    """
    import jinja2

    environment = jinja2.Environment(loader=jinja2.PackageLoader("hashlens.reports", "."), autoescape=True)
    page = environment.get_template("page.html").render(
        facts=facts,
        tables=figure_tables(report),
        report=report,
        hierarchical="hierarchical_precision_at_k" in report["curves"],
        plots={title: _embedded(file.read_bytes(), "png") for title, file in plots.items()},
        sections=rows and [("Queries drawn at random", rows[0]), ("Where it fails most", rows[1])],
    )
    with replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


def _picture(
    side: Side, row: int, before: str = "", relevant: bool | None = None, apart: float | None = None
) -> Picture:
    item = int(side.items[row])
    caption = before + (", ".join(side.source.label_names(item)) or "no label")
    if relevant is False and apart is not None:
        caption += f" · {apart:.2f} apart"
    try:
        image = side.source.image(item, THUMBNAIL)
    except UnreadableImage:
        return Picture("", f"{caption} (cannot be read any more)", relevant, apart)
    image.thumbnail((THUMBNAIL, THUMBNAIL))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=85)
    return Picture(_embedded(buffer.getvalue(), "jpeg"), caption, relevant, apart)


def _embedded(content: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"
