"""Links between folders, and names that sort or look odd."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hashlens.errors import BadInput
from hashlens.sources import Source, UnreadableImage, as_source, open_source
from hashlens.sources.folder import open_folder
from refusals import is_one_sentence


def write(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4)).save(folder / name, "PNG")
    return folder


def classes_by_key(source: Source) -> dict[str, list[str]]:
    return {source.key(item): source.label_names(item) for item in range(len(source))}


@pytest.mark.parametrize("link", ["a/link", "b/link", "link", "z/link"])
def test_a_link_to_a_sibling_takes_no_images_away_from_it(tmp_path: Path, link: str) -> None:
    write(tmp_path, "a/1.png", "b/2.png", "shared/3.png", "z/4.png")
    (tmp_path / link).symlink_to(tmp_path / "shared", target_is_directory=True)
    found = classes_by_key(open_folder(tmp_path))
    assert found["shared/3.png"] == ["shared"]
    assert found[f"{link}/3.png"] == [link]
    assert len(found) == 5


def test_folders_that_link_to_each_other_end(tmp_path: Path) -> None:
    write(tmp_path, "a/1.png", "b/2.png")
    (tmp_path / "a" / "b").symlink_to(tmp_path / "b", target_is_directory=True)
    (tmp_path / "b" / "a").symlink_to(tmp_path / "a", target_is_directory=True)
    assert sorted(classes_by_key(open_folder(tmp_path))) == ["a/1.png", "a/b/2.png", "b/2.png", "b/a/1.png"]


def test_a_link_to_itself_is_only_an_unreadable_file(tmp_path: Path) -> None:
    write(tmp_path, "a/1.png")
    (tmp_path / "a" / "self").symlink_to(tmp_path / "a" / "self")
    assert list(classes_by_key(open_folder(tmp_path))) == ["a/1.png", "a/self"]


def test_a_folder_that_is_itself_reached_by_a_link_has_the_identity_of_the_real_one(tmp_path: Path) -> None:
    photos = write(tmp_path / "photos", "a/1.png")
    (tmp_path / "link").symlink_to(photos, target_is_directory=True)
    linked = open_folder(tmp_path / "link")
    assert linked.identity == open_folder(photos).identity
    assert classes_by_key(linked) == {"a/1.png": ["a"]}


def test_the_order_is_that_of_the_names_not_of_the_disk(tmp_path: Path) -> None:
    names = ["b/2.png", "b/10.png", "a/é.png", "a/z.png", "a b/1.png", "a/deep/1.png", "A/1.png"]
    write(tmp_path / "one", *names)
    write(tmp_path / "two", *reversed(names))
    one, two = (list(classes_by_key(open_folder(tmp_path / name))) for name in ("one", "two"))
    assert one == two == [str(path) for path in sorted(Path(name) for name in names)]


def test_folders_may_have_any_name_that_a_disk_takes(tmp_path: Path) -> None:
    names = ["with space", "ünïcödé 犬", "a|b", "a:b", "a.png", "-x", "%s", "'q\"u"]
    write(tmp_path, *(f"{name}/1.png" for name in names))
    source = open_folder(tmp_path)
    assert sorted(source.class_names) == sorted(names)
    assert all(source.image(item).size == (4, 4) for item in range(len(source)))


def test_a_split_may_lie_deeper(tmp_path: Path) -> None:
    write(tmp_path, "v1/train/cat/1.png", "v1/test/cat/2.png")
    source = open_source(f"{tmp_path}:v1/train")
    assert classes_by_key(source) == {"cat/1.png": ["cat"]}


@pytest.mark.parametrize("split", ["..", "../other", "/", "a/../..", "train/../../other"])
def test_a_split_never_leaves_its_source(tmp_path: Path, split: str) -> None:
    write(tmp_path / "photos", "train/cat/1.png")
    write(tmp_path / "other", "secret/2.png")
    split = str(tmp_path / "other") if split == "/" else split
    for call in (
        lambda: open_folder(tmp_path / "photos", split),
        lambda: open_source(f"{tmp_path}/photos:{split}"),
    ):
        with pytest.raises(BadInput, match="leads out of its source") as refusal:
            call()
        assert is_one_sentence(refusal)


def images_reached(root: Path) -> set[tuple[int, int]]:
    """Device and inode of every file that links lead to, however often: what must not be missing."""
    found, seen, waiting = set(), set(), [root]
    while waiting:
        folder = waiting.pop().resolve()
        if folder not in seen:
            seen.add(folder)
            for path in folder.iterdir():
                waiting += [path] if path.is_dir() else []
                found |= {(path.stat().st_dev, path.stat().st_ino)} if path.is_file() else set()
    return found


def images_listed(root: Path) -> list[tuple[int, int]]:
    source = open_folder(root)
    status = [Path(source.location(item)).stat() for item in range(len(source))]
    return [(one.st_dev, one.st_ino) for one in status]


def test_eight_folders_that_all_link_to_each_other_list_each_other_once(tmp_path: Path) -> None:
    names = "abcdefgh"
    write(tmp_path, *(f"{name}/{name}.png" for name in names))
    for one in names:
        for other in names.replace(one, ""):
            (tmp_path / one / other).symlink_to(tmp_path / other, target_is_directory=True)
    found = sorted(classes_by_key(open_folder(tmp_path)))  # following every way without a circle makes it 109,600
    pairs = [f"{one}/{other}/{other}.png" for one in names for other in names.replace(one, "")]
    assert found == sorted([*(f"{name}/{name}.png" for name in names), *pairs])


def test_a_link_may_lead_to_a_folder_of_links(tmp_path: Path) -> None:
    write(tmp_path / "disk", "n01/1.png", "n02/2.png")
    (tmp_path / "set").mkdir()
    for name in ("n01", "n02"):
        (tmp_path / "set" / name).symlink_to(tmp_path / "disk" / name, target_is_directory=True)
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "train").symlink_to(tmp_path / "set", target_is_directory=True)
    found = classes_by_key(open_folder(tmp_path / "photos"))
    assert found == {"train/n01/1.png": ["train/n01"], "train/n02/2.png": ["train/n02"]}


@pytest.mark.parametrize("seed", range(20))
def test_no_image_that_links_lead_to_is_missing_and_none_is_there_more_often_than_there_are_ways(
    tmp_path: Path, seed: int
) -> None:
    random = np.random.default_rng(seed)
    folders = [tmp_path / "photos", tmp_path / "elsewhere"]
    for number in range(8):
        folders.append(folders[random.integers(len(folders))] / f"f{number}")
    write(tmp_path, *(str(folder.relative_to(tmp_path) / "1.png") for folder in folders))
    links = 0
    for number in range(12):
        here, there = (folders[place] for place in random.integers(len(folders), size=2))
        (here / f"l{number}").symlink_to(there, target_is_directory=True)
        links += 1
    listed = images_listed(tmp_path / "photos")
    assert set(listed) == images_reached(tmp_path / "photos")
    assert len(listed) <= (1 + links) * len(folders)
    assert listed == images_listed(tmp_path / "photos")


def test_a_folder_that_cannot_be_read_is_refused_and_not_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, "a/1.png", "b/2.png")
    scandir = os.scandir

    def closed(
        place: str,
    ) -> Any:  # root may read everything, so that a mode of 0 would stop nobody who tests as root
        if place == str(tmp_path / "b"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), place)
        return scandir(place)

    monkeypatch.setattr(os, "scandir", closed)
    with pytest.raises(BadInput, match=r"b cannot be read \(Permission denied\)") as refusal:
        open_folder(tmp_path)
    assert is_one_sentence(refusal)


def test_pipes_and_sockets_are_left_out_and_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(tmp_path, "a/1.png", "b/2.png")
    os.mkfifo(tmp_path / "a" / "pipe.png")
    os.mkfifo(tmp_path / "b" / "pipe.png")
    (tmp_path / "b" / "link.png").symlink_to(tmp_path / "a" / "pipe.png")
    assert list(classes_by_key(open_folder(tmp_path))) == ["a/1.png", "b/2.png"]
    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith("3 in ")
    assert str(tmp_path / "a" / "pipe.png") in caplog.messages[0]


def test_a_pipe_that_takes_the_place_of_an_image_is_unreadable_and_does_not_wait(tmp_path: Path) -> None:
    source = open_folder(write(tmp_path, "a/1.png"))
    (tmp_path / "a" / "1.png").unlink()
    os.mkfifo(tmp_path / "a" / "1.png")
    for one in (source, as_source([tmp_path / "a" / "1.png"])):
        with pytest.raises(UnreadableImage, match="not a regular file"):
            one.image(0)
    with pytest.raises(BadInput, match="nothing that can be opened"):
        open_source(tmp_path / "a" / "1.png")


def test_names_that_are_not_utf_8_are_names_too(tmp_path: Path) -> None:
    folder = os.fsencode(tmp_path) + b"/caf\xe9"
    os.mkdir(folder)  # noqa: PTH102
    write(tmp_path, "1.png")
    os.rename(tmp_path / "1.png", folder + b"/\xff\xfe.png")  # noqa: PTH104
    source = open_source(tmp_path)
    assert os.fsencode(source.key(0)) == b"caf\xe9/\xff\xfe.png"
    assert os.fsencode(source.location(0)) == folder + b"/\xff\xfe.png"
    assert [os.fsencode(name) for name in source.class_names] == [b"caf\xe9"]
    assert source.image(0).size == (4, 4)
    assert source.fingerprint(0)[0] > 0
    assert as_source([source.location(0)]).image(0).size == (4, 4)
    assert open_source(source.location(0)).image(0).size == (4, 4)
    assert len(open_source(f"{tmp_path}:{source.class_names[0]}")) == 1
