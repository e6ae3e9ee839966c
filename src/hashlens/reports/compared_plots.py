"""Pictures of a comparison of methods, with bands over seeds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hashlens.files import as_shown
from hashlens.reports.compared import Compared, Row
from hashlens.reports.plots import RIGHT, WRONG, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MARKERS = "osD^vPX*<>hp"
LINES = ("-", "--", "-.", ":")
RECALL = np.linspace(0, 1, 201)


def draw_comparison(compared: Compared, folder: Path) -> list[Path]:
    """Draw each figure of a comparison by code length, and precision by recall at each code length.

    Args:
        folder: exists; gets a PNG file for each figure, such as ``mAP_at_all.png``, and ``precision_recall.png`` if
            there are curves.

    Returns:
        The files.
    """
    from matplotlib.figure import Figure

    written = []
    for figure in compared.figures:
        drawing = Figure(figsize=(7.2, 4.2), layout="constrained")
        axes = drawing.add_subplot()
        _by_bits(axes, compared, figure)
        _legend(drawing, axes)
        written.append(folder / f"{figure.replace('@', '_at_').replace('/', '_over_')}.png")
        save(drawing, written[-1])
    lengths = [bits for bits in compared.bits if any(_curves(compared, row, bits) for row in compared.rows)]
    if lengths:
        drawing = Figure(figsize=(3.4 * len(lengths) + 2.6, 3.8), layout="constrained")
        panels = np.atleast_1d(drawing.subplots(1, len(lengths), sharey=True))
        for axes, bits in zip(panels, lengths, strict=True):
            _precision_recall(axes, compared, bits)
        panels[0].set_ylabel("precision")
        _legend(drawing, panels[-1])
        written.append(folder / "precision_recall.png")
        save(drawing, written[-1])
    return written


def _style(compared: Compared, row: Row) -> dict[str, Any]:
    """Blue and orange in turn, told apart further by shape and line."""
    place = compared.rows.index(row)
    return {
        "color": (RIGHT, WRONG)[place % 2],
        "marker": MARKERS[place % len(MARKERS)],
        "linestyle": LINES[place // 2 % len(LINES)],
        "markersize": 5,
        "linewidth": 1.4,
        "label": as_shown(compared.name(row)),
    }


def _plain(axes: Axes, title: str) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)
    axes.set_title(title, loc="left", fontsize=11)


def _by_bits(axes: Axes, compared: Compared, figure: str) -> None:
    highest = 0.0
    seeds = 1
    for row in compared.rows:
        found = [(bits, compared.values(row, bits, figure)) for bits in sorted(compared.bits)]
        found = [(bits, values) for bits, values in found if values]
        if not found:
            continue
        bits, means, deviations = _band(found)
        style = _style(compared, row)
        axes.fill_between(
            bits, means - deviations, means + deviations, color=style["color"], alpha=0.15, linewidth=0
        )
        axes.plot(bits, means, **style)
        highest = max(highest, float((means + deviations).max()))
        seeds = max(seeds, *(len(values) for _, values in found))
    axes.set_xscale("log", base=2)
    axes.set_xticks(compared.bits, [str(bits) for bits in compared.bits])
    axes.minorticks_off()
    axes.set(xlabel="bits", ylabel=figure, ylim=(0, min(1.0, 1.08 * highest) or 1.0))
    _plain(axes, figure + (f", ± standard deviation of {seeds} seeds" if seeds > 1 else ""))


def _band(found: list[tuple[int, list[float]]]) -> tuple[NDArray[Any], NDArray[np.float64], NDArray[np.float64]]:
    deviations = [np.std(values, ddof=1) if len(values) > 1 else 0.0 for _, values in found]
    return (
        np.array([one for one, _ in found]),
        np.array([np.mean(values) for _, values in found]),
        np.array(deviations),
    )


def _curves(compared: Compared, row: Row, bits: int) -> list[NDArray[np.float64]]:
    """(201,) precision at recalls from 0 to 1, of every seed."""
    curves = [run.content["precision_recall"] for run in compared.cell(row, bits)]
    return [np.interp(RECALL, one["recall"], one["precision"]) for one in curves if one]


def _precision_recall(axes: Axes, compared: Compared, bits: int) -> None:
    for place, row in enumerate(compared.rows):
        curves = _curves(compared, row, bits)
        if curves:
            mean = np.mean(curves, axis=0)
            deviation = np.std(curves, axis=0, ddof=1) if len(curves) > 1 else np.zeros_like(mean)
            style = _style(compared, row)
            axes.fill_between(
                RECALL, mean - deviation, mean + deviation, color=style["color"], alpha=0.15, linewidth=0
            )
            axes.plot(
                RECALL, mean, markevery=(5 * place % 40, 40), **style
            )  # markers of rows do not cover each other
    axes.set(xlabel="recall", xlim=(0, 1), ylim=(0, 1.02))
    _plain(axes, f"{bits} bits")


def _legend(drawing: Figure, axes: Axes) -> None:
    handles, labels = axes.get_legend_handles_labels()
    drawing.legend(handles, labels, loc="outside right upper", frameon=False, fontsize=9)
