"""A picture of a taxonomy."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

from hashlens.classes import Taxonomy
from hashlens.files import replacing

INNER, LEAF, LINE = "#57606a", "#0969da", "#afb8c1"
FONT_SIZE = 8.0  # points
ROW, GAP, MARGIN = 0.165, 0.22, 0.15  # inches
LONGEST_LABEL = 48  # characters
DOTS = 120  # an inch, unless the picture becomes too large
MOST_NODES = 1_000
MOST_PIXELS, LONGEST_SIDE = 60e6, 30_000  # of a picture that other programs still open


def draw_taxonomy(taxonomy: Taxonomy, path: Path, captions: Mapping[str, str] | None = None) -> None:
    """Draw a taxonomy from left to right as a PNG file.

    Every leaf has a row of its own, and a node stands in the middle of what lies below it; so no two labels meet.
    What is shown is :meth:`Taxonomy.outline`: a node with several parents stands below each of them, and of more
    than 1,000 nodes those near the root are drawn, with the number of the rest.

    Args:
        captions: words to show behind the name of a node.
    """
    # A figure is made without pyplot, which would look for a display.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.collections import LineCollection
    from matplotlib.figure import Figure
    from matplotlib.font_manager import FontProperties

    lines = taxonomy.outline(MOST_NODES, captions)
    levels = [level for level, _ in lines]
    labels = [words if len(words) <= LONGEST_LABEL else words[: LONGEST_LABEL - 1] + "…" for _, words in lines]
    parents = _parents(levels)
    stands_elsewhere = [words.endswith("↑") for _, words in lines]
    is_inner = [deeper > level for level, deeper in zip(levels, [*levels[1:], 0], strict=True)]
    rows = _rows(parents, is_inner)

    renderer = FigureCanvasAgg(Figure(dpi=DOTS)).get_renderer()
    font = FontProperties(size=FONT_SIZE)
    widths = [renderer.get_text_width_height_descent(label, font, ismath=False)[0] / DOTS for label in labels]
    # Only nodes with something below them push the next column away; to the right of a leaf its row is empty.
    columns = [MARGIN]
    for level in range(max(levels)):
        inner = [w for w, here, below in zip(widths, levels, is_inner, strict=True) if below and here == level]
        columns.append(columns[-1] + max(inner) + 2 * GAP)
    lefts = [columns[level] for level in levels]
    width = max(left + label for left, label in zip(lefts, widths, strict=True)) + MARGIN
    height = (max(rows) + 1) * ROW + 2 * MARGIN
    heights = [MARGIN + (row + 0.5) * ROW for row in rows]

    dots = min(DOTS, LONGEST_SIDE / max(width, height), math.sqrt(MOST_PIXELS / (width * height)))
    figure = Figure(figsize=(width, height), dpi=dots)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, width), ylim=(height, 0))
    axes.axis("off")
    ways = []
    for child, parent in enumerate(parents):
        if parent >= 0:
            start, turn, end = lefts[parent] + widths[parent] + 0.04, lefts[child] - GAP, lefts[child] - 0.04
            ways.append(
                [(start, heights[parent]), (turn, heights[parent]), (turn, heights[child]), (end, heights[child])]
            )
    axes.add_collection(LineCollection(ways, colors=LINE, linewidths=0.8))
    grey = [below or elsewhere for below, elsewhere in zip(is_inner, stands_elsewhere, strict=True)]
    for left, top, label, quiet in zip(lefts, heights, labels, grey, strict=True):
        # A class name may hold a dollar sign, which is no formula.
        axes.text(
            left, top, label, fontsize=FONT_SIZE, color=INNER if quiet else LEAF, va="center_baseline",
            parse_math=False,
        )  # fmt: skip
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png")


def _parents(levels: list[int]) -> list[int]:
    """For each line the line of its parent, −1 for the root."""
    last: dict[int, int] = {}
    parents = []
    for line, level in enumerate(levels):
        parents.append(last.get(level - 1, -1))
        last[level] = line
    return parents


def _rows(parents: list[int], is_inner: list[bool]) -> list[float]:
    """The row of each line: whole numbers for leaves, the middle of its outermost children for a node above."""
    rows = [0.0] * len(parents)
    leaves = 0
    for line, below in enumerate(is_inner):
        if not below:
            rows[line] = leaves
            leaves += 1
    first: dict[int, float] = {}
    last: dict[int, float] = {}
    for line in reversed(range(len(parents))):
        if is_inner[line]:
            rows[line] = (first[line] + last[line]) / 2
        first[parents[line]] = rows[line]
        last.setdefault(parents[line], rows[line])
    return rows
