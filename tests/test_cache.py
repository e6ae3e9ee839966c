"""What the cache holds is shown, limited and cleared."""

from __future__ import annotations

from pathlib import Path

import pytest

from hashlens.cache import DEFAULT_LIMIT, cache_entries, cache_limit, clear_cache, parse_size, set_cache_limit
from hashlens.errors import BadInput


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HASHLENS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def fill(folder: Path) -> None:
    for name, size in (("features/a.sqlite", 100), ("features/a.sqlite-wal", 11), ("onnx/b.onnx", 50)):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(bytes(size))
    (folder / "datasets/c/raw").mkdir(parents=True)
    (folder / "datasets/c/raw/images").write_bytes(bytes(100_000))


def test_what_belongs_to_a_database_is_counted_and_removed_with_it(own_folder: Path) -> None:
    fill(own_folder)
    sizes = {entry.path.name: (entry.kind, entry.size) for entry in cache_entries()}
    assert sizes["a.sqlite"] == ("features", 111) and sizes["b.onnx"] == ("onnx", 50)
    assert sizes["c"][0] == "datasets" and sizes["c"][1] >= 100_000
    assert clear_cache("features") == 111
    assert not list((own_folder / "features").iterdir()) and (own_folder / "onnx/b.onnx").exists()
    assert clear_cache() >= 100_050
    assert cache_entries() == []


def test_what_is_not_of_the_cache_is_not_cleared(own_folder: Path) -> None:
    fill(own_folder)
    (own_folder / "mine").mkdir()
    (own_folder / "mine/letter.txt").write_text("dear")
    clear_cache()
    assert (own_folder / "mine/letter.txt").read_text() == "dear"
    with pytest.raises(BadInput, match="has no 'mine'"):
        clear_cache("mine")


def test_a_limit_stays_and_a_damaged_one_is_as_none(own_folder: Path) -> None:
    assert cache_limit() == DEFAULT_LIMIT
    set_cache_limit(12_345)
    assert cache_limit() == 12_345
    for damaged in (b"many", b"", b"\xff\xfe", b"-3"):
        (own_folder / "limit").write_bytes(damaged)
        assert cache_limit() == DEFAULT_LIMIT
    with pytest.raises(BadInput, match="-1 bytes"):
        set_cache_limit(-1)


@pytest.mark.parametrize(
    ("text", "size"), [("0", 0), ("17", 17), ("20GB", 20 * 10**9), (" 1.5 mb ", 1_500_000), ("2T", 2 * 10**12)]
)
def test_sizes_are_read_with_units(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "GB", "-1", "1e9", "5 parsecs", "nan", "9" * 40])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match="is no size"):
        parse_size(text)
