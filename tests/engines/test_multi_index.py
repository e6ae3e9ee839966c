"""Tables and scan give the same answers, whichever is chosen."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from hashlens.codes import pack
from hashlens.codes.tiles import Queries, to_tiles
from hashlens.engines import HammingIndex
from hashlens.engines.hamming import calibration, multi_index, scan
from hashlens.engines.hamming.multi_index import Rule, make_tables
from hashlens.engines.hamming.scan import NO_MASKS


def codes_around(centres: int, count: int, bits: int, flips: float, seed: int = 0) -> NDArray[np.uint8]:
    rng = np.random.default_rng(seed)
    signs = rng.random((centres, bits))[rng.integers(centres, size=count)] > 0.5
    return pack(signs ^ (rng.random(signs.shape) < flips))


def refuse(queries: Queries) -> scan.Found:
    raise AssertionError("left to the scan")


@given(
    bits=st.sampled_from([8, 13, 16, 32, 48, 64, 72, 100, 128]),
    parts=st.integers(2, 8),
    count=st.integers(1, 300),
    centres=st.integers(1, 300),
    flips=st.sampled_from([0.0, 0.02, 0.5]),
    k=st.integers(1, 300),
    masked=st.booleans(),
    seed=st.integers(0, 2**32),
)
def test_tables_find_what_a_scan_finds(
    bits: int, parts: int, count: int, centres: int, flips: float, k: int, masked: bool, seed: int
) -> None:
    parts = max(parts, -(-bits // 16))
    codes = codes_around(centres, count, bits, flips, seed)
    queries = Queries.of(np.concatenate([codes_around(2, 3, bits, 0.5, seed + 1), codes[:2]]), bits)
    tiles, masks, available = to_tiles(codes, bits), NO_MASKS, count
    if masked:
        allowed = np.zeros(64 * len(tiles), bool)
        allowed[:count] = np.random.default_rng(seed).random(count) < 0.5
        allowed[0] = True
        masks, available = np.packbits(allowed, bitorder="little").view(np.uint64), int(allowed.sum())
    k = min(k, available)
    expected = scan.nearest(tiles, count, queries.spread, k, masks)
    found = make_tables(codes, parts).nearest(queries, k, masks, refuse)
    np.testing.assert_array_equal(found[0], expected[0])
    np.testing.assert_array_equal(found[1], expected[1])


@pytest.mark.parametrize(
    "rule", [Rule((1000, 1000), (0.0, 0.0)), Rule((6, 6), (np.inf, np.inf))], ids=["cost", "k"]
)
def test_costly_queries_are_left_to_the_scan(rule: Rule) -> None:
    codes = codes_around(1000, 1000, 64, 0.5)
    queries = Queries.of(codes[:5], 64)
    tiles = to_tiles(codes, 64)
    asked: list[int] = []

    def by_scan(some: Queries) -> scan.Found:
        asked.append(len(some))
        return scan.nearest(tiles, 1000, some.spread, 7)

    found = replace(make_tables(codes, 4), rule=rule).nearest(queries, 7, NO_MASKS, by_scan)
    assert asked == [5]
    for ours, theirs in zip(found, scan.nearest(tiles, 1000, queries.spread, 7), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_more_ties_than_are_kept_are_left_to_the_scan(monkeypatch: pytest.MonkeyPatch) -> None:
    codes = np.repeat(codes_around(1, 1, 64, 0), 1000, axis=0)
    queries = Queries.of(codes[:1] ^ np.uint8(1), 64)
    monkeypatch.setattr(multi_index, "TIES", 0)
    found = make_tables(codes, 4).nearest(
        queries, 7, NO_MASKS, lambda some: scan.nearest(to_tiles(codes, 64), 1000, some.spread, 7)
    )
    assert found[1].tolist() == [list(range(7))]


@pytest.mark.parametrize("collapsed", [False, True], ids=["spread", "collapsed"])
def test_a_prepared_index_answers_saves_and_opens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, collapsed: bool
) -> None:
    monkeypatch.setattr(multi_index, "FEWEST", 100)
    monkeypatch.setattr(multi_index, "LEAST_GAIN", 0.0)
    codes = codes_around(500 if collapsed else 10**4, 10**4, 64, 0.0)
    queries = codes_around(20, 20, 64, 0.5, 1)
    plain, index = HammingIndex.build(codes), HammingIndex.build(codes)
    index.prepare()
    assert index._segments[0].tables is not None
    assert (index._segments[0].distinct is not None) == collapsed
    index.save(tmp_path)
    opened = HammingIndex.open(tmp_path)
    assert opened._segments[0].tables is not None
    gone = np.arange(0, 10**4, 3)
    for changed in (False, True):
        for prepared in (index, opened):
            for k in (1, 10, 700):
                for ours, theirs in zip(prepared.search(queries, k), plain.search(queries, k), strict=True):
                    np.testing.assert_array_equal(ours, theirs)
        if not changed:
            for one in (plain, index, opened):
                one.remove(gone)
                one.add(queries)


def test_preparing_in_a_folder_saves_the_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multi_index, "FEWEST", 100)
    monkeypatch.setattr(multi_index, "LEAST_GAIN", 0.0)
    codes, queries = codes_around(10**4, 10**4, 64, 0.0), codes_around(20, 20, 64, 0.5, 1)
    index = HammingIndex.build(codes)
    index.add(codes[:2000])
    plain = index.search(queries, 10)
    index.save(tmp_path)
    index.prepare()
    opened = HammingIndex.open(tmp_path)
    for one in (index, opened):
        assert [segment.count for segment in one._segments] == [10**4, 2000]
        assert all(segment.tables is not None for segment in one._segments)
        for ours, theirs in zip(one.search(queries, 10), plain, strict=True):
            np.testing.assert_array_equal(ours, theirs)
    kept = [segment.tables for segment in index._segments]
    index.prepare()
    assert all(segment.tables is before for segment, before in zip(index._segments, kept, strict=True))


def test_few_codes_need_no_tables(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HASHLENS_CACHE", str(tmp_path))
    monkeypatch.setattr(calibration, "CODES", 4096)  # whose costs are soon measured, and decide nothing here
    index = HammingIndex.build(codes_around(100, 100, 64, 0.5))
    index.prepare()
    assert index._segments[0].tables is None
    monkeypatch.setattr(multi_index, "FEWEST", 100)
    monkeypatch.setattr(multi_index, "LEAST_GAIN", np.inf)
    index.prepare()
    assert index._segments[0].tables is None
    long = HammingIndex.build(codes_around(200, 200, 512, 0.5))
    long.prepare()
    assert long._segments[0].tables is None
