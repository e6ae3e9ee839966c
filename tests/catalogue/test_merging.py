"""A source indexed in parts, and the parts merged: the same index as one process makes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from copies import BITS, content, features, run, write_digits

import hashlens as hl
from hashlens.catalogue import Catalogue, Part, merge
from hashlens.errors import BadInput
from refusals import is_one_sentence

IMAGES = 31


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Digits in class folders, one of them damaged, one with a name that is no UTF-8, and one twice."""
    folder = write_digits(tmp_path_factory.mktemp("photos"), IMAGES, damaged=[4])
    (folder / "class 2" / os.fsdecode(b"odd-\xff.png")).write_bytes((folder / "class 0" / "000.png").read_bytes())
    return folder


@pytest.fixture(scope="module")
def model(photos: Path) -> hl.HashModel:
    return hl.fit(photos, bits=16, image_size=32, epochs=1, finetune=False, device="cpu")


@pytest.fixture(scope="module")
def feature_model() -> hl.HashModel:
    return hl.fit(features(60), "orthohash", bits=BITS, epochs=1, device="cpu")


def in_parts(model: hl.HashModel, source: Any, folder: Path, count: int) -> list[Path]:
    made = []
    for number in range(1, count + 1):
        part = Catalogue.create(folder / f"part {number}", model)
        part.update(source, part=Part(number, count))
        made.append(part.folder)
    return made


@pytest.mark.parametrize("count", [1, 3])
def test_parts_make_the_index_that_one_process_makes(
    model: hl.HashModel, photos: Path, count: int, tmp_path: Path
) -> None:
    source = hl.open_source(photos)
    whole = Catalogue.create(tmp_path / "whole", model)
    whole.update(source)
    parts = in_parts(model, source, tmp_path, count)
    merged = merge(parts[::-1], tmp_path / "merged")
    assert content(merged.folder) == content(whole.folder)
    assert len(merged) == IMAGES and len(merged.skipped()) == 1
    queries = [source.select(range(0, len(source), 5))]
    assert merged.search_images(queries, 7) == whole.search_images(queries, 7)
    assert merged.update(source).unchanged == IMAGES  # it goes on like any other


def test_there_may_be_more_parts_than_items(feature_model: hl.HashModel, tmp_path: Path) -> None:
    source = features(5)
    whole = Catalogue.create(tmp_path / "whole", feature_model)
    whole.update(source)
    merged = merge(in_parts(feature_model, source, tmp_path, 8), tmp_path / "merged")
    assert content(merged.folder) == content(whole.folder)


def test_the_commands_index_parts_and_merge_them(
    model: hl.HashModel, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    model.save("model")
    assert run("index", "model", photos, "-o", "whole") == 0
    for number in (1, 2, 2):  # twice is as good as once
        assert run("index", "model", photos, "-o", f"part-{number}", "--part", f"{number}/2") == 0
    assert run("merge", "part-1", "part-2", "-o", "merged") == 0
    assert content(Path("merged")) == content(Path("whole"))
    for wrong in ("0/2", "3/2", "1", "x/y", "1/2/3"):
        assert run("index", "model", photos, "-o", "other", "--part", wrong) == 2
    assert run("index", "model", photos, "-o", "other", "--part", "1/2", "--adapt") == 2
    assert run("index", "model", photos, "-o", "part-1") == 2
    assert run("index", "model", photos, "-o", "part-1", "--part", "2/2") == 2
    assert run("index", "model", photos, "-o", "whole", "--part", "2/2") == 2
    assert not Path("other").exists() and content(Path("merged")) == content(Path("whole"))


def test_indexes_that_are_no_parts_follow_one_another(feature_model: hl.HashModel, tmp_path: Path) -> None:
    one, other = (Catalogue.create(tmp_path / name, feature_model) for name in ("one", "other"))
    one.update(features(20, names=("cat", "dog")))
    other.update(hl.sources.FeatureArray("yours", features(8, seed=1).features(), ["dog", "bird"] * 4))
    merged = merge([other.folder, one.folder], tmp_path / "merged")
    found = merged.entries(range(1, 29))
    assert [one.path for one in found] == [f"yours#{i}" for i in range(8)] + [f"mine#{i}" for i in range(20)]
    assert [one.labels for one in found[6:10]] == [("dog",), ("bird",), ("cat",), ("dog",)]
    assert merged.labels() == {"bird": 4, "cat": 10, "dog": 14}


def test_what_does_not_belong_together_is_refused_and_nothing_is_left(
    feature_model: hl.HashModel, tmp_path: Path
) -> None:
    source = features(30)
    parts = in_parts(feature_model, source, tmp_path, 3)
    other_listing = in_parts(feature_model, features(33), tmp_path / "other", 3)
    other_model = hl.fit(features(60, seed=2), "orthohash", bits=BITS, epochs=1, device="cpu")
    foreign = in_parts(other_model, source, tmp_path / "foreign", 3)
    whole = Catalogue.create(tmp_path / "whole", feature_model)
    whole.update(source)
    half = Catalogue.create(tmp_path / "half", feature_model)

    def stopped(_what: str, _count: int) -> Any:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        half.update(source, part=Part(3, 3), progress=stopped)
    before = sorted(tmp_path.iterdir())
    for wrong, said in (
        ([], "nothing to merge"),
        (parts[:2], "3 is missing"),
        (parts[1:2], "1, 3 are missing"),
        ([*parts, parts[0]], "both part 1"),
        ([*parts[:2], half.folder], "not finished; give hashlens index … --part 3/3 again"),
        ([*parts[:2], other_listing[2]], "not of one listing"),
        ([*parts[:2], foreign[2]], "another model"),
        ([*parts, whole.folder], "no part"),
        ([whole.folder, whole.folder], "another index to be merged"),
        ([tmp_path / "nowhere"], "no index"),
    ):
        with pytest.raises(BadInput, match=said) as error:
            merge(wrong, tmp_path / "merged")
        assert is_one_sentence(error)
        assert sorted(tmp_path.iterdir()) == before
    with pytest.raises(BadInput, match="exists"):
        merge(parts, whole.folder)
    half.update(source, part=Part(3, 3))
    assert len(merge([*parts[:2], half.folder], tmp_path / "merged")) == 30


def test_parts_share_out_every_item_once() -> None:
    for items in (0, 1, 5, 64):
        source = hl.sources.FeatureArray("mine", np.zeros((items, 2), np.float32))
        for count in (1, 2, 7, 100):
            found = [Part(number, count).of(source) for number in range(1, count + 1)]
            assert [one.location(i) for one in found for i in range(len(one))] == [
                f"mine#{i}" for i in range(items)
            ]
            assert max(map(len, found)) - min(map(len, found)) <= 1
