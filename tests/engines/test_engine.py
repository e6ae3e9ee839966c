"""One test for every engine: whatever holds the codes, answers are those of sorting them all by (distance, id)."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import servers
from hashlens import engines
from hashlens.codes import pack, unpack
from hashlens.engines import ENGINES, HammingIndex, SearchEngine
from hashlens.errors import BadInput
from refusals import is_one_sentence, wrong_requests

# How each engine is opened for a test, from a folder of its own, by which a table on a server is named.
ADDRESSES: dict[str, Callable[[Path], str]] = {
    "hamming": lambda folder: str(folder / "codes"),
    "lancedb": lambda folder: f"lancedb://{folder}/codes",
    "milvus": lambda folder: servers.milvus() + table_name(folder),
    "npy": lambda folder: str(folder / "codes.npy"),
    "parquet": lambda folder: str(folder / "codes.parquet"),
    "postgresql": lambda folder: servers.postgresql() + table_name(folder),
}
SERVED = {"lancedb", "milvus", "postgresql"}  # each has a marker by its name
EVERY_ENGINE = [
    pytest.param(name, marks=getattr(pytest.mark, name) if name in SERVED else ()) for name in ADDRESSES
]


def table_name(folder: Path) -> str:
    return f"t{hashlib.sha256(str(folder).encode()).hexdigest()[:20]}"


def test_every_engine_is_tested() -> None:
    assert set(ADDRESSES) | {"ray"} == set(ENGINES)  # which only searches, and has a file of its own


class Slow:
    """What an engine should answer."""

    def __init__(self, bits: int) -> None:
        self.bits = bits
        self.codes: dict[int, NDArray[np.int8]] = {}

    def ranked(self, query: NDArray[np.int8], allow: set[int] | None) -> list[tuple[int, int]]:
        kept = self.codes if allow is None else self.codes.keys() & allow
        return sorted((int((self.codes[i] != query).sum()), i) for i in kept)


def some_codes(rng: np.random.Generator, count: int, bits: int, distinct: int) -> NDArray[np.uint8]:
    signs = rng.choice(np.array([-1, 1], np.int8), (max(1, distinct), bits))
    return pack(signs[rng.integers(len(signs), size=count)])


def check_same(engine: SearchEngine, slow: Slow, rng: np.random.Generator, k: int, radius: int) -> None:
    assert len(engine) == len(slow.codes)
    queries = some_codes(rng, 3, slow.bits, 3)
    every = np.array(sorted(slow.codes), np.int64)
    for allow in (None, every[rng.random(len(every)) < 0.5], np.empty(0, np.int64)):
        allowed = None if allow is None else set(allow.tolist())
        distances, ids = engine.search(queries, k, allow)
        near_distances, near_ids = engine.within(queries, radius, allow)
        assert (distances.dtype, ids.dtype) == (np.int32, np.int64)
        for row, query in enumerate(unpack(queries, slow.bits)):
            ranked = slow.ranked(query, allowed)
            assert list(zip(distances[row].tolist(), ids[row].tolist(), strict=True)) == ranked[:k]
            near = [one for one in ranked if one[0] <= radius]
            assert list(zip(near_distances[row].tolist(), near_ids[row].tolist(), strict=True)) == near


@pytest.mark.parametrize("name", [name for name in EVERY_ENGINE if name.values != ("milvus",)])
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), bits=st.sampled_from([8, 13, 64, 65, 256, 1024]), seed=st.integers(0, 2**32))
def test_any_order_of_changes(
    name: str, data: st.DataObject, bits: int, seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    check_any_order_of_changes(name, data, bits, seed, tmp_path_factory)


@pytest.mark.milvus
@settings(max_examples=3, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), bits=st.sampled_from([8, 13, 64, 65, 256, 1024]), seed=st.integers(0, 2**32))
def test_any_order_of_changes_in_milvus(
    data: st.DataObject, bits: int, seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Few of them: a collection takes seconds to be made."""
    check_any_order_of_changes("milvus", data, bits, seed, tmp_path_factory)


