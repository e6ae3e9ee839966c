"""A damaged index folder is refused in a sentence, never answered from; and nothing that is not ours is touched."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from hashlens.engines import HammingIndex
from hashlens.engines.hamming import multi_index
from hashlens.errors import BadInput
from refusals import is_one_sentence

FORMATS = Path(__file__).parents[1] / "formats"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small index with every kind of file: repeated codes, tables, removed codes, ids of its own."""
    folder = tmp_path_factory.mktemp("whole") / "index"
    rng = np.random.default_rng(0)
    distinct = rng.integers(0, 256, (2000, 8), np.uint8)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(multi_index, "FEWEST", 100)
        patch.setattr(multi_index, "LEAST_GAIN", 0.0)
        patch.setattr(multi_index, "LONGEST_PART", 16)  # small tables
        index = HammingIndex.build(np.concatenate([distinct, distinct, distinct]), ids=np.arange(6000) * 3)
        index.save(folder)
        index.prepare()
        index.remove([3, 30])
        index.flush()
    kinds = {path.name.split("-")[0] for path in folder.glob("*.npy")}
    assert kinds == {"codes", "ids", "present", "distinct", "starts", "holders", "values", "positions", "words"}
    return folder


@pytest.mark.parametrize("seed", range(60))
def test_one_changed_byte_anywhere_is_noticed(whole: Path, tmp_path: Path, seed: int) -> None:
    folder = tmp_path / "index"
    shutil.copytree(whole, folder)
    rng = np.random.default_rng(seed)
    files = sorted(folder.iterdir(), key=lambda path: path.name.split("-")[0])
    path = files[seed % len(files)]
    content = bytearray(path.read_bytes())
    # Headers are few bytes of many, so that half of the cases go there.
    position = int(rng.integers(0, min(len(content), 128 if rng.random() < 0.5 else len(content))))
    content[position] ^= int(rng.integers(1, 256))
    path.write_bytes(content)
    with pytest.raises(BadInput) as error:
        HammingIndex.open(folder)
    assert is_one_sentence(error)


@pytest.mark.parametrize("how", ["cut", "grown", "emptied", "swapped", "gone"])
def test_files_of_another_length_or_content_are_noticed(whole: Path, tmp_path: Path, how: str) -> None:
    for kind in ("codes", "starts", "words", "index.json"):
        folder = tmp_path / kind
        shutil.copytree(whole, folder)
        (path,) = folder.glob(f"{kind}-*.npy") if kind != "index.json" else [folder / kind]
        if how == "cut":
            path.write_bytes(path.read_bytes()[:-2])
        elif how == "grown":
            path.write_bytes(path.read_bytes() + b"\0")
        elif how == "emptied":
            path.write_bytes(b"")
        elif how == "swapped":
            path.write_bytes(next(folder.glob("holders-*.npy")).read_bytes())
        else:
            path.unlink()
        with pytest.raises(BadInput) as error:
            HammingIndex.open(folder)
        assert is_one_sentence(error)


@pytest.mark.parametrize(
    "change",
    [
        {"segments": []},
        {"next_id": 3},
        {"bits": 128},
        {"bits": "64"},
        {"segments": None},
        {"checksum": "0" * 16},
    ],
)
def test_a_manifest_that_says_something_else_is_noticed(whole: Path, tmp_path: Path, change: dict) -> None:
    folder = tmp_path / "index"
    shutil.copytree(whole, folder)
    manifest = json.loads((folder / "index.json").read_text())
    (folder / "index.json").write_text(json.dumps(manifest | change))
    with pytest.raises(BadInput) as error:
        HammingIndex.open(folder)
    assert is_one_sentence(error)


def test_a_manifest_may_not_name_a_file_elsewhere(tmp_path: Path) -> None:
    folder = tmp_path / "index"
    shutil.copytree(FORMATS / "2" / "codes", folder)  # of the first version, which has no checksums to betray it
    manifest = json.loads((folder / "index.json").read_text())
    name = manifest["segments"][0]["files"]["codes"]
    (folder / name).rename(tmp_path / name)
    manifest["segments"][0]["files"]["codes"] = f"../{name}"
    (folder / "index.json").write_text(json.dumps(manifest))
    with pytest.raises(BadInput, match="no file of an index"):
        HammingIndex.open(folder)


def test_an_index_of_the_first_version_opens_and_is_checked_as_far_as_it_goes(tmp_path: Path) -> None:
    folder = tmp_path / "index"
    shutil.copytree(FORMATS / "2" / "codes", folder)
    codes = np.random.default_rng(5).integers(0, 256, (300, 3), np.uint8)
    index = HammingIndex.open(folder)
    kept = np.setdiff1d(np.arange(340), [3, 310])
    np.testing.assert_array_equal(index.ids, kept)
    np.testing.assert_array_equal(index.codes(), np.concatenate([codes, codes[:40]])[kept])
    assert index.next_id == 340
    index.add(codes[:5])
    index.save(folder)
    assert json.loads((folder / "index.json").read_text())["version"] == 2
    np.testing.assert_array_equal(HammingIndex.open(folder).ids, [*kept, *range(340, 345)])


def test_counts_that_lead_astray_are_noticed_even_without_checksums(tmp_path: Path) -> None:
    """As an index of the first version, whose files anybody may have changed."""
    distinct = np.random.default_rng(0).integers(0, 256, (600, 8), np.uint8)
    index = HammingIndex.build(np.repeat(distinct, 3, axis=0))
    for kind, value in (("starts", -1), ("starts", 10**12), ("holders", 1800), ("holders", -1)):
        folder = tmp_path / f"{kind}{value}"
        HammingIndex.build(index.codes(), folder=folder)
        manifest = json.loads((folder / "index.json").read_text())
        for entry in manifest["segments"]:
            del entry["checksums"], entry["first"], entry["tried"]
        manifest |= {"version": 1}
        (folder / "index.json").write_text(json.dumps(manifest))
        assert len(HammingIndex.open(folder)) == 1800
        (path,) = folder.glob(f"{kind}-*.npy")
        array = np.load(path)
        array[5] = value
        np.save(path, array)
        with pytest.raises(BadInput, match="out of range"):
            HammingIndex.open(folder)


def test_files_that_only_look_like_ours_stay(tmp_path: Path) -> None:
    folder = tmp_path / "index"
    index = HammingIndex.build(np.random.default_rng(0).integers(0, 256, (100, 8), np.uint8), folder=folder)
    for name in ("codes-all.npy", "values-2024.npy", "codes-0123456789abcdeX.npy", "ids.npy", ".index.json.mine"):
        (folder / name).write_bytes(b"mine")
    (folder / "codes-0123456789abcdef.npy").write_bytes(b"left behind by a killed process")
    index.add(np.zeros((200, 8), np.uint8))
    index.save(folder)
    names = {path.name for path in folder.iterdir()}
    assert {"codes-all.npy", "values-2024.npy", "codes-0123456789abcdeX.npy", "ids.npy", ".index.json.mine"} < names
    assert "codes-0123456789abcdef.npy" not in names
    other = tmp_path / "other"
    other.mkdir()
    (other / "codes-all.npy").write_bytes(b"mine")
    with pytest.raises(BadInput, match="not an index"):
        index.save(other)
