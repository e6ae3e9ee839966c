"""Pictures of an evaluation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hashlens.files import replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes

GOOD, BAD, NEUTRAL = "#1a7f37", "#cf222e", "#0969da"
HIERARCHICAL = "hierarchical_precision"


def draw_plots(report: Mapping[str, Any], folder: Path) -> dict[str, Path]:
    """Draw every plot of an evaluation as a PNG file.

    Args:
        report: what :func:`hashlens.metrics.evaluate` returns.
        folder: exists.

    Returns:
        The files by title.
    """
    # Figures are made without pyplot, which would look for a display.
    from matplotlib.figure import Figure

    files = {}
    for title, (name, draw) in PLOTS.items():
        if name == HIERARCHICAL and f"{HIERARCHICAL}_at_k" not in report["curves"]:
            continue
        figure = Figure(figsize=(5.2, 3.6), layout="constrained")
        axes = figure.add_subplot()
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25)
        draw(axes, report)
        axes.set_title(title, loc="left", fontsize=11)
        files[title] = folder / f"{name}.png"
        with replacing(files[title]) as temporary:
            figure.savefig(temporary, dpi=150, format="png")
    return files


def draw_codebook(codebook: NDArray[np.int8], similarity: NDArray[np.float64] | None, path: Path) -> None:
    """Draw the cosines between hash centres as a heat map, beside the class similarity that they follow.

    Args:
        codebook: (C, K) in {−1, +1}.
        similarity: (C, C), if there is one.
        path: of the PNG file.
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
        place.set(xlabel="class", ylabel="class")
    figure.colorbar(image, ax=list(axes), shrink=0.8)
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=150, format="png")


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
        axes.plot(curves["k"], curves["wu_palmer_similarity"], color=GOOD, linestyle="--", label="Wu–Palmer")
        axes.legend(frameon=False, fontsize=9)
    axes.set(xlabel="k, nearest results looked at", ylabel="HP@k", ylim=(0, 1.02), xscale="log")


def _distances(axes: Axes, report: Mapping[str, Any]) -> None:
    counts = report["curves"]["distances"]
    for name, label, color in (
        ("relevant", "relevant pairs (same class)", GOOD),
        ("irrelevant", "irrelevant pairs", BAD),
    ):
        values = np.array(counts[name], np.float64)
        if values.sum():
            axes.bar(counts["distance"], values / values.sum(), width=1, alpha=0.5, color=color, label=label)
    axes.set(xlabel="Hamming distance, bits", ylabel="share of pairs")
    axes.legend(frameon=False, fontsize=9)


def _bit_balance(axes: Axes, report: Mapping[str, Any]) -> None:
    balance = report["codes"]["bit_balance"]
    axes.bar(range(len(balance)), balance, width=1, color=NEUTRAL, alpha=0.7)
    axes.axhline(0.5, color="black", linewidth=1, linestyle="--")
    axes.set(xlabel="bit", ylabel="share of ones in the database", ylim=(0, 1))


PLOTS: dict[str, tuple[str, Callable[[Axes, Mapping[str, Any]], None]]] = {
    "Precision and recall as the search radius grows": ("precision_recall", _precision_recall),
    "Precision of the first k results": ("precision_at_k", _precision_at_k),
    "Precision that counts near misses": (HIERARCHICAL, _hierarchical_precision_at_k),
    "Distances within and between classes": ("distances", _distances),
    "How evenly each bit is used": ("bit_balance", _bit_balance),
}
