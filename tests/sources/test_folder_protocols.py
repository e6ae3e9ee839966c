"""Published splits in folders laid out as their authors have them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import hashlens as hl
from hashlens.errors import BadInput
from hashlens.sources import Source, open_source
from hashlens.sources.folder_protocols import FOLDER_PROTOCOLS, SPLITS
from hashlens.sources.protocols import published_depth
from hashlens.training import FitOptions
from refusals import is_one_sentence

LISTED = {"imagenet100": 100, "nuswide-21": 21, "coco": 80, "voc2012": 20, "mirflickr": 38}
FILES = {"train": "train.txt", "queries": "test.txt", "database": "database.txt"}


def image_at(path: Path, shade: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (4, 4), (shade, 0, 0)).save(path, "PNG")


def shades(source: Source) -> list[int]:
    return [int(np.asarray(source.image(item, 4))[0, 0, 0]) for item in range(len(source))]


def lists(folder: Path, classes: int, several: bool) -> None:
    """Images 0 … 8: three train, three are asked, six are searched, among them those that train."""
    for number in range(9):
        image_at(folder / f"images/some {number}.jpg", 20 * number)
    for split, numbers in (("train", range(3)), ("queries", range(6, 9)), ("database", range(6))):
        lines = []
        for number in numbers:
            marks = [str(int(one == number or (several and one == number + 1))) for one in range(classes)]
            lines.append(f"images/some {number}.jpg {' '.join(marks)}")
        (folder / FILES[split]).write_text("\n".join(lines) + "\n")


def cars(folder: Path) -> None:
    from scipy.io import savemat

    (folder / "devkit").mkdir()
    savemat(folder / "devkit/cars_meta.mat", {"class_names": np.array(["Audi A4", "BMW X5"], object)})
    kind = [("class", object), ("fname", object)]
    for part, table, first in (
        ("train", "devkit/cars_train_annos.mat", 0),
        ("test", "cars_test_annos_withlabels.mat", 6),
    ):
        count = 6 if part == "train" else 3
        rows = np.array([(1 + number % 2, f"{number}.jpg") for number in range(first, first + count)], kind)
        savemat(folder / table, {"annotations": rows})
        for number in range(first, first + count):
            image_at(folder / f"cars_{part}/{number}.jpg", 20 * number)


def class_folders(folder: Path) -> None:
    for number in range(9):
        part, name = "train" if number < 6 else "test", ("Audi A4", "BMW X5")[number % 2]
        image_at(folder / part / name / f"{number}.jpg", 20 * number)


def birds(folder: Path) -> None:
    (folder / "classes.txt").write_text("0 Birds\n9 Common Loon\n10 Red-throated Loon (Breeding)\n")
    rows = {"images": "", "image_class_labels": "", "train_test_split": ""}
    for number in range(9):
        rows["images"] += f"id-{number} 0{number}/{number}.jpg\n"
        rows["image_class_labels"] += f"id-{number} {9 + number % 2}\n"
        rows["train_test_split"] += f"id-{number} {int(number < 6)}\n"
        image_at(folder / f"images/0{number}/{number}.jpg", 20 * number)
    for name, text in rows.items():
        (folder / f"{name}.txt").write_text(text)


def test_every_protocol_has_a_row_in_the_docs() -> None:
    text = (Path(__file__).parents[2] / "docs" / "images.md").read_text(encoding="utf-8")
    for name, protocol in FOLDER_PROTOCOLS.items():
        (row,) = (line for line in text.splitlines() if line.startswith(f"| `{name}="))
        assert f"mAP@{protocol.depth or 'all'}" in row


@pytest.mark.parametrize("name", LISTED)
def test_lists(name: str, tmp_path: Path) -> None:
    lists(tmp_path, LISTED[name], several=name != "imagenet100")
    parts = {split: open_source(f"{name}={tmp_path}:{split}") for split in SPLITS}
    assert [shades(parts[split])[0] // 20 for split in SPLITS] == [0, 6, 0]
    assert [len(parts[split]) for split in SPLITS] == [3, 3, 6]
    for source, first in zip(parts.values(), (0, 6, 0), strict=True):
        assert len(source.class_names) == LISTED[name]
        if name == "imagenet100":
            assert source.labels.tolist() == list(range(first, first + len(source)))
        else:
            assert source.labels.shape == (len(source), LISTED[name])
            assert np.flatnonzero(source.labels[1]).tolist() == [first + 1, first + 2]


@pytest.mark.parametrize(
    ("name", "make"), [("stanford-cars", cars), ("stanford-cars", class_folders), ("nabirds", birds)]
)
def test_class_sets(name: str, make, tmp_path: Path) -> None:
    make(tmp_path)
    parts = {split: open_source(f"{name}={tmp_path}:{split}") for split in SPLITS}
    for split, shown in (("train", range(6)), ("database", range(6)), ("queries", range(6, 9))):
        assert sorted(shade // 20 for shade in shades(parts[split])) == list(shown)
        for item, shade in enumerate(shades(parts[split])):
            odd = shade // 20 % 2
            wanted = ("Audi A4", "BMW X5") if name != "nabirds" else ("Common Loon", "Red-throated Loon (Breeding)")
            assert parts[split].label_names(item) == [wanted[odd]]


def test_a_comparison_takes_a_protocol_and_its_depth(tmp_path: Path) -> None:
    lists(tmp_path, 21, several=True)
    options = FitOptions(image_size=32, device="cpu")
    found = hl.compare(f"nuswide-21={tmp_path}", ["features"], tmp_path / "out", seeds=[0], options=options)
    assert {"mAP@5000", "mAP@1000", "mAP@all"} <= set(found.runs[0].report.figures)
    assert [found.runs[0].content[side] for side in ("train", "queries", "database")] == [3, 3, 6]
    assert published_depth("cifar10-i") is None


def _broken(folder: Path, what: str) -> None:
    if what == "no list":
        (folder / "database.txt").unlink()
    elif what == "other classes":
        lists(folder, 22, several=True)
    elif what == "no images":
        (folder / "images/some 0.jpg").unlink()


@pytest.mark.parametrize(
    ("what", "says"),
    [("no list", "database.txt"), ("other classes", "22 classes"), ("no images", "put the images where")],
)
def test_lists_that_are_not_the_protocols_are_refused(what: str, says: str, tmp_path: Path) -> None:
    lists(tmp_path, 21, several=True)
    _broken(tmp_path, what)
    with pytest.raises(BadInput, match=says) as error:
        open_source(f"nuswide-21={tmp_path}:database")
    assert is_one_sentence(error)


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("coco:train", "coco=FOLDER"),
        ("coco=/nowhere/at/all:train", "no folder; coco needs"),
        ("coco=.", "train, queries, database"),
        ("coco=.:test", "train, queries, database"),
        ("coco=.:train", "train.txt"),
        ("stanford-cars=.:train", "neither devkit"),
        ("nabirds=.:train", "classes.txt"),
    ],
)
def test_what_is_not_there_is_said(source: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadInput, match=says) as error:
        open_source(source)
    assert is_one_sentence(error)


@pytest.mark.parametrize("name", ["train_test_split", "classes"])
def test_damaged_tables_of_birds_are_refused(name: str, tmp_path: Path) -> None:
    birds(tmp_path)
    for text in ("id-0\n", "id-0 1\n", ""):
        (tmp_path / f"{name}.txt").write_text(text)
        with pytest.raises(BadInput) as error:
            open_source(f"nabirds={tmp_path}:train")
        assert is_one_sentence(error)


def test_damaged_annotations_of_cars_are_refused(tmp_path: Path) -> None:
    cars(tmp_path)
    (tmp_path / "devkit/cars_train_annos.mat").write_bytes(b"MATLAB 5.0" + bytes(200))
    with pytest.raises(BadInput, match="Stanford Cars") as error:
        open_source(f"stanford-cars={tmp_path}:train")
    assert is_one_sentence(error)
