"""Items are found again by their location, whatever kind of source they came from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import hashlens as hl
from hashlens.sources import Source, UnreadableImage
from hashlens.sources.locations import Locations


def write_parquet(path: Path, source: Source, items: range) -> None:
    path.parent.mkdir(exist_ok=True)
    rows = []
    for item in items:
        file = path.with_suffix(".png")
        source.image(item).save(file)
        rows.append({"bytes": file.read_bytes(), "path": None})
        file.unlink()
    pq.write_table(pa.table({"image": rows}), path, row_group_size=3)


def sources_in(folder: Path) -> list[Source]:
    digits = hl.open_source("digits:test")
    for item in range(6):
        path = folder / "files" / f"class #{item % 2}" / f"{item} #1.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        digits.image(item).save(path)
    write_parquet(folder / "table.parquet", digits, range(7))
    write_parquet(folder / "shards" / "train-0.parquet", digits, range(5))
    write_parquet(folder / "shards" / "train-1.parquet", digits, range(5, 9))
    return [
        digits,
        digits.select([5, 2]),
        hl.open_source(folder / "files"),
        hl.open_source(folder / "table.parquet"),
        hl.open_source(folder / "shards"),
        hl.open_source(f"{folder / 'shards'}:train"),
    ]


def test_every_item_is_found_where_its_source_says(tmp_path: Path) -> None:
    locations = Locations()
    for source in sources_in(tmp_path):
        for item in reversed(range(len(source))):
            found, number = locations.find(source.location(item))
            assert np.array_equal(np.asarray(found.image(number)), np.asarray(source.image(item)))
            assert found.fingerprint(number) == source.fingerprint(item)


@pytest.mark.parametrize(
    "location", ["", "#", "nowhere#3", "digits:test#360", "digits:test#-1", "digits:test#x", "a\0b", "a" * 5000]
)
def test_what_is_not_there_is_gone(location: str) -> None:
    with pytest.raises(UnreadableImage, match="gone"):
        Locations().find(location)


def test_a_file_that_is_gone_does_not_open_the_folder_before_its_hash(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    hl.open_source("digits").image(0).save(tmp_path / "a" / "0.png")
    with pytest.raises(UnreadableImage, match="gone"):
        Locations().find(f"{tmp_path / 'a'}#0")


def test_a_table_that_changed_is_opened_again(tmp_path: Path) -> None:
    digits = hl.open_source("digits:test")
    path = tmp_path / "table.parquet"
    locations = Locations()
    write_parquet(path, digits, range(3))
    assert len(locations.find(f"{path}#2")[0]) == 3
    write_parquet(path, digits, range(8))
    found, number = locations.find(f"{path}#7")
    assert found.image(number).tobytes() == digits.image(7).tobytes()