def check_any_order_of_changes(
    name: str, data: st.DataObject, bits: int, seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    rng = np.random.default_rng(seed)
    folder = tmp_path_factory.mktemp("engine")
    engine, slow = engines.open(ADDRESSES[name](folder), bits), Slow(bits)
    assert engine.bits == bits
    for _ in range(data.draw(st.integers(1, 6))):
        match data.draw(st.sampled_from(["add", "replace", "remove", "reopen", "prepare"])):
            case "add":
                count = data.draw(st.integers(0, 90))
                lowest, highest = data.draw(st.sampled_from([(0, 200), (-(2**62), 2**62), (500, 600)]))
                ids = (
                    rng.choice(np.unique(rng.integers(lowest, highest, 4 * count + 1)), count, replace=False)
                    if count
                    else []
                )
                codes = some_codes(rng, count, bits, data.draw(st.sampled_from([1, 5, 1000])))
                engine.add(codes, ids)
                slow.codes |= zip(np.asarray(ids).tolist(), unpack(codes, bits), strict=True)
            case "replace" if slow.codes:
                ids = rng.permutation(sorted(slow.codes))[: len(slow.codes) // 2 + 1]
                codes = some_codes(rng, len(ids), bits, 1000)
                engine.add(codes, ids)
                slow.codes |= zip(ids.tolist(), unpack(codes, bits), strict=True)
            case "remove" if slow.codes:
                gone = rng.permutation(sorted(slow.codes))[: len(slow.codes) // 2 + 1]
                engine.remove(gone)
                slow.codes = {i: code for i, code in slow.codes.items() if i not in gone}
                assert not engine.contains(gone).any()
            case "reopen":
                engine.flush()
                engine = engines.open(ADDRESSES[name](folder), bits)
            case "prepare":
                engine.prepare()
        assert engine.contains(sorted(slow.codes)).all()
        check_same(engine, slow, rng, data.draw(st.integers(1, 120)), data.draw(st.integers(0, bits)))


@pytest.mark.parametrize("name", EVERY_ENGINE)
def test_wrong_requests_are_refused_and_change_nothing(name: str, tmp_path: Path) -> None:
    engine = engines.open(ADDRESSES[name](tmp_path), 16)
    engine.add(np.zeros((3, 2), np.uint8), [5, 7, 9])
    for ask in wrong_requests(engine):
        with pytest.raises(BadInput) as error:
            ask()
        assert is_one_sentence(error)
    assert len(engine) == 3
    assert engine.contains([1, 5, 6, 7, 9]).tolist() == [False, True, False, True, True]


def test_an_address_that_means_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no engine 'magic'"):
        engines.open("magic://server/table", 64)
    with pytest.raises(BadInput, match="no index at"):
        engines.open(tmp_path / "nothing")


def test_searching_while_another_thread_changes_the_codes() -> None:
    """A search sees a change whole or not at all: a replaced code is never there twice, nor missing."""
    rng = np.random.default_rng(0)
    index = HammingIndex.build(some_codes(rng, 500, 64, 500))
    query = some_codes(rng, 1, 64, 1)
    failures: list[BaseException] = []
    done = threading.Event()

    def search() -> None:
        try:
            while not done.is_set():
                _, ids = index.search(query, 500)
                assert sorted(ids[0].tolist()) == list(range(500))
                _, near = index.within(query, 64)
                assert sorted(near[0].tolist()) == list(range(500))
                index.search_ids([3], 5)
                index.codes([7])
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=search) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(150):
        ids = rng.permutation(500)[: rng.integers(1, 60)]
        index.add(some_codes(rng, len(ids), 64, 500), ids)
    done.set()
    for thread in threads:
        thread.join()
    assert not failures


def test_searching_ready_codes_needs_neither_torch_nor_matplotlib() -> None:
    import subprocess
    import sys

    code = (
        "import sys, numpy as np, hashlens as hl\n"
        "codes = np.random.default_rng(0).integers(0, 256, (100, 8), np.uint8)\n"
        "hl.HammingIndex.build(codes).search(codes[:3])\n"
        "hl.evaluate(codes, np.arange(100) % 3, codes, np.arange(100) % 3)\n"
        "print(sorted({'torch', 'matplotlib', 'timm', 'lightning'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
