"""Links between folders, and names that sort or look odd."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from hashlens.sources import Source, open_source
from hashlens.sources.folder import open_folder


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
