"""Shards on Ray: the answers of one index, and what a lost actor means."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import ray
from test_engine import Slow, check_same, some_codes

from hashlens import engines
from hashlens.codes import unpack
from hashlens.engines import HammingIndex, RayShards
from hashlens.errors import BadInput
from ray_nodes import nodes
from refusals import is_one_sentence, wrong_requests

pytestmark = pytest.mark.ray


@pytest.fixture(scope="module", autouse=True)
def cluster() -> str:
    return nodes().address


def saved(folder: Path, bits: int, seed: int, counts: tuple[int, ...]) -> tuple[list[Path], Slow]:
    """Shards of so many codes, among them equal ones, and ids in no order."""
    rng = np.random.default_rng(seed)
    ids = np.split(rng.permutation(3 * sum(counts))[: sum(counts)] - 5, np.cumsum(counts)[:-1])
    slow, folders = Slow(bits), []
    for number, some in enumerate(ids):
        codes = some_codes(rng, len(some), bits, 40)
        HammingIndex.build(codes, bits, ids=some).save(folder / f"shard-{number}")
        folders.append(folder / f"shard-{number}")
        slow.codes |= zip(some.tolist(), unpack(codes, bits), strict=True)
    return folders, slow


@pytest.mark.parametrize(
    ("bits", "counts"), [(8, (50, 70)), (13, (1, 90, 30)), (64, (200,)), (65, (80, 0)), (1024, (40, 41))]
)
def test_they_answer_as_one_index(bits: int, counts: tuple[int, ...], tmp_path: Path) -> None:
    folders, slow = saved(tmp_path, bits, sum(counts), counts)
    rng = np.random.default_rng(1)
    with RayShards(folders) as shards:
        for k, radius in ((1, 0), (7, bits // 3), (10**6, bits)):
            check_same(shards, slow, rng, k, radius)
        held = np.array(sorted(slow.codes))
        assert shards.contains([*held, held.max() + 1]).tolist() == [True] * len(held) + [False]
        nothing = shards.search(np.empty((0, -(-bits // 8)), np.uint8), 3)
        assert nothing[0].shape[0] == 0 and nothing.missing == ()


def test_an_address_opens_them_and_many_queries_go_in_batches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved(tmp_path, 64, 0, (300, 300))
    monkeypatch.setattr("hashlens.engines.ray_shards.QUERIES_AT_ONCE", 10)
    shards = engines.open(f"ray:{tmp_path}/shard-*")
    assert isinstance(shards, RayShards) and (shards.bits, len(shards), shards.exact) == (64, 600, True)
    one = HammingIndex.build(*_all_of(tmp_path))
    queries = some_codes(np.random.default_rng(3), 57, 64, 57)
    for found, expected in zip(shards.search(queries, 9), one.search(queries, 9), strict=True):
        np.testing.assert_array_equal(found, expected)
    shards.close()


def _all_of(folder: Path) -> tuple[np.ndarray, int, None, np.ndarray]:
    parts = [HammingIndex.open(path) for path in sorted(folder.iterdir())]
    ids = np.concatenate([part.ids for part in parts])
    return np.concatenate([part.codes(part.ids) for part in parts]), 64, None, ids


@pytest.fixture
def two(tmp_path: Path) -> Iterator[list[Path]]:
    yield saved(tmp_path, 16, 0, (30, 40))[0]


def kill(shards: RayShards, number: int) -> None:
    (actor, *_) = shards._shards[number]._actors
    ray.kill(actor, no_restart=False)


def test_a_lost_shard_is_an_error_or_a_partial_answer_until_it_is_started_again(two: list[Path]) -> None:
    queries = np.zeros((5, 2), np.uint8)
    with RayShards(two) as strict, RayShards(two, partial=True) as partial:
        whole = strict.search(queries, 70)
        away = two[1].rename(two[1].with_name("away"))  # so that it cannot come back too soon
        for shards in (strict, partial):
            kill(shards, 1)
        with pytest.raises(BadInput, match="shard-1") as error:
            _until_lost(strict, queries)
        assert is_one_sentence(error)
        rest = _until_lost(partial, queries)
        assert rest.missing == (str(two[1]),)
        alone = HammingIndex.open(two[0]).search(queries, 70)
        for found, expected in zip(rest, alone, strict=True):
            np.testing.assert_array_equal(found, expected)
        away.rename(two[1])
        for shards in (strict, partial):
            again = _until_found(shards, queries)
            assert again.missing == ()
            for found, expected in zip(again, whole, strict=True):
                np.testing.assert_array_equal(found, expected)


def _until_lost(shards: RayShards, queries: np.ndarray) -> engines.ray_shards.Answer:
    for _ in range(300):
        found = shards.search(queries, 70)
        if found.missing:
            return found
        time.sleep(0.1)
    raise AssertionError("the shard answers although it is lost")


def _until_found(shards: RayShards, queries: np.ndarray) -> engines.ray_shards.Answer:
    for _ in range(300):
        try:
            found = shards.search(queries, 70)
        except BadInput:
            time.sleep(0.1)
            continue
        if not found.missing:
            return found
        time.sleep(0.1)
    raise AssertionError("the shard does not come back")


def test_a_replica_answers_for_a_lost_actor(two: list[Path]) -> None:
    queries = np.zeros((5, 2), np.uint8)
    with RayShards(two, replicas=2) as shards:
        whole = shards.search(queries, 70)
        kill(shards, 1)
        for _ in range(6):
            for found, expected in zip(shards.search(queries, 70), whole, strict=True):
                np.testing.assert_array_equal(found, expected)


def test_what_does_not_fit_is_refused_in_a_sentence(two: list[Path], tmp_path: Path) -> None:
    HammingIndex.build(np.zeros((3, 1), np.uint8), ids=[1000, 1001, 1002]).save(tmp_path / "other bits")
    HammingIndex.build(np.zeros((3, 2), np.uint8), ids=[-100, HammingIndex.open(two[0]).ids[3], 1000]).save(
        tmp_path / "same id"
    )
    for wrong, said in (
        (lambda: RayShards([]), "one shard or more"),
        (lambda: RayShards([*two, tmp_path / "nowhere"]), "nowhere"),
        (lambda: RayShards([*two, tmp_path / "other bits"]), "holds codes of 8 bits"),
        (lambda: RayShards([*two, tmp_path / "same id"]), "both hold a code with the id"),
        (lambda: RayShards(two, replicas=100), "need 200 processors"),
        (lambda: engines.open(f"ray:{tmp_path}/shard-*", 64), "codes of 16 bits, not 64"),
        (lambda: engines.open("ray:nowhere/*"), "no shards at nowhere"),
    ):
        with pytest.raises(BadInput, match=said) as error:
            wrong()
        assert is_one_sentence(error)
    with RayShards(two) as shards:
        for ask in wrong_requests(shards):
            with pytest.raises(BadInput) as error:
                ask()
            assert is_one_sentence(error)
