"""The Python of the pages on the index and on metrics runs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import hashlens as hl

pytestmark = pytest.mark.usefixtures("one_thread")

DOCS = Path(__file__).parents[1] / "docs"


def blocks(page: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(encoding="utf-8"), re.DOTALL)


def run(block: str, names: dict[str, Any]) -> dict[str, Any]:
    exec(compile(block, "a page", "exec"), names)
    return names


@pytest.fixture
def random() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, random: np.random.Generator) -> None:
    """The folders and the index that the page speaks of."""
    monkeypatch.chdir(tmp_path)
    for number, folder in enumerate(["photos/train/cat", "photos/train/dog", "photos/test/cat"] * 6):
        path = tmp_path / folder / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 256, (32, 32, 3), np.uint8)).save(path)
    path.rename("query.jpg")  # what an image is, its content says
    model = hl.fit("photos:train", bits=16, image_size=32, epochs=1, device="cpu")
    hl.Catalogue.create("index", model).update(hl.open_source("photos:train"))


@pytest.mark.usefixtures("index")
def test_images_are_found(capsys: pytest.CaptureFixture[str]) -> None:
    names = run(blocks("index.md")[0], {"hl": hl})
    assert len(names["found"].answers) == 1 + 5
    assert {hit.labels for _, hits in names["found"].answers for hit in hits} == {("cat",)}
    assert len(names["others"]) == 10
    assert capsys.readouterr().out.count("('cat',)") == 6


def test_codes_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, random: np.random.Generator) -> None:
    monkeypatch.chdir(tmp_path)
    codes = random.integers(0, 256, (100, 8), np.uint8)
    given = {
        "codes": codes,
        "queries": codes[:3],
        "more_codes": codes[:7],
        "seen": [0, 1],
        "batches": iter([codes]),
    }
    names = run(blocks("index.md")[1], {"hl": hl, **given})
    assert len(names["index"]) == 100
    assert not {0, 1} & set(names["ids"].ravel().tolist())


def test_reports_are_compared(random: np.random.Generator) -> None:
    codes, labels = random.integers(0, 256, (90, 2), np.uint8), np.arange(90) % 3
    report, other = (
        hl.evaluate(codes[:30], labels[:30], codes[30:60], labels[:30]),
        hl.evaluate(codes[:30], labels[:30], codes[60:], labels[:30]),
    )
    run(blocks("metrics.md")[0], {"report": report, "other": other})
