"""Exact search against a stable sort of distances counted on unpacked bits."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from hashlens.codes import pack
from hashlens.compute import kernels
from hashlens.engines import HammingIndex
from hashlens.engines.hamming import scan
from hashlens.engines.hamming.scan import QUERIES_PER_TASK, SMALLEST_SLICE
from hashlens.errors import BadInput

Signs = NDArray[np.int8]
LENGTHS = [8, 13, 16, 32, 48, 63, 64, 65, 100, 128, 200, 248, 249, 255, 256, 257, 512, 1000, 1024]
BLOCK = 2048


def random_signs(count: int, bits: int, seed: int = 0) -> Signs:
    return np.random.default_rng(seed).choice(np.array([-1, 1], np.int8), (count, bits))


def collapsed_signs(count: int, bits: int, distinct: int, seed: int = 0) -> Signs:
    """Few distinct codes, some of them near each other, each of them many times."""
    rng = np.random.default_rng(seed)
    codes = random_signs(distinct, bits, seed)
    codes[1::2] = np.where(rng.random(codes[1::2].shape) < 0.05, -codes[0], codes[0])
    return codes[rng.integers(distinct, size=count)]


def all_distances(queries: Signs, database: Signs) -> NDArray[np.int64]:
    return np.array([(query != database).sum(1) for query in queries]).reshape(len(queries), len(database))


def check_search(index: HammingIndex, queries, distances: NDArray[np.int64], k: int) -> None:
    order = np.argsort(distances, axis=1, kind="stable")[:, :k]
    found, ids = index.search(queries, k)
    assert found.dtype == np.int32
    assert ids.dtype == np.int64
    np.testing.assert_array_equal(ids, order)
    np.testing.assert_array_equal(found, np.take_along_axis(distances, order, 1))


def check_within(index: HammingIndex, queries, distances: NDArray[np.int64], radius: int) -> None:
    found, ids = index.within(queries, radius)
    assert len(found) == len(ids) == len(distances)
    for row, row_found, row_ids in zip(distances, found, ids, strict=True):
        order = [i for i in np.argsort(row, kind="stable") if row[i] <= radius]
        assert row_found.dtype == np.int32
        assert row_ids.dtype == np.int64
        assert row_ids.tolist() == order
        assert row_found.tolist() == [row[i] for i in order]


def depths_around_ties(distances: NDArray[np.int64]) -> list[int]:
    ends = np.cumsum(np.unique(distances[0], return_counts=True)[1])
    depths = {1, 2, len(distances[0]), len(distances[0]) + 1, *(ends - 1), *ends, *(ends + 1)}
    return sorted(int(k) for k in depths if k >= 1)


@pytest.fixture(params=[True, False], ids=["kernels", "NumPy"])
def searching(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways to search: by kernels, and by NumPy as long as numba is not loaded."""
    monkeypatch.setattr(kernels, "loaded", lambda: request.param)
    monkeypatch.setattr(scan, "_cold_bytes_left", 1 << 40)


def test_who_asks_on_is_answered_by_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    database, queries = random_signs(100, 64), random_signs(2, 64, 1)
    index, distances = HammingIndex.build(database), all_distances(queries, database)
    ranked: list[int] = []
    by_numpy = scan._rankings
    monkeypatch.setattr(kernels, "loaded", lambda: False)
    monkeypatch.setattr(scan, "_rankings", lambda *given: ranked.append(1) or by_numpy(*given))
    monkeypatch.setattr(scan, "_cold_bytes_left", 5 * 2 * 128 * 8)  # of 100 codes in two tiles, for two queries
    for _ in range(9):
        check_search(index, queries, distances, 7)
    assert len(ranked) == 5


@pytest.mark.usefixtures("searching")
@pytest.mark.parametrize("bits", LENGTHS)
@pytest.mark.parametrize("collapsed", [False, True], ids=["spread", "collapsed"])
def test_every_depth_and_radius_around_ties(bits: int, collapsed: bool) -> None:
    database = collapsed_signs(60, bits, 7) if collapsed else random_signs(60, bits)
    queries = np.concatenate([random_signs(3, bits, 1), database[:2], -database[:1]])
    index = HammingIndex.build(database)
    distances = all_distances(queries, database)
    assert len(index) == 60
    assert index.bits == bits
    for k in depths_around_ties(distances):
        check_search(index, queries, distances, k)
    for radius in {0, 1, *distances[0].tolist(), bits - 1, bits, bits + 1, 10 * bits}:
        check_within(index, queries, distances, radius)


