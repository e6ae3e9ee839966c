"""Every registered kind of source is recognised, opens, and keeps the contract of a source; outsiders add more."""

from __future__ import annotations

import tarfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

import hashlens as hl
from hashlens.errors import BadInput
from hashlens.sources import OPENERS, ImageArray, Opener, Source, open_source
from refusals import is_one_sentence


def folder(home: Path) -> Path:
    for name in ("cat/1.png", "dog/2.png", "dog/3.png"):
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (6, 4), (int(name[-5]), 0, 0)).save(home / name)
    return home


def image_file(home: Path) -> Path:
    return folder(home) / "cat" / "1.png"


def csv(home: Path) -> Path:
    folder(home)
    (home / "a.csv").write_text("path,label\ncat/1.png,cat\ndog/2.png,dog\n", encoding="utf-8")
    return home / "a.csv"


def listed(home: Path) -> Path:
    folder(home)
    (home / "test.txt").write_text("cat/1.png 1 0\ndog/2.png 0 1 \n", encoding="utf-8")
    return home / "test.txt"


def parquet(home: Path) -> Path:
    home.mkdir(parents=True, exist_ok=True)
    content = image_file(home / "files").read_bytes()
    pq.write_table(pa.table({"image": [content, content], "label": ["cat", "dog"]}), home / "a.parquet")
    return home / "a.parquet"


def parquet_folder(home: Path) -> Path:
    return parquet(home).parent


def npz(home: Path) -> Path:
    home.mkdir(parents=True, exist_ok=True)
    np.savez(home / "a.npz", x=np.eye(3, 4), y=np.array(["cat", "dog", "dog"]))
    return home / "a.npz"


def npy(home: Path) -> Path:
    home.mkdir(parents=True, exist_ok=True)
    np.save(home / "features.npy", np.arange(12).reshape(4, 3) / 7)
    return home / "features.npy"


def tar(home: Path) -> Path:
    folder(home)
    with tarfile.open(home / "a.tar", "w") as archive:
        for name in ("cat/1.png", "dog/2.png"):
            archive.add(home / name, name)
    return home / "a.tar"


EXAMPLES: dict[str, Callable[[Path], Path | str]] = {
    "folder": folder,
    "parquet folder": parquet_folder,
    "image file": image_file,
    "csv": csv,
    "list": listed,
    "parquet": parquet,
    "npz": npz,
    "npy": npy,
    "tar": tar,
    "hub": lambda home: "hf://datasets/me/pets",
    "named set": lambda home: "digits",
    "protocol": lambda home: "cifar10-i",
}
SPLITS = {"protocol": "queries"}  # of those that are nothing without one


def check_contract(source: Source) -> None:
    """What everything that takes a source relies on."""
    items = range(min(len(source), 20))
    assert len(source) > 0
    assert source.name and source.identity
    assert len({source.key(item) for item in items}) == len({source.location(item) for item in items}) == len(items)
    assert source.labels is None or len(source.labels) == len(source)
    assert source.has_label().shape == (len(source),)
    chosen = source.select([len(source) - 1, 0])
    for place, item in ((0, len(source) - 1), (1, 0)):
        assert chosen.key(place) == source.key(item)
        assert chosen.location(place) == source.location(item)
        assert chosen.fingerprint(place) == source.fingerprint(item) == source.fingerprint(item)
        assert chosen.label_names(place) == source.label_names(item)
        size, change = source.fingerprint(item)
        assert 0 <= size < 2**63 and 0 <= change < 2**63  # as databases keep them
    raw = source.read(0)
    if source.feature_dimension is None:
        assert isinstance(raw, bytes) or (raw.dtype == np.uint8 and raw.shape[2:] in ((), (3,)))
        assert source.image(0).mode == "RGB"
        np.testing.assert_array_equal(np.asarray(chosen.image(1)), np.asarray(source.image(0)))
        with pytest.raises(BadInput, match="holds images") as refusal:
            source.features()
    else:
        everything = source.features()
        assert (everything.dtype, everything.shape) == (np.float32, (len(source), source.feature_dimension))
        np.testing.assert_array_equal(raw, everything[0])
        np.testing.assert_array_equal(chosen.features(), everything[[-1, 0]])
        np.testing.assert_array_equal(source.features([1, 0]), everything[[1, 0]])
        np.testing.assert_array_equal(source.features(slice(1, None)), everything[1:])
        assert source.features([]).shape == (0, source.feature_dimension)
        with pytest.raises(BadInput, match="holds features") as refusal:
            source.image(0)
    assert is_one_sentence(refusal)


