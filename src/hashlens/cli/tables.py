"""Tables on the terminal."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from hashlens.files import as_shown

if TYPE_CHECKING:
    from hashlens.classes import Sense
    from hashlens.metrics.tables import FigureTable

UNBROKEN = 10_000  # columns


def print_metrics(report: Mapping[str, Any]) -> None:
    """The main figures of :func:`hashlens.metrics.evaluate`."""
    from hashlens.metrics.tables import figure_tables

    for found in figure_tables(report, headlines=True):
        print_table(found)
    by_features = {name: value for name, value in report.items() if name.startswith(("neighbours@", "chance@"))}
    if by_features:
        print_facts(by_features)


def print_comparison(report: Mapping[str, Any]) -> None:
    """Which classes are found well, and what the figures mean beside those of other means."""
    from hashlens.reports.baselines import baseline_table
    from hashlens.reports.by_class import class_tables

    if "baselines" in report:
        for title, found in class_tables(report).items():
            print_table(found, title)
        print_table(baseline_table(report["baselines"]), "On the same data")
        print(report["baselines"]["meaning"])


def print_compared(tables: Mapping[str, FigureTable], sentences: Iterable[str]) -> None:
    """A table for each figure of a comparison of methods, and what is to be said of them."""
    for title, found in tables.items():
        print_table(found, title)
    for sentence in sentences:
        print(as_shown(sentence))


def print_instances(report: Mapping[str, Any]) -> None:
    """The figures of instance retrieval, of codes and of the features that they come from."""
    from hashlens.metrics.instance_retrieval import instance_table

    print_table(instance_table(report), f"{report['bits']} bits")
    if report["features"] is not None:
        print_table(instance_table(report["features"]), "Float features")


def print_table(found: FigureTable, title: str = "") -> None:
    """One table, its numbers to the right."""
    from rich.table import Table

    table = Table(title=title or None, title_justify="left")
    for place, column in enumerate(found.columns):
        table.add_column(column, justify="right" if found.is_number(place) else "left")
    for row in found.rows:
        table.add_row(*map(_in_one_line, row))
    _print(table)


def print_results(answer: Mapping[str, Any], here: bool = True) -> None:
    """The results of one search: ``query`` and ``results``, a list of dictionaries made from hits.

    Args:
        here: whether their paths are of this machine, so that files may be linked or found gone.
    """
    from rich.table import Table

    _print(_path(answer["query"]))
    table = Table()
    table.add_column("rank", justify="right")
    table.add_column("distance", justify="right")
    table.add_column("label")
    table.add_column("path", overflow="fold")
    for hit in answer["results"]:
        label = _in_one_line(", ".join(hit["labels"]))
        path = _path(hit["path"]) if here else _in_one_line(hit["path"])
        table.add_row(str(hit["rank"]), str(hit["distance"]), label, path)
    _print(table)


def print_groups(groups: Iterable[Iterable[Mapping[str, Any]]]) -> None:
    """Groups of images, each a dictionary made from an entry."""
    from rich.table import Table

    table = Table()
    table.add_column("group", justify="right")
    table.add_column("bytes", justify="right")
    table.add_column("label")
    table.add_column("path", overflow="fold")
    for number, group in enumerate(groups, 1):
        for one in group:
            label = _in_one_line(", ".join(one["labels"]))
            table.add_row(f"{number:,}", f"{one['bytes']:,}", label, _path(one["path"]))
        table.add_section()
    if table.row_count:
        _print(table)


def print_json(content: Any) -> None:
    """JSON for programs; names of files that are no UTF-8 keep their bytes as escapes."""
    text = json.dumps(content, indent=2, ensure_ascii=False)
    try:
        text.encode(sys.stdout.encoding)  # strictly, which a terminal without a language is not
    except UnicodeEncodeError:
        text = json.dumps(content, indent=2)
    print(text)


def print_senses(senses: Iterable[Sense]) -> None:
    """What classes were taken to mean in WordNet."""
    from rich.table import Table

    table = Table("class", "meaning", "what it is", "other meanings")
    for sense in senses:
        gloss = sense.gloss.partition(";")[0]
        others = ", ".join(sense.others[:3]) + (f" and {len(sense.others) - 3} more" if sense.others[3:] else "")
        table.add_row(_in_one_line(sense.class_name), sense.meaning, gloss, others)
    _print(table)


def print_facts(facts: Mapping[str, Any]) -> None:
    """Names and values, one a line."""
    from rich.table import Table

    table = Table(show_header=False, box=None)
    for name, value in facts.items():
        shown = f"{value:.4g}" if isinstance(value, float) else _in_one_line(value)
        table.add_row(_in_one_line(name).replace("_", " "), shown)
    _print(table)


def _in_one_line(name: object) -> str:
    """A name of a file or class, which may hold line ends and tabs, as it can be typed."""
    return as_shown(name).replace("\n", "\\n").replace("\t", "\\t")


def _path(location: str) -> Any:
    """A path that terminals which can show as a link, and a word if it leads nowhere."""
    from rich.style import Style
    from rich.text import Text

    from hashlens.sources.locations import file_of, is_gone

    file = file_of(location)
    text = Text(_in_one_line(location), Style(link=file.absolute().as_uri()) if file else "")
    return text.append(" (gone)", "bold") if is_gone(location) else text


def _print(shown: Any) -> None:
    from rich.console import Console

    # What goes into a file or a pipe is read by programs and by people with wide windows: no line is broken.
    width = None if sys.stdout.isatty() else UNBROKEN
    Console(highlight=False, markup=False, emoji=False, width=width).print(shown, soft_wrap=width is not None)