@settings(deadline=None, max_examples=80)
@given(
    bits=st.one_of(st.sampled_from(LENGTHS), st.integers(8, 300)),
    count=st.integers(0, 70),
    distinct=st.integers(1, 70),
    queries=st.integers(0, 20),
    k=st.integers(1, 80),
    radius=st.integers(0, 310),
    seed=st.integers(0, 2**32),
)
def test_search_is_a_stable_sort(
    bits: int, count: int, distinct: int, queries: int, k: int, radius: int, seed: int
) -> None:
    database = collapsed_signs(count, bits, distinct, seed)
    asked = np.concatenate([random_signs(queries, bits, seed + 1), database[:2]])
    distances = all_distances(asked, database)
    index = HammingIndex.build(pack(database), bits)
    check_search(index, pack(asked), distances, k)
    check_within(index, pack(asked), distances, radius)


@pytest.mark.parametrize("count", [BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK + 1])
@pytest.mark.parametrize("bits", [13, 64, 200])
@pytest.mark.parametrize("distinct", [5, 5000])
def test_sizes_around_the_block_size(count: int, bits: int, distinct: int) -> None:
    database = collapsed_signs(count, bits, distinct)
    queries = np.concatenate([random_signs(2, bits, 1), database[-1:]])
    distances = all_distances(queries, database)
    index = HammingIndex.build(database)
    for k in (1, 10, BLOCK - 1, BLOCK, BLOCK + 1, count - 1, count, count + 1):
        check_search(index, queries, distances, k)
    for radius in (0, bits // 3, bits):
        check_within(index, queries, distances, radius)


@pytest.mark.parametrize("k", [1, 7, BLOCK, 2 * BLOCK + 3, 4 * BLOCK])
@pytest.mark.parametrize("step", [1, -1], ids=["ever nearer", "ever farther"])
def test_databases_sorted_by_distance(k: int, step: int) -> None:
    ones = np.linspace(128, 0, 4 * BLOCK + 5).round().astype(int)[::step]
    database = np.where(np.arange(128) < ones[:, None], np.int8(1), np.int8(-1))
    queries = np.stack([np.full(128, -1, np.int8), np.full(128, 1, np.int8)])
    check_search(HammingIndex.build(database), queries, all_distances(queries, database), k)


def test_all_codes_equal() -> None:
    database = np.repeat(random_signs(1, 13), 3 * BLOCK, axis=0)
    index = HammingIndex.build(database)
    for queries in (database[:1], -database[:1]):
        distances = all_distances(queries, database)
        for k in (1, 5, BLOCK + 1, 3 * BLOCK):
            check_search(index, queries, distances, k)
        for radius in (0, 12, 13):
            check_within(index, queries, distances, radius)


def test_different_codes_all_at_one_distance() -> None:
    database = np.where(np.eye(65, dtype=bool), np.int8(1), np.int8(-1))
    query = np.full((1, 65), -1, np.int8)
    distances = all_distances(query, database)
    assert set(distances[0]) == {1}
    index = HammingIndex.build(database)
    for k in (1, 64, 65, 66):
        check_search(index, query, distances, k)
    for radius in (0, 1):
        check_within(index, query, distances, radius)


def test_one_query_in_several_slices_with_ties_across_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan, "available_threads", lambda: 4)
    rng = np.random.default_rng(0)
    codes, picks = random_signs(6, 64), rng.integers(6, size=SMALLEST_SLICE // 2 + 40_000)
    picks[:3] = 0
    index = HammingIndex.build(pack(codes)[picks])
    query = random_signs(1, 64, 1)
    distances = all_distances(query, codes)[:, picks]
    for k in (1, 10, 5 * BLOCK, *depths_around_ties(distances)[2:5]):
        check_search(index, query, distances, k)


@pytest.mark.parametrize("threads", [1, 2, 3, 7, 64])
def test_slices_smaller_than_k(monkeypatch: pytest.MonkeyPatch, threads: int) -> None:
    monkeypatch.setattr(scan, "SMALLEST_SLICE", 1)
    monkeypatch.setattr(scan, "available_threads", lambda: threads)
    database = collapsed_signs(50, 16, 6)
    index = HammingIndex.build(database)
    for queries in (random_signs(1, 16, 1), random_signs(QUERIES_PER_TASK + 1, 16, 2)):
        distances = all_distances(queries, database)
        for k in depths_around_ties(distances):
            check_search(index, queries, distances, k)


@pytest.mark.parametrize("count", [QUERIES_PER_TASK, QUERIES_PER_TASK + 1, 5 * QUERIES_PER_TASK + 3])
def test_many_queries(count: int) -> None:
    database, queries = collapsed_signs(3000, 32, 40), collapsed_signs(count, 32, 30, 5)
    distances = all_distances(queries, database)
    index = HammingIndex.build(database)
    check_search(index, queries, distances, 25)
    check_within(index, queries, distances, 9)


def test_empty_index() -> None:
    index = HammingIndex.build(np.zeros((0, 2), np.uint8), 13)
    assert len(index) == 0
    distances, ids = index.search(random_signs(3, 13), 5)
    assert distances.shape == ids.shape == (3, 0)
    assert (distances.dtype, ids.dtype) == (np.int32, np.int64)
    check_within(index, random_signs(3, 13), np.zeros((3, 0), int), 13)


@pytest.mark.usefixtures("searching")
def test_no_queries() -> None:
    index = HammingIndex.build(random_signs(20, 64))
    distances, ids = index.search(np.zeros((0, 8), np.uint8), 5)
    assert distances.shape == ids.shape == (0, 5)
    assert (distances.dtype, ids.dtype) == (np.int32, np.int64)
    assert index.within(np.zeros((0, 64)), 5) == ([], [])


@pytest.mark.usefixtures("searching")
def test_codes_that_were_added_one_after_the_other() -> None:
    parts = [collapsed_signs(count, 64, 20, seed) for seed, count in enumerate((70, 3, 200, 9))]
    index = HammingIndex.build(parts[0])
    for part in parts[1:]:
        index.add(part)
    queries = random_signs(5, 64, 9)
    distances = all_distances(queries, np.concatenate(parts))
    for k in (1, 2, 50, 282, 300):
        check_search(index, queries, distances, k)


@pytest.mark.usefixtures("searching")
@pytest.mark.parametrize("bits", [13, 64, 256])
def test_some_codes_alone(bits: int) -> None:
    database = collapsed_signs(300, bits, 40)
    allowed = np.flatnonzero(np.random.default_rng(0).random(300) < 0.4)
    index, queries = HammingIndex.build(database), random_signs(4, bits, 1)
    distances = all_distances(queries, database[allowed])
    order = np.argsort(distances, axis=1, kind="stable")
    found, ids = index.search(queries, 50, allow=allowed)
    np.testing.assert_array_equal(ids, allowed[order[:, :50]])
    np.testing.assert_array_equal(found, np.take_along_axis(distances, order[:, :50], 1))
    radius = int(np.median(distances))
    for row, near in zip(distances, index.within(queries, radius, allow=allowed)[1], strict=True):
        assert near.tolist() == [allowed[i] for i in np.argsort(row, kind="stable") if row[i] <= radius]


@pytest.mark.parametrize("bits", [13, 64, 100])
def test_one_query_alone(bits: int) -> None:
    database, queries = random_signs(30, bits), random_signs(1, bits, 1)
    distances = all_distances(queries, database)
    index = HammingIndex.build(database)
    for query in (queries[0], pack(queries[0]), queries[0] > 0):
        check_search(index, query, distances, 7)
        check_within(index, query, distances, bits // 2)


@pytest.mark.parametrize("bits", [13, 64, 100, 128])
def test_codes_in_any_layout_and_type(bits: int) -> None:
    database, queries = collapsed_signs(50, bits, 9), collapsed_signs(8, bits, 6, 1)
    distances = all_distances(queries, database)

    def forms(signs: Signs):
        packed = pack(signs)
        apart = np.zeros((2 * len(packed), 2 * packed.shape[1]), np.uint8)
        apart[::2, ::2] = packed
        unaligned = np.frombuffer(b"\0" + packed.tobytes(), np.uint8, offset=1).reshape(packed.shape)
        yield from (signs, signs > 0, signs * 0.25, np.asfortranarray(signs), signs[::-1][::-1])
        yield from (packed, np.asfortranarray(packed), apart[::2, ::2], unaligned)

    for stored in forms(database):
        check_search(HammingIndex.build(stored, bits), queries, distances, 12)
    index = HammingIndex.build(database)
    for asked in forms(queries):
        check_search(index, asked, distances, 12)
        check_within(index, asked, distances, bits // 2)


@pytest.mark.parametrize("bits", [13, 64, 128])
def test_index_keeps_its_own_copy(bits: int) -> None:
    database, queries = random_signs(30, bits), random_signs(2, bits, 1)
    packed = pack(database)
    index = HammingIndex.build(packed, bits)
    packed[:] = 0
    check_search(index, queries, all_distances(queries, database), 30)


def test_searching_leaves_the_queries_alone() -> None:
    queries = pack(random_signs(3, 64))
    before = queries.copy()
    HammingIndex.build(random_signs(30, 64, 1)).search(queries, 3)
    np.testing.assert_array_equal(queries, before)


def test_searches_from_several_threads_agree() -> None:
    database = collapsed_signs(6000, 64, 300)
    index = HammingIndex.build(database)
    asked = [random_signs(1 + 9 * n, 64, n) for n in range(6)]
    expected = [all_distances(queries, database) for queries in asked]

    def check(n: int) -> None:
        check_search(index, asked[n % 6], expected[n % 6], 1 + n)
        check_within(index, asked[n % 6], expected[n % 6], 20)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(check, range(30)))


@pytest.mark.parametrize(
    ("ask", "says"),
    [
        pytest.param(lambda index: index.search(random_signs(2, 64), 0), "k is 0", id="k of 0"),
        pytest.param(lambda index: index.search(random_signs(2, 64), -3), "k is -3", id="negative k"),
        pytest.param(lambda index: index.within(random_signs(2, 64), -1), "-1", id="negative radius"),
        pytest.param(lambda index: index.search(random_signs(2, 32)), "32 bits.* 64", id="other length"),
        pytest.param(lambda index: index.search(np.zeros((2, 4), np.uint8)), "32 bits.* 64", id="packed"),
        pytest.param(lambda index: index.search(random_signs(2, 63)), "63 bits.* 64", id="one bit short"),
        pytest.param(lambda index: index.search(random_signs(1, 65)[0]), "65 bits.* 64", id="single"),
        pytest.param(lambda index: index.within(random_signs(2, 32), 3), "32 bits.* 64", id="within"),
        pytest.param(lambda index: index.search(np.ones((2, 2, 64))), "2, 2, 64", id="three dimensions"),
        pytest.param(lambda index: index.search(np.full((1, 64), np.nan)), "NaN", id="NaN"),
        pytest.param(lambda index: index.build(random_signs(2, 7)), "7 bits", id="too few bits"),
        pytest.param(lambda index: index.build(random_signs(2, 1025)), "1025 bits", id="too many bits"),
        pytest.param(lambda index: index.build(np.zeros((2, 2), np.uint8), 24), "24 bits", id="bytes"),
    ],
)
def test_wrong_requests_are_refused_in_a_sentence(ask, says: str) -> None:
    index = HammingIndex.build(random_signs(5, 64))
    with pytest.raises(BadInput, match=says) as error:
        ask(index)
    text = str(error.value)
    assert text.endswith(".")
    assert ". " not in text


def test_unpacked_queries_of_the_padded_length_are_refused() -> None:
    index = HammingIndex.build(random_signs(5, 13))
    with pytest.raises(BadInput, match="16 bits"):
        index.search(random_signs(2, 16))


def test_repr_says_size_and_length() -> None:
    assert repr(HammingIndex.build(np.zeros((1234, 2), np.uint8), 13)) == "HammingIndex(1,234 codes of 13 bits)"
