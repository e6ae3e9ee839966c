"""Pictures of an evaluation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hashlens.files import as_shown, replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

RIGHT, WRONG, NEUTRAL = "#0b5cad", "#c2570c", "#0b5cad"  # told apart by all kinds of colour vision
MOST_NAMED = 60  # classes whose names fit beside a heat map
LONGEST_NAME = 24  # letters
HIERARCHICAL = "hierarchical_precision"


@dataclass(frozen=True)
class Plot:
    """A plot in a file, with what it shows in a sentence or two."""

    title: str
    meaning: str
    file: Path


def draw_plots(
    report: Mapping[str, Any], folder: Path, classes: tuple[NDArray[np.float64], Sequence[str]] | None = None
) -> list[Plot]:
    """Draw every plot of an evaluation as a PNG file.

    Args:
        report: what :func:`hashlens.metrics.evaluate` returns.
        folder: exists.
        classes: (C, C) shares of the results of each class's queries that are of each class, and C names, to be
            drawn as a heat map.
    """
    # Figures are made without pyplot, which would look for a display.
    from matplotlib.figure import Figure

    plots = []
    for title, (name, draw, meaning) in PLOTS.items():
        if not _is_known(report, name):
            continue
        figure = Figure(figsize=(5.2, 3.6), layout="constrained")
        axes = figure.add_subplot()
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25)
        draw(axes, report)
        axes.set_title(title, loc="left", fontsize=11)
        plots.append(Plot(title, meaning, folder / f"{name}.png"))
        save(figure, plots[-1].file)
    if classes is not None and len(classes[1]) > 1:
        title = "Classes of the first ten results"
        side = max(3.6, 0.16 * len(classes[1]) + 2)
        figure = Figure(figsize=(side + 1.6, side), layout="constrained")
        axes = figure.add_subplot()
        image = axes.imshow(classes[0], cmap="Blues", vmin=0, vmax=1, interpolation="nearest")
        _name_classes(axes, classes[1])
        axes.set(xlabel="class of the result", ylabel="class of the query")
        axes.set_title(title, loc="left", fontsize=11)
        figure.colorbar(image, ax=axes, label="share")
        meaning = "Where a search goes wrong: dark off the diagonal are classes that are taken for each other."
        plots.append(Plot(title, meaning, folder / "classes.png"))
        save(figure, plots[-1].file)
    return plots


def draw_codebook(
    codebook: NDArray[np.int8],
    similarity: NDArray[np.float64] | None,
    path: Path,
    names: Sequence[str] | None = None,
) -> None:
    """Draw the cosines between hash centres as a heat map, beside the class similarity that they follow.

    Args:
        codebook: (C, K) in {−1, +1}.
        similarity: (C, C), if there is one.
        path: of the PNG file.
        names: of the C classes, to stand at the axes; left out where there are over 60.
    """
    from matplotlib.figure import Figure

    cosines = codebook.astype(np.float32) @ codebook.T.astype(np.float32) / codebook.shape[1]
    pictures = {"cosines of the hash centres, HHᵀ/K": cosines}
    if similarity is not None:
        pictures = {"class similarity, S": similarity, **pictures}
    figure = Figure(figsize=(4.6 * len(pictures) + 0.8, 4.4), layout="constrained")
    axes = np.atleast_1d(figure.subplots(1, len(pictures)))
    for place, (title, matrix) in zip(axes, pictures.items(), strict=True):
        image = place.imshow(matrix, cmap="RdBu_r", vmin=-1, vmax=1, interpolation="nearest")
        place.set_title(title, fontsize=11)
        if names is None or len(names) > MOST_NAMED:
            place.set(xlabel="class", ylabel="class")
        else:
            _name_classes(place, names)
    figure.colorbar(image, ax=list(axes), shrink=0.8)
    save(figure, path)


def save(figure: Figure, path: Path) -> None:
    """Write a PNG file."""
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=150, format="png")


def _is_known(report: Mapping[str, Any], name: str) -> bool:
    """Whether a report tells what this plot shows; one without a taxonomy, or by continuous codes, has less."""
    if name == HIERARCHICAL:
        name = f"{HIERARCHICAL}_at_k"
    return name in report["curves"] or name in report["codes"]


def _name_classes(axes: Axes, names: Sequence[str]) -> None:
    size = 8 if len(names) <= 25 else 5
    shown = [
        as_shown(name) if len(name) <= LONGEST_NAME else f"…{as_shown(name)[-LONGEST_NAME:]}" for name in names
    ]
    axes.set_xticks(range(len(names)), shown, rotation=90, fontsize=size, parse_math=False)
    axes.set_yticks(range(len(names)), shown, fontsize=size, parse_math=False)


def _precision_recall_by_rank(axes: Axes, report: Mapping[str, Any]) -> None:
    curve = report["curves"]["precision_recall_by_rank"]
    axes.plot(curve["recall"], curve["precision"], color=NEUTRAL)
    axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1.02), ylim=(0, 1.02))


def _precision_recall(axes: Axes, report: Mapping[str, Any]) -> None:
    curve = report["curves"]["precision_recall"]
    axes.plot(curve["recall"], curve["precision"], color=NEUTRAL, marker=".", markersize=4)
    axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1.02), ylim=(0, 1.02))


def _precision_at_k(axes: Axes, report: Mapping[str, Any]) -> None:
    curve = report["curves"]["precision_at_k"]
    axes.plot(curve["k"], curve["precision"], color=NEUTRAL)
    axes.set(xlabel="k, nearest results looked at", ylabel="precision@k", ylim=(0, 1.02), xscale="log")


def _hierarchical_precision_at_k(axes: Axes, report: Mapping[str, Any]) -> None:
    curves = report["curves"][f"{HIERARCHICAL}_at_k"]
    axes.plot(curves["k"], curves["similarity"], color=NEUTRAL, label="lowest common subsumer")
    if "wu_palmer_similarity" in curves:
        axes.plot(curves["k"], curves["wu_palmer_similarity"], color=WRONG, linestyle="--", label="Wu–Palmer")
        axes.legend(frameon=False, fontsize=9)
    axes.set(xlabel="k, nearest results looked at", ylabel="HP@k", ylim=(0, 1.02), xscale="log")


def _distances(axes: Axes, report: Mapping[str, Any]) -> None:
    counts = report["curves"]["distances"]
    for name, label, color, line in (
        ("relevant", "relevant pairs (same class)", RIGHT, "-"),
        ("irrelevant", "irrelevant pairs", WRONG, "--"),
    ):
        values = np.array(counts[name], np.float64)
        if values.sum():
            shares = values / values.sum()
            axes.fill_between(counts["distance"], shares, step="mid", alpha=0.25, color=color)
            axes.step(counts["distance"], shares, where="mid", color=color, linestyle=line, label=label)
    axes.set_ylim(bottom=0)
    axes.set(xlabel="Hamming distance, bits", ylabel="share of pairs")
    axes.legend(frameon=False, fontsize=9)


def _bit_balance(axes: Axes, report: Mapping[str, Any]) -> None:
    balance = report["codes"]["bit_balance"]
    axes.bar(range(len(balance)), balance, width=1, color=NEUTRAL, alpha=0.7)
    axes.axhline(0.5, color="black", linewidth=1, linestyle="--")
    axes.set(xlabel="bit", ylabel="share of ones in the database", ylim=(0, 1))


PLOTS: dict[str, tuple[str, Callable[[Axes, Mapping[str, Any]], None], str]] = {
    "Precision and recall, result by result": (
        "precision_recall_by_rank",
        _precision_recall_by_rank,
        "As papers draw it: along the line more and more of each ranking is looked at, down to the last image.",
    ),
    "Precision of the first k results": (
        "precision_at_k",
        _precision_at_k,
        "Of the first k results, the share that is relevant.",
    ),
    "Precision that counts near misses": (
        HIERARCHICAL,
        _hierarchical_precision_at_k,
        "The same where a wrong result counts by how near its class is to the query's.",
    ),
    "Distances within and between classes": (
        "distances",
        _distances,
        "The less the two overlap, the better codes tell classes apart.",
    ),
    "Precision and recall as the search radius grows": (
        "precision_recall",
        _precision_recall,
        "Each point is a distance, from 0 on. A query that finds nothing within it counts as precision 0, so the "
        "line may begin low and rise until most queries find something.",
    ),
    "How evenly each bit is used": (
        "bit_balance",
        _bit_balance,
        "Bits that are one half of the time tell the most.",
    ),
}
