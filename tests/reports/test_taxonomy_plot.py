"""The picture of a taxonomy, by where its labels stand."""

from __future__ import annotations

import itertools
from pathlib import Path

import matplotlib.figure
import pytest
from matplotlib.text import Text
from PIL import Image

from hashlens.classes import Taxonomy
from hashlens.reports.taxonomy_plot import draw_taxonomy

SHAPES = {
    "tree": [(f"kind number {n // 7}", f"thing {n}") for n in range(60)],
    "dag": [("r", "a"), ("r", "b"), ("a", "c"), ("b", "c"), ("c", "d"), ("c", "a rather long name of a class")],
    "chain": [(str(n), str(n + 1)) for n in range(40)],
    "star": [("hub", f"spoke {n}") for n in range(50)],
    "formula": [("$a_{$", "\\frac"), ("$a_{$", "$b^$")],
    "long": [("r", "x" * 300), ("x" * 300, "y")],
}


@pytest.mark.parametrize("shape", SHAPES)
def test_labels_do_not_meet(shape: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[matplotlib.figure.Figure] = []
    save = matplotlib.figure.Figure.savefig
    monkeypatch.setattr(
        matplotlib.figure.Figure, "savefig", lambda self, *a, **k: (drawn.append(self), save(self, *a, **k))
    )
    taxonomy = Taxonomy(SHAPES[shape])
    draw_taxonomy(taxonomy, tmp_path / "tree.png", {"d": "delta"})
    (figure,) = drawn
    labels = figure.findobj(Text, include_self=False)
    labels = [label for label in labels if label.get_text()]
    texts = [label.get_text().removesuffix(" ↑").removesuffix(" (delta)") for label in labels]
    assert {text[:40] for text in texts} == {name[:40] for name in taxonomy.nodes}
    boxes = [label.get_window_extent() for label in labels]
    assert not any(one.overlaps(other) for one, other in itertools.combinations(boxes, 2))
    width, height = figure.get_size_inches() * figure.dpi
    assert all(box.x0 >= 0 and box.x1 <= width and box.y0 >= 0 and box.y1 <= height for box in boxes)


@pytest.mark.parametrize(
    "taxonomy",
    [
        Taxonomy([], ["alone"]),
        Taxonomy([(n, n + 1) for n in range(5_000)]),
        Taxonomy([("r", n) for n in range(9_000)]),
    ],
)
def test_any_size_gives_a_picture_that_can_be_opened(taxonomy: Taxonomy, tmp_path: Path) -> None:
    draw_taxonomy(taxonomy, tmp_path / "tree.png")
    with Image.open(tmp_path / "tree.png") as picture:
        assert max(picture.size) <= 30_000
        assert min(picture.size) > 10
        assert len(picture.convert("L").getcolors(1 << 20)) > 1
