"""What is copied to a table in tests, and how a copy is held against its index."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np

import hashlens as hl
from hashlens.catalogue import Catalogue
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
