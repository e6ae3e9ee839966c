"""What a comparison of methods found, and its tables."""

from __future__ import annotations

import csv
import io
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hashlens.errors import BadInput
from hashlens.files import as_shown, replacing
from hashlens.metrics import Report
from hashlens.metrics.report import Difference
from hashlens.metrics.tables import FigureTable

Layers = tuple[int, ...] | None
DIGITS = 3


@dataclass(frozen=True)
class Run:
    """One training and its evaluation.

    Attributes:
        content: ``method``, ``bits`` (``None`` for float features), ``hidden_layers``, ``seed``; ``train``,
            ``queries`` and ``database``, how many they were; ``seconds`` of training; ``precision_recall``.
        report: figures, and the scores of every query.

    Example:
        >>> run = Run({"method": "itq", "bits": 16}, Report({"mAP@all": 0.5}, {"mAP@all": np.array([0.25, 0.75])}))
        >>> run.report.per_query["mAP@all"].tolist()
        [0.25, 0.75]
    """

    content: dict[str, Any]
    report: Report


class Row(NamedTuple):
    """A line of a table."""

    method: str
    layers: Layers


@dataclass(frozen=True)
class Effect:
    """How much better one method is than another.

    Attributes:
        difference: over queries; see :meth:`hashlens.metrics.Report.compare`.
        spread: standard deviation over seeds of the difference of two runs of one seed; 0 where there is one seed.

    Example:
        >>> found = Difference(mean=0.02, low=0.01, high=0.03, p_value=0.001, permutation_p_value=0.001)
        >>> Effect(found, spread=0.03).is_clear
        False
    """

    difference: Difference
    spread: float

    @property
    def is_clear(self) -> bool:
        """Whether it exceeds both spreads: its interval does not hold 0, and it is larger than over seeds."""
        outside = self.difference.low > 0 or self.difference.high < 0
        return outside and abs(self.difference.mean) > self.spread