@pytest.mark.parametrize("name", list(OPENERS))
def test_every_kind_of_source_recognises_its_own_and_keeps_the_contract(
    tmp_path: Path, name: str, cifar: None
) -> None:
    given = str(EXAMPLES[name](tmp_path / "here"))
    for other in OPENERS:  # those that are asked before it must not take it
        if list(OPENERS).index(other) > list(OPENERS).index(name):
            assert not OPENERS[other].recognises(given)
    assert OPENERS[name].recognises(given)
    if name == "hub":  # tests/hub/test_data.py opens it
        return
    check_contract(open_source(given, SPLITS.get(name)))


@pytest.mark.parametrize("name", list(OPENERS))
@pytest.mark.parametrize("text", ["", "nowhere", "a" * 5000, "zero\0byte", "\udcff", "."])
def test_what_is_of_another_kind_is_not_recognised(name: str, text: str) -> None:
    with suppress(OSError, ValueError):  # counts as no
        assert not OPENERS[name].recognises(text) or text in ("", ".")  # an empty path is the current folder


@pytest.mark.parametrize("text", ["nowhere", "nowhere:train", "a" * 5000, "zero\0byte", "hf://user/name", ":"])
def test_the_refusal_of_an_unknown_source_lists_every_kind(text: str) -> None:
    with pytest.raises(BadInput) as refusal:
        open_source(text)
    assert is_one_sentence(refusal)
    assert all(OPENERS[name].about in str(refusal.value) for name in OPENERS)


class Discs(Source):
    """Generated images, as an outsider would add them."""

    def __init__(self, count: int) -> None:
        super().__init__(f"discs {count}", np.arange(count) % 2, ["small", "large"])
        self._count = count

    def __len__(self) -> int:
        return self._count

    def read(self, item: int) -> np.ndarray:
        radius = 4 + 8 * (item % 2) + item / self._count
        y, x = np.mgrid[-16:16, -16:16]
        return np.where(x**2 + y**2 < radius**2, 255, 0).astype(np.uint8)


@pytest.fixture
def own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(OPENERS, "_things", dict(OPENERS._things))


@pytest.mark.usefixtures("own_registry")
def test_an_outsider_adds_a_kind_in_one_file() -> None:
    hl.sources.register("discs")(
        Opener(
            "discs-N, generated",
            lambda text: text.startswith("discs-"),
            lambda text, split: Discs(int(text.removeprefix("discs-"))),
        )
    )
    source = open_source("discs-10")
    assert (len(source), source.class_names, source.label_names(3)) == (10, ("small", "large"), ["large"])
    check_contract(source)
    with pytest.raises(BadInput, match="discs-N, generated"):
        open_source("nowhere")


@pytest.mark.usefixtures("own_registry")
def test_the_kind_that_was_added_last_is_asked_first_and_gets_the_split(tmp_path: Path) -> None:
    asked: list[tuple[str, str | None]] = []

    def opened(text: str, split: str | None) -> Source:
        asked.append((text, split))
        return ImageArray(text, np.zeros((1, 2, 2), np.uint8))

    hl.sources.register("tape")(Opener("a .tape file", lambda text: text.endswith(".tape"), opened))
    (tmp_path / "a.tape").write_bytes(b"an image file, if nobody says otherwise")
    for text, split in (("a.tape", None), ("a.tape:train", "train")):
        open_source(f"{tmp_path}/{text}")
        assert asked.pop() == (f"{tmp_path}/a.tape", split)
    open_source(f"{tmp_path}/a.tape", split="test")
    assert asked.pop() == (f"{tmp_path}/a.tape", "test")
