"""Tables on the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hashlens.classes import Sense


def print_metrics(report: Mapping[str, Any]) -> None:
    """The main figures of :func:`hashlens.metrics.evaluate`."""
    from rich.table import Table

    from hashlens.metrics.tables import figure_tables

    for found in figure_tables(report, headlines=True):
        table = Table(*found.columns)
        for row in found.rows:
            table.add_row(*row)
        _print(table)
    by_features = {name: value for name, value in report.items() if name.startswith(("neighbours@", "chance@"))}
    if by_features:
        print_facts(by_features)


def print_results(answer: Mapping[str, Any]) -> None:
    """The results of one search: ``query`` and ``results``, a list of dictionaries made from hits."""
    from rich.table import Table

    table = Table(title=answer["query"], title_justify="left")
    table.add_column("rank", justify="right")
    table.add_column("distance", justify="right")
    table.add_column("label")
    table.add_column("path", overflow="fold")
    for hit in answer["results"]:
        table.add_row(str(hit["rank"]), str(hit["distance"]), ", ".join(hit["labels"]), hit["path"])
    _print(table)


def print_senses(senses: Iterable[Sense]) -> None:
    """What classes were taken to mean in WordNet."""
    from rich.table import Table

    table = Table("class", "meaning", "what it is", "other meanings")
    for sense in senses:
        meaning = f"a kind of {sense.synset}" if sense.is_kind else sense.synset
        gloss = sense.gloss.partition(";")[0]
        others = ", ".join(sense.others[:3]) + (f" and {len(sense.others) - 3} more" if sense.others[3:] else "")
        table.add_row(sense.class_name, meaning, gloss, others)
    _print(table)


def print_facts(facts: Mapping[str, Any]) -> None:
    """Names and values, one a line."""
    from rich.table import Table

    table = Table(show_header=False, box=None)
    for name, value in facts.items():
        table.add_row(name.replace("_", " "), f"{value:.4g}" if isinstance(value, float) else str(value))
    _print(table)


def _print(table: Any) -> None:
    from rich.console import Console

    Console(highlight=False, markup=False).print(table)
