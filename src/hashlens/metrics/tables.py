"""The figures of a report laid out for people, as the table of metrics orders them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hashlens.metrics.metric import METRICS, Figure

BY_WU_PALMER = "/wup"
RESCORED = "/rescored"
RESCORED_MEANING = "of the order in which an index shows results: the nearest codes by what rounding lost"


@dataclass(frozen=True)
class FigureTable:
    """Figures that have depths, one line for each depth, or those without.

    Attributes:
        columns: headings, the first of them of the depths, or of the names of figures without.
        rows: a depth or name, and numbers; "" where there is none.
        meanings: of each figure in it, by its name.

    Example:
        >>> FigureTable(("first k", "mAP@k"), (("10", "0.7500"),), {"mAP@k": "mean average precision"}).columns
        ('first k', 'mAP@k')
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    meanings: Mapping[str, str]

    def is_number(self, column: int) -> bool:
        """Whether a column holds numbers."""
        texts = [row[column].rstrip("%").replace(",", "").replace(".", "", 1) for row in self.rows]
        return any(texts) and all(text.isdecimal() or text in ("", "all") for text in texts)


def figure_tables(report: Mapping[str, Any], headlines: bool = False) -> list[FigureTable]:
    """Tables of the figures of a report: by relevance, shared labels, class distance, those without a depth.

    Args:
        report: what :func:`hashlens.metrics.evaluate` returns, or what was read from its JSON.
        headlines: only the figures that are marked as such.

    Example:
        >>> for table in figure_tables({"mAP@10": 0.75, "precision@10": 0.5}, headlines=True):
        ...     print(table.columns, table.rows)
        ('first k', 'mAP@k', 'precision@k') (('10', '0.7500', '0.5000'),)
    """
    figures = [(metric.needs, figure) for metric in METRICS.values() for figure in metric.figures]
    shown = [(needs, figure) for needs, figure in figures if figure.headline or not headlines]
    tables = []
    for kind in ("relevance", "shared labels", "class distance"):
        columns = [figure for needs, figure in shown if needs == kind and figure.has_depth]
        suffixes = ("", BY_WU_PALMER) if kind == "class distance" and not headlines else ("",)
        tables.append(_by_depth(report, columns, suffixes))
    plain = {figure.name: figure.meaning for _, figure in shown if not figure.has_depth and figure.name in report}
    plain |= {name: RESCORED_MEANING for name in report if name.endswith(RESCORED)}
    tables.append(FigureTable(("figure", "value"), tuple((name, _number(report[name])) for name in plain), plain))
    return [table for table in tables if table.rows]


def _by_depth(report: Mapping[str, Any], figures: list[Figure], suffixes: tuple[str, ...]) -> FigureTable:
    named = [(figure.name + suffix, figure) for suffix in suffixes for figure in figures]
    depths: dict[str, None] = {}
    for name, _ in named:
        before, _, after = name.partition("{k}")
        for found in report:
            if found.startswith(before) and found.endswith(after):
                depth = found[len(before) : len(found) - len(after)]
                if depth == "all" or depth.isdecimal():
                    depths[depth] = None
    known = [(name, figure) for name, figure in named if any(name.replace("{k}", k) in report for k in depths)]
    return FigureTable(
        ("first k", *(_heading(name) for name, _ in known)),
        tuple((k, *(_number(report.get(name.replace("{k}", k))) for name, _ in known)) for k in depths),
        {_heading(name): figure.meaning for name, figure in known},
    )


def _heading(name: str) -> str:
    return name.replace("{k}", "k").replace(BY_WU_PALMER, ", Wu–Palmer")


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"
