"""The Python of the pages runs, and the map of the rooms is that of the package."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import hashlens as hl
import servers
from hashlens.cli import application
from ray_nodes import nodes
from test_rooms import LEVELS

pytestmark = pytest.mark.usefixtures("one_thread")

DOCS = Path(__file__).parents[1] / "docs"
PACKAGE = Path(hl.__file__).parent


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
    names = run(blocks("indexes.md")[0], {"hl": hl})
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
    names = run(blocks("indexes.md")[1], {"hl": hl, **given})
    assert len(names["index"]) == 100
    assert not {0, 1} & set(names["ids"].ravel().tolist())


def test_codes_are_found_by_keys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, random: np.random.Generator
) -> None:
    monkeypatch.chdir(tmp_path)
    codes = random.integers(0, 256, (3, 8), np.uint8)
    paths = ["a.jpg", "b.jpg", "c.jpg"]
    names = run(blocks("indexes.md")[2], {"hl": hl, "codes": codes, "queries": codes, "paths": paths})
    assert names["keys"].tolist() in ([["b.jpg", "c.jpg"]], [["c.jpg", "b.jpg"]])
    assert hl.KeyedIndex.open("keyed").keys == ["a.jpg", "c.jpg"]


@pytest.mark.postgresql
def test_embeddings_become_codes_that_other_programs_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"postgresql": servers.postgresql().partition("&table=")[0]}
    found: dict[str, list[tuple[str, int]]] = {}  # the nearest of the first row, by the program that found them
    expected = None
    for block in blocks("embeddings.md"):
        run(block, names)
        if "hl.HammingIndex" in block:
            expected = names["distances"][:2, :10].tolist()
        elif "search(" in block:
            assert names["distances"].tolist() == expected
        elif "LIMIT 10" in block:
            assert [distance for _, distance in names["nearest"]] == expected[0]
            found[block] = names["nearest"]
    one, other = found.values()
    assert one == other
    assert names["paths"][0, 0] == names["table"]["path"][0]
    np.testing.assert_array_equal(hl.HashModel.load("model").encode(names["vectors"]), names["codes"])
    assert names["found"] > 0.8


@pytest.mark.ray
@pytest.mark.usefixtures("index")
def test_shards_are_searched() -> None:
    nodes()
    stored = hl.Catalogue.open("index").engine()
    codes = stored.codes(stored.ids[:5])
    names = run(blocks("scale.md")[0], {"hl": hl, "np": np, "codes": codes})
    for found, expected in zip((names["distances"], names["ids"]), stored.search(codes, 10), strict=True):
        np.testing.assert_array_equal(found, expected)
    with hl.engines.open("ray:shards/*") as shards:
        catalogue = hl.Catalogue.open("index")
        found = catalogue.searched_in(shards).search(codes, 5, ["cat"])
        assert found == catalogue.search(codes, 5, ["cat"]) and len(found[0]) == 5


def test_methods_are_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names = run(blocks("comparing.md")[0], {"hl": hl})
    assert len(names["found"].runs) == 4
    page = (DOCS / "comparing.md").read_text(encoding="utf-8")
    (command,) = re.findall(r"^    hashlens (compare .*)", page, re.MULTILINE)
    Path("compared").rename("in python")
    done = CliRunner().invoke(application(), [*command.replace("0,1,2", "0").split(), "--epochs", "1"])
    assert done.exit_code == 0 and "features" in done.stdout
    assert {"table.csv", "table.md", "table.tex", "runs"} <= {path.name for path in Path("compared").iterdir()}


def test_reports_are_compared(random: np.random.Generator) -> None:
    codes, labels = random.integers(0, 256, (90, 2), np.uint8), np.arange(90) % 3
    report, other = (
        hl.evaluate(codes[:30], labels[:30], codes[30:60], labels[:30]),
        hl.evaluate(codes[:30], labels[:30], codes[60:], labels[:30]),
    )
    run(blocks("metrics.md")[0], {"report": report, "other": other})


def test_the_map_shows_every_room_in_its_place() -> None:
    text = (DOCS / "architecture.md").read_text(encoding="utf-8")
    rooms = re.findall(r"^\| `(\w+)/`", text, re.MULTILINE)
    assert {path.parent.name for path in PACKAGE.glob("*/__init__.py")} <= set(rooms)
    assert rooms == sorted(rooms, key=LEVELS.__getitem__)
    for name in re.findall(r"`([\w/]+\.py)`", text):
        assert any(path.as_posix().endswith(f"/{name}") for path in DOCS.parent.glob("[st]*/**/*.py")), name