class Compared:
    """Runs of several methods, code lengths, hidden layers and seeds on the same data.

    Args:
        runs: all of them.
        methods: names, in the order of tables.
        bits: code lengths, in the order of tables.
        layers: hidden layers, likewise.
        figures: to show; mAP at all depths and mAHP by default.
        baseline: the method that the others are compared with; the first by default.

    Raises:
        BadInput: there is no such figure.
    """

    def __init__(
        self,
        runs: Sequence[Run],
        methods: Sequence[str],
        bits: Sequence[int],
        layers: Sequence[Layers] = (None,),
        figures: Sequence[str] | None = None,
        baseline: str | None = None,
    ) -> None:
        self.runs, self.methods, self.bits = list(runs), list(methods), list(bits)
        self.baseline = baseline or self.methods[0]
        self._several = len(layers) > 1
        self._cells: dict[tuple[Row, int | None], list[Run]] = {}
        for run in runs:
            row = Row(run.content["method"], run.content["hidden_layers"])
            self._cells.setdefault((row, run.content["bits"]), []).append(run)
        order = {name: place for place, name in enumerate(methods)}
        by_layers = {sizes: place for place, sizes in enumerate(layers)}
        rows = {row for row, _ in self._cells}
        self.rows = sorted(rows, key=lambda row: (order[row.method], by_layers.get(row.layers, -1)))
        known = list(dict.fromkeys(name for run in runs for name in run.report.figures))
        check_figures(figures or (), known)
        self.figures = list(
            figures or (one for one in known if one.startswith(("mAP@", "mAHP@")) and "/" not in one)
        )
        asked = [run.content["asked"] for run in runs]
        self._same_queries = len(set(asked)) == 1

    def name(self, row: Row) -> str:
        """What tables call it."""
        if not self._several or row.layers is None:
            return row.method
        return f"{row.method}, {'×'.join(map(str, row.layers)) or 'linear'}"

    def cell(self, row: Row, bits: int) -> list[Run]:
        """The runs of all seeds; those of float features at every code length."""
        return self._cells.get((row, bits)) or self._cells.get((row, None), [])

    def values(self, row: Row, bits: int, figure: str) -> list[float]:
        """A figure of every seed; none where the method does not have it."""
        return [run.report[figure] for run in self.cell(row, bits) if figure in run.report]

    def mean(self, method: str, bits: int, figure: str, hidden_layers: Layers = None) -> float:
        """A figure's mean over seeds.

        Raises:
            BadInput: there is no such run.
        """
        found = self.values(Row(method, hidden_layers), bits, figure)
        if not found:
            raise BadInput(f"There is no {figure} of {method} with {bits} bits.")
        return statistics.fmean(found)

    @cached_property
    def effects(self) -> dict[tuple[Row, int, str], Effect]:
        """Of every row and code length over the baseline, by figure."""
        pairs: list[tuple[Row, Row, int, str]] = []
        for row in self.rows:
            against = self._baseline_of(row)
            if against is not None and against != row:
                pairs += [(row, against, bits, figure) for bits in self.bits for figure in self.figures]
        return {(row, bits, figure): one for (row, _, bits, figure), one in self._effects(pairs).items()}

    @cached_property
    def leaders(self) -> set[tuple[Row, int, str]]:
        """The highest of each column, and those that it does not clearly exceed."""
        best: dict[tuple[int, str], Row] = {}
        for bits in self.bits:
            for figure in self.figures:
                ranked = [row for row in self.rows if self.values(row, bits, figure)]
                best[bits, figure] = max(ranked, key=lambda row: statistics.fmean(self.values(row, bits, figure)))
        pairs = [
            (row, top, bits, figure) for (bits, figure), top in best.items() for row in self.rows if row != top
        ]
        near = {
            (row, bits, figure) for (row, _, bits, figure), one in self._effects(pairs).items() if not one.is_clear
        }
        return near | {(row, bits, figure) for (bits, figure), row in best.items()}

    def _baseline_of(self, row: Row) -> Row | None:
        """The baseline with the same hidden layers, else the first that there is."""
        rows = [one for one in self.rows if one.method == self.baseline]
        return next((one for one in rows if one.layers == row.layers), rows[0] if rows else None)

    def _effects(self, pairs: Sequence[tuple[Row, Row, int, str]]) -> dict[tuple[Row, Row, int, str], Effect]:
        """Of many pairs at once, so that all are judged by the same draws of queries."""
        ours: dict[str, NDArray[np.float64]] = {}
        theirs: dict[str, NDArray[np.float64]] = {}
        spreads: dict[str, float] = {}
        known = {}
        for place, (row, other, bits, figure) in enumerate(pairs):
            sides = [self._by_seed(one, bits, figure) for one in (row, other)]
            seeds = [seed for seed in sides[0] if seed in sides[1]]
            if not seeds:
                continue
            key = str(place)
            known[key] = pairs[place]
            ours[key], theirs[key] = (self._pooled([side[seed] for seed in seeds]) for side in sides)
            each = [float(np.nanmean(sides[0][seed] - sides[1][seed])) for seed in seeds]
            spreads[key] = statistics.stdev(each) if len(each) > 1 else 0.0
        if not known:
            return {}
        found = Report({}, ours).compare(Report({}, theirs))
        return {pair: Effect(found[key], spreads[key]) for key, pair in known.items()}

    def _by_seed(self, row: Row, bits: int, figure: str) -> dict[int, NDArray[np.float64]]:
        runs = [run for run in self.cell(row, bits) if figure in run.report]
        return {run.content["seed"]: run.report.per_query[figure] for run in runs}

    def _pooled(self, scores: list[NDArray[np.float64]]) -> NDArray[np.float64]:
        """Queries that are the same for all seeds are one query each; others are that many more."""
        return np.mean(scores, axis=0) if self._same_queries else np.concatenate(scores)

    def tables(self) -> dict[str, FigureTable]:
        """For each figure a column for each code length, or of one length a column for each figure.

        A line for each row has mean ± standard deviation.
        """
        found = {}
        for title, cells in self._columns().items():
            rows = [(self.name(row), *(self._text(row, *cell) for cell in cells.values())) for row in self.rows]
            found[title] = FigureTable(("method", *cells), tuple(rows), {})
        return found

    def _columns(self) -> dict[str, dict[str, tuple[int, str]]]:
        """The columns of each table by name, each of a code length and a figure."""
        if len(self.bits) == 1:
            return {f"{self.bits[0]} bits": {figure: (self.bits[0], figure) for figure in self.figures}}
        return {figure: {f"{bits} bits": (bits, figure) for bits in self.bits} for figure in self.figures}

    def _text(self, row: Row, bits: int, figure: str, between: str = " ± ") -> str:
        values = self.values(row, bits, figure)
        if not values:
            return ""
        mean = f"{statistics.fmean(values):.{DIGITS}f}"
        return mean if len(values) < 2 else f"{mean}{between}{statistics.stdev(values):.{DIGITS}f}"

    @property
    def sentences(self) -> list[str]:
        """What is compared, and between which the data do not decide."""
        seeds = sorted({run.content["seed"] for run in self.runs})
        counts = [
            f"{min(found):,}" if len(found) == 1 else f"{min(found):,} to {max(found):,}"
            for found in ({run.content[side] for run in self.runs} for side in ("train", "queries", "database"))
        ]
        of_seeds = f"the seed {seeds[0]}" if len(seeds) == 1 else f"the seeds {', '.join(map(str, seeds))}"
        told = [
            f"Trained on {counts[0]} items, {counts[1]} queries, {counts[2]} items in the database; "
            f"mean of {of_seeds}" + (" ± standard deviation over them." if len(seeds) > 1 else ".")
        ]
        if len(seeds) == 1:
            told.append(
                "With one seed nothing tells how much another would change: no conclusion should rest on it."
            )
        for (row, bits, figure), effect in self.effects.items():
            if not effect.is_clear:
                told.append(self._told(row, bits, figure, effect))
        return told

    def _told(self, row: Row, bits: int, figure: str, effect: Effect) -> str:
        found = effect.difference
        spread = f", standard deviation over seeds {effect.spread:.{DIGITS}f}" if effect.spread else ""
        return (
            f"{figure}, {bits} bits: {self.name(row)} − {self.name(self._baseline_of(row) or row)} is "
            f"{found.mean:+.{DIGITS}f} (95 % of draws of queries {found.low:+.{DIGITS}f} to "
            f"{found.high:+.{DIGITS}f}{spread}), no more than its spread: no conclusion."
        )

    def to_csv(self) -> str:
        """A line for each row, code length and figure, with the difference from the baseline."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(
            ["method", "hidden_layers", "bits", "figure", "seeds", "mean", "standard_deviation", "baseline",
             "difference", "low", "high", "p_value", "difference_over_seeds", "clear", "training_seconds"]
        )  # fmt: skip
        for figure in self.figures:
            for row in self.rows:
                layers = "" if row.layers is None else "x".join(map(str, row.layers)) or "none"
                for bits in self.bits:
                    values = self.values(row, bits, figure)
                    if not values:
                        continue
                    deviation = statistics.stdev(values) if len(values) > 1 else ""
                    effect = self.effects.get((row, bits, figure))
                    compared: list[object] = [""] * 7
                    if effect is not None:
                        one = effect.difference
                        compared = [
                            self.name(self._baseline_of(row) or row), one.mean, one.low, one.high, one.p_value,
                            effect.spread, effect.is_clear,
                        ]  # fmt: skip
                    seconds = statistics.fmean(run.content["seconds"] for run in self.cell(row, bits))
                    writer.writerow(
                        [row.method, layers, bits, figure, len(values), statistics.fmean(values), deviation,
                         *compared, seconds]
                    )  # fmt: skip
        return text.getvalue()

    def to_markdown(self) -> str:
        """Tables of all figures; bold is the highest, and what it does not clearly exceed."""
        parts = []
        for title, columns in self._columns().items():
            lines = [["method", *columns], ["---"] * (1 + len(columns))]
            for row in self.rows:
                texts = [
                    f"**{text}**" if text and (row, *cell) in self.leaders else text
                    for cell, text in ((cell, self._text(row, *cell)) for cell in columns.values())
                ]
                lines.append([self.name(row).replace("|", "\\|"), *texts])
            parts.append(f"{title}\n\n" + "\n".join(f"| {' | '.join(line)} |" for line in lines))
        return "\n\n".join([*parts, *self.sentences]) + "\n"

    def to_latex(self) -> str:
        """The same for LaTeX with the package booktabs."""
        parts = []
        for title, columns in self._columns().items():
            head = " & ".join(["method", *(_escaped(name) for name in columns)])
            lines = [f"% {title}", rf"\begin{{tabular}}{{l{'c' * len(columns)}}}", r"\toprule", rf"{head} \\"]
            lines.append(r"\midrule")
            for row in self.rows:
                cells = [
                    "" if not text else rf"$\mathbf{{{text}}}$" if (row, *cell) in self.leaders else f"${text}$"
                    for cell, text in ((cell, self._text(row, *cell, r" \pm ")) for cell in columns.values())
                ]
                lines.append(rf"{_escaped(self.name(row))} & {' & '.join(cells)} \\")
            parts.append("\n".join([*lines, r"\bottomrule", r"\end{tabular}"]))
        told = "\n".join(f"% {sentence}" for sentence in self.sentences)
        return "\n\n".join(parts) + f"\n{told}\n"

    def write(self, folder: Path) -> None:
        """The tables as ``table.csv``, ``table.md`` and ``table.tex``."""
        for file, text in (("csv", self.to_csv()), ("md", self.to_markdown()), ("tex", self.to_latex())):
            with replacing(folder / f"table.{file}") as temporary:
                temporary.write_text(as_shown(text), encoding="utf-8")


def check_figures(asked: Sequence[str], known: Sequence[str]) -> None:
    """Refuse a figure that is not known.

    Raises:
        BadInput: see above.

    Example:
        >>> check_figures(["mAP@all"], ["mAP@10", "mAP@all"])
    """
    for name in asked:
        if name not in known:
            raise BadInput(f"There is no figure '{name}'; use one of {', '.join(known)}.")


def _escaped(text: str) -> str:
    special = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "×": r"$\times$"}
    special |= {letter: f"\\{letter}" for letter in "&%$#_{}"}
    return "".join(special.get(letter, letter) for letter in text)
