"""Folders as people have them: other files beside the images, photographs as phones take them, and splits."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import hashlens as hl
from hashlens.errors import BadInput
from hashlens.sources import Skipped, UnreadableImage, decode, file_types, open_source
from hashlens.sources.reading import tell_skipped
from hashlens.sources.splitting import write_split
from refusals import is_one_sentence


@pytest.fixture
def album(tmp_path: Path) -> Path:
    random = np.random.default_rng(0)
    for name in ("cat/1.jpg", "cat/2.PNG", "cat/3", "dog/1.jpeg", "dog/2.webp", "dog/4.tif"):
        (tmp_path / "album" / name).parent.mkdir(parents=True, exist_ok=True)
        kind = {"": "PNG", ".jpg": "JPEG"}.get(Path(name).suffix)
        Image.fromarray(random.integers(0, 256, (9, 9, 3), np.uint8)).save(tmp_path / "album" / name, kind)
    for name in (
        "cat/1.jpg.xmp",
        "cat/1.JSON",
        "cat/film.MOV",
        "dog/notes.txt",
        "dog/2.txt",
        "cat/5.CR2",
        "dog/6.nef",
    ):
        (tmp_path / "album" / name).write_bytes(b"something else")
    return tmp_path / "album"


def test_files_of_other_kinds_are_counted_and_not_listed(album: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "hashlens"):
        source = open_source(album)
    assert [source.key(item) for item in range(len(source))] == [
        *("cat/1.jpg", "cat/2.PNG", "cat/3", "dog/1.jpeg", "dog/2.webp", "dog/4.tif")
    ]
    raw, others = caplog.messages
    assert "1 .cr2 and 1 .nef" in raw and "raw photographs are not supported" in raw
    assert "2 .txt, 1 .json, 1 .mov and 1 .xmp" in others
    assert "notes" not in raw + others


def test_a_folder_of_other_files_and_a_raw_photograph_are_refused_by_name(album: Path) -> None:
    for name in ("1.jpg", "2.PNG", "3"):
        (album / "cat" / name).unlink()
    with pytest.raises(BadInput, match="holds no images, but 4 files of other kinds") as refusal:
        open_source(album / "cat")
    assert is_one_sentence(refusal)
    with pytest.raises(BadInput, match="raw photographs are not supported") as refusal:
        open_source(album / "cat" / "5.CR2")
    assert is_one_sentence(refusal)


def test_photographs_of_phones_are_read_or_the_way_to_read_them_is_told(
    album: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    pillow_heif = pytest.importorskip("pillow_heif")
    pixels = np.full((40, 60, 3), (200, 30, 30), np.uint8)
    photograph = album / "cat" / "IMG_1.HEIC"
    pillow_heif.from_pillow(Image.fromarray(pixels)).save(photograph)
    source = open_source(album)
    (item,) = [item for item in range(len(source)) if source.key(item).endswith("HEIC")]
    assert source.image(item).size == (60, 40)
    assert np.abs(np.asarray(source.image(item), int) - pixels).max() < 20

    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    file_types.reads_heif.cache_clear()
    try:
        assert len(open_source(album)) == len(source) - 1
        assert any(
            "1 .heic left out: to read them: pip install 'hashlens[heif]'" in said for said in caplog.messages
        )
        with pytest.raises(UnreadableImage, match=r"pip install 'hashlens\[heif\]'"):
            decode(photograph.read_bytes())
    finally:
        file_types.reads_heif.cache_clear()


@pytest.mark.parametrize(
    ("names", "warned"), [(("train", "test"), True), (("Train", "val"), True), (("train", "ship"), False)]
)
def test_splits_that_are_taken_for_classes_are_warned_of(
    album: Path, names: tuple[str, str], warned: bool, caplog: pytest.LogCaptureFixture
) -> None:
    for folder, name in zip(("cat", "dog"), names, strict=True):
        (album / folder).rename(album / name)
    open_source(album)
    told = [message for message in caplog.messages if "taken for classes" in message]
    assert len(told) == warned
    if warned:
        assert all(f"{album}:{name}" in told[0] for name in names)
        caplog.clear()
        open_source(f"{album}:{names[0]}")
        assert not [message for message in caplog.messages if "taken for classes" in message]


def test_of_many_unreadable_images_five_are_listed_and_all_stand_in_a_file(
    caplog: pytest.LogCaptureFixture,
) -> None:
    many = [
        Skipped(number, f"{number}{os.fsdecode(bytes([0xE9]))}.jpg", "the file is empty") for number in range(12)
    ]
    tell_skipped(many)
    lines = caplog.messages[0].splitlines()
    assert len(lines) == 1 + 5 + 1
    assert "and 7 more" in lines[-1]
    listed = Path(lines[-1].partition("listed in ")[2]).read_bytes().splitlines()
    assert len(listed) == 12 and listed[-1] == b"11\xe9.jpg: the file is empty"


def test_a_split_is_a_list_and_moves_nothing(album: Path, tmp_path: Path) -> None:
    odd = album / "dog" / os.fsdecode(b"caf\xe9, black.png")
    Image.new("RGB", (4, 4)).save(odd, "PNG")
    before = sorted(album.rglob("*"))
    counts = write_split(album, tmp_path / "lists" / "album.csv", 0.4, seed=3)
    assert sorted(album.rglob("*")) == before
    parts = {split: open_source(tmp_path / "lists" / "album.csv", split) for split in ("train", "test")}
    assert {split: len(part) for split, part in parts.items()} == counts == {"train": 4, "test": 3}
    found = {part.location(item): part.label_names(item) for part in parts.values() for item in range(len(part))}
    whole = open_source(album)
    assert found == {whole.location(item): whole.label_names(item) for item in range(len(whole))}
    assert set(parts["test"].class_names) == {"cat", "dog"}
    assert all(part.image(item) for part in parts.values() for item in range(len(part)))

    write_split(album, tmp_path / "again.csv", 0.4, seed=3)
    again = open_source(tmp_path / "again.csv", "test")
    assert {again.location(item) for item in range(len(again))} == {
        parts["test"].location(item) for item in range(len(parts["test"]))
    }


def test_what_cannot_be_split_is_refused(album: Path, tmp_path: Path) -> None:
    (tmp_path / "there.csv").write_text("path\n")
    for words, says in (
        ((album, tmp_path / "there.csv"), "is there already"),
        ((album, tmp_path / "list.txt"), r"name that ends in \.csv"),
        ((album, tmp_path / "list.csv", 1.0), "share of test images is 1.0"),
        ((album, tmp_path / "list.csv", 0.2, -1), "seed is -1"),
        ((tmp_path / "there.csv", tmp_path / "list.csv"), "not a folder"),
    ):
        with pytest.raises(BadInput, match=says) as refusal:
            write_split(*words)
        assert is_one_sentence(refusal)
    assert not (tmp_path / "list.csv").exists()


def test_one_class_alone_leads_to_codes_without_labels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    digits = hl.open_source("digits")
    (tmp_path / "photos" / "all").mkdir(parents=True)
    for number in range(20):
        digits.image(number).save(tmp_path / "photos" / "all" / f"{number}.png")
    words = ["fit", tmp_path / "photos", "-o", tmp_path / "model", "--image-size", "32", "--bits", "8"]
    monkeypatch.setattr(sys, "argv", ["hashlens", *map(str, words)])
    with pytest.raises(SystemExit) as end:
        hl.cli.main()
    assert not end.value.code
    assert "one class alone, all" in capsys.readouterr().err
    assert hl.HashModel.load(tmp_path / "model").method["name"] == "ITQ"
