"""What is copied to a table in tests, and how a copy is held against its index."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hashlens as hl
from hashlens.catalogue import Catalogue
from hashlens.cli import main
from hashlens.engines import Table, opened_table

BITS = 20  # not whole bytes


def features(count: int, seed: int = 0, names: Sequence[str] = ("cat", "dog")) -> hl.sources.FeatureArray:
    x = np.random.default_rng(seed).normal(size=(count, 8)).astype(np.float32)
    return hl.sources.FeatureArray("mine", x, np.arange(count) % 2, names)


def opened(address: str | os.PathLike[str], bits: int | None = BITS) -> Table:
    return opened_table(address, bits)


def assert_same(table: Table, index: Catalogue) -> None:
    (ids, codes), *more = index.codes()
    assert not more and len(table) == len(ids) and table.whole
    known = index.entries(ids.tolist())
    every = list(table.every_row())
    np.testing.assert_array_equal(np.sort(np.concatenate([rows.ids for rows in every])), ids)
    for order in (slice(None), slice(None, None, -1)):
        rows = table.rows(ids[order])
        np.testing.assert_array_equal(rows.ids, ids[order])
        np.testing.assert_array_equal(rows.codes, codes[order])
        assert rows.paths == [one.path for one in known[order]]
        assert rows.labels == [one.labels for one in known[order]]
    assert table.label_counts() == index.labels()


def content(folder: Path) -> dict[str, list[Any]]:
    """All rows of an index, labels by their names."""
    asked = {
        "images": "SELECT * FROM images ORDER BY id",
        "labels": "SELECT image, place, name FROM image_labels JOIN labels ON id = label ORDER BY image, place",
        "details": "SELECT * FROM details ORDER BY image",
        "contents": "SELECT * FROM contents ORDER BY image",
        "skipped": "SELECT * FROM skipped ORDER BY path",
        "of the model": "SELECT * FROM properties WHERE name IN ('bits', 'model', 'copy', 'adapted', 'detailed') "
        "ORDER BY name",
    }
    with closing(sqlite3.connect(folder / "catalogue.sqlite")) as rows:
        return {name: rows.execute(query).fetchall() for name, query in asked.items()}


def write_digits(folder: Path, count: int, damaged: Sequence[int] = ()) -> Path:
    """Digits in the folders of three classes, some of them damaged."""
    digits = hl.open_source("digits")
    for number in range(count):
        path = folder / f"class {number % 3}" / f"{number:03}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        digits.image(number).save(path)
        if number in damaged:
            path.write_bytes(b"no image")
    return folder


def run(*arguments: object) -> int:
    """The exit status of a command."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["hashlens", *map(str, arguments)])
        try:
            main()
        except SystemExit as end:
            return int(end.code or 0)
    return 0
