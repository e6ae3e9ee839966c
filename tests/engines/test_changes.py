"""Adding, removing, filtering, saving and opening, against a dictionary of codes that is searched by sorting."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import processes
from hashlens.codes import equal_codes, pack, unpack
from hashlens.engines import HammingIndex
from hashlens.engines.hamming import segments
from hashlens.errors import BadInput

KILLED_WRITER = """
import os, pathlib, signal, sys
import numpy as np
from hashlens.engines import HammingIndex
from hashlens.engines.hamming import segments
from hashlens import files

folder, step, codes = sys.argv[1], int(sys.argv[2]), np.load(sys.argv[3])
index = HammingIndex.open(folder)
index.remove([0, 5])
index.add(codes)
done = 0
replace, save = pathlib.Path.replace, np.save

def dying_replace(self, target):
    global done
    done += 1
    if done == step:
        os.kill(os.getpid(), signal.SIGKILL)
    return replace(self, target)

def half_saved(file, array):
    if done + 1 == -step:
        pathlib.Path(file).write_bytes(b"half")
        os.kill(os.getpid(), signal.SIGKILL)
    save(file, array)

pathlib.Path.replace = dying_replace
segments.np.save = half_saved
index.save(folder)
"""


def random_codes(count: int, bits: int, distinct_codes: int, seed: int = 0) -> NDArray[np.uint8]:
    rng = np.random.default_rng(seed)
    signs = rng.choice(np.array([-1, 1], np.int8), (max(1, min(distinct_codes, count)), bits))
    return pack(signs[rng.integers(len(signs), size=count)])


class Slow:
    """What an index should answer."""

    def __init__(self, bits: int) -> None:
        self.bits = bits
        self.codes: dict[int, NDArray[np.int8]] = {}
        self.next_id = 0

    def add(self, packed: NDArray[np.uint8]) -> list[int]:
        ids = list(range(self.next_id, self.next_id + len(packed)))
        self.codes |= zip(ids, unpack(packed, self.bits), strict=True)
        self.next_id += len(packed)
        return ids

    def ranked(self, query: NDArray[np.int8], allowed: set[int] | None = None) -> list[tuple[int, int]]:
        kept = self.codes.keys() if allowed is None else self.codes.keys() & allowed
        return sorted((int((self.codes[i] != query).sum()), i) for i in kept)


def pairs(distances: NDArray[np.int32], ids: NDArray[np.int64]) -> list[tuple[int, int]]:
    return list(zip(distances.tolist(), ids.tolist(), strict=True))


def check_same(index: HammingIndex, slow: Slow, queries: NDArray[np.uint8], k: int, radius: int, rng) -> None:
    assert len(index) == len(slow.codes)
    assert index.next_id == slow.next_id
    assert index.ids.tolist() == sorted(slow.codes)
    kept = index.codes()
    assert [unpack(code, slow.bits).tolist() for code in kept] == [
        slow.codes[i].tolist() for i in sorted(slow.codes)
    ]
    allow = rng.choice(max(1, slow.next_id), size=rng.integers(0, slow.next_id + 1)) if slow.next_id else []
    deny = rng.random(slow.next_id) < 0.3
    filters = [
        ({}, None),
        ({"allow": allow}, set(np.asarray(allow).tolist())),
        ({"deny": deny}, set(np.flatnonzero(~deny).tolist())),
        ({"allow": ~deny, "deny": allow}, set(np.flatnonzero(~deny).tolist()) - set(np.asarray(allow).tolist())),
    ]
    for given_filter, allowed in filters:
        distances, ids = index.search(queries, k, **given_filter)
        found_distances, found_ids = index.within(queries, radius, **given_filter)
        for row, query in enumerate(unpack(queries, slow.bits)):
            ranked = slow.ranked(query, allowed)
            assert pairs(distances[row], ids[row]) == ranked[:k]
            assert pairs(found_distances[row], found_ids[row]) == [one for one in ranked if one[0] <= radius]
        if not slow.codes:
            continue
        asked = rng.choice(sorted(slow.codes), size=3)
        distances, ids = index.search_ids(asked, k, **given_filter)
        findable = slow.codes.keys() if allowed is None else slow.codes.keys() & allowed
        width = min(k, min(len(findable - {int(i)}) for i in asked))
        for row, i in enumerate(asked.tolist()):
            others = [one for one in slow.ranked(slow.codes[i], allowed) if one[1] != i]
            assert pairs(distances[row], ids[row]) == others[:width]


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), bits=st.sampled_from([8, 13, 16, 64, 100, 256]), seed=st.integers(0, 2**32))
def test_any_order_of_changes(
    data: st.DataObject, bits: int, seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    rng = np.random.default_rng(seed)
    folder = tmp_path_factory.mktemp("index")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(equal_codes, "FEWEST", 4)
        index, slow = HammingIndex.build(np.zeros((0, -(-bits // 8)), np.uint8), bits), Slow(bits)
        for _ in range(data.draw(st.integers(1, 6))):
            match data.draw(st.sampled_from(["add", "remove", "save", "reopen"])):
                case "add":
                    count = data.draw(st.integers(0, 150))
                    codes = random_codes(count, bits, data.draw(st.sampled_from([1, 5, 1000])), seed)
                    assert index.add(codes).tolist() == slow.add(codes)
                case "remove" if slow.codes:
                    gone = rng.choice(sorted(slow.codes), size=rng.integers(1, len(slow.codes) + 1))
                    index.remove(gone)
                    slow.codes = {i: code for i, code in slow.codes.items() if i not in gone}
                case "save":
                    index.save(folder)
                case "reopen":
                    index.save(folder)
                    index = HammingIndex.open(folder)
            queries = random_codes(3, bits, 3, seed + 1)
            k, radius = data.draw(st.integers(1, 200)), data.draw(st.integers(0, bits))
            check_same(index, slow, queries, k, radius, rng)


def test_many_single_additions_make_few_segments() -> None:
    codes = random_codes(300, 64, 300)
    index = HammingIndex.build(codes[:0])
    for code in codes:
        index.add(code)
    assert len(index._segments) < 10
    np.testing.assert_array_equal(index.codes(), codes)


def test_iterators_and_memory_maps_are_built_piece_by_piece(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segments, "SEGMENT_BYTES", 8 * 1000)
    codes = random_codes(3500, 64, 10**6)
    np.save(tmp_path / "codes.npy", codes)
    mapped = np.load(tmp_path / "codes.npy", mmap_mode="r")
    batch = np.empty((300, 8), np.uint8)

    def reused_memory():
        for start in range(0, 3500, 300):
            part = codes[start : start + 300]
            batch[: len(part)] = part
            yield batch[: len(part)]

    whole = HammingIndex.build(codes)
    for number, given_codes in enumerate([mapped, reused_memory(), unpack(codes, 64), iter([codes])]):
        index = HammingIndex.build(given_codes, folder=tmp_path / str(number))
        assert [segment.count for segment in index._segments] == [1000, 1000, 1000, 500]
        for opened in (index, HammingIndex.open(tmp_path / str(number))):
            for ours, theirs in zip(opened.search(codes[:5], 20), whole.search(codes[:5], 20), strict=True):
                np.testing.assert_array_equal(ours, theirs)
    in_memory = HammingIndex.build(iter([codes[:10], codes[10:]]))
    np.testing.assert_array_equal(in_memory.codes(), codes)


def test_saving_again_writes_only_what_is_new(tmp_path: Path) -> None:
    codes = random_codes(5000, 64, 10**6)
    index = HammingIndex.build(codes)
    index.save(tmp_path / "index")
    before = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "index").glob("*.npy")}
    opened = HammingIndex.open(tmp_path / "index")
    opened.add(codes[:7])
    opened.remove([3])
    opened.save(tmp_path / "index")
    after = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "index").glob("*.npy")}
    assert before.items() <= after.items()
    assert len(after) == len(before) + 2
    np.testing.assert_array_equal(HammingIndex.open(tmp_path / "index").codes(), opened.codes())
    index.save(tmp_path / "other")
    np.testing.assert_array_equal(HammingIndex.open(tmp_path / "other").codes(), codes)


def test_files_that_are_no_longer_needed_go(tmp_path: Path) -> None:
    codes = random_codes(100, 64, 10**6)
    HammingIndex.build(codes).save(tmp_path / "index")
    opened = HammingIndex.open(tmp_path / "index")
    opened.add(codes)  # joins the first segment
    opened.save(tmp_path / "index")
    assert len(list((tmp_path / "index").iterdir())) == 2
    np.testing.assert_array_equal(opened.codes(np.arange(100, 200)), codes)


@pytest.mark.parametrize("step", [1, 2, 3, -1, -2], ids=lambda step: f"{'after' if step > 0 else 'in'} {abs(step)}")
def test_a_killed_append_leaves_the_old_index_whole(tmp_path: Path, step: int) -> None:
    old, new = random_codes(3000, 64, 300), random_codes(200, 64, 10**6, 1)
    folder = tmp_path / "index"
    HammingIndex.build(old, folder=folder)
    np.save(tmp_path / "new.npy", new)
    done = processes.run(KILLED_WRITER, folder, step, tmp_path / "new.npy")
    assert done.returncode == -signal.SIGKILL, done.stderr
    index = HammingIndex.open(folder)
    np.testing.assert_array_equal(index.codes(), old)
    index.remove([0, 5])
    index.add(new)
    index.save(folder)
    again = HammingIndex.open(folder)
    np.testing.assert_array_equal(again.codes(), np.concatenate([np.delete(old, [0, 5], 0), new]))
    named = {
        name
        for entry in json.loads((folder / "index.json").read_text())["segments"]
        for name in entry["files"].values()
    }
    assert {path.name for path in folder.iterdir()} == named | {"index.json"}


def test_a_killed_first_build_can_be_repeated(tmp_path: Path) -> None:
    (tmp_path / "codes-0123456789abcdef.npy").write_bytes(b"left behind")
    (tmp_path / ".codes-0123456789abcdef.npy.xyz.npy").write_bytes(b"left behind")
    codes = random_codes(70, 16, 9)
    HammingIndex.build(codes, folder=tmp_path)
    assert len(list(tmp_path.iterdir())) == 2
    np.testing.assert_array_equal(HammingIndex.open(tmp_path).codes(), codes)


def test_an_opened_index_outlives_its_replacement(tmp_path: Path) -> None:
    first, second = random_codes(500, 64, 10**6), random_codes(300, 64, 10**6, 1)
    HammingIndex.build(first).save(tmp_path)
    opened = HammingIndex.open(tmp_path)
    HammingIndex.build(second).save(tmp_path)
    np.testing.assert_array_equal(opened.codes(), first)
    np.testing.assert_array_equal(HammingIndex.open(tmp_path).codes(), second)


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        pytest.param(lambda folder: (folder / "index.json").unlink(), "no index", id="no manifest"),
        pytest.param(lambda folder: (folder / "index.json").write_text("{"), "damaged", id="half a manifest"),
        pytest.param(lambda folder: (folder / "index.json").write_text("[]"), "not the manifest", id="a list"),
        pytest.param(lambda folder: edit(folder, version=99), "version 99", id="later version"),
        pytest.param(lambda folder: edit(folder, format="other"), "not the manifest", id="other format"),
        pytest.param(lambda folder: edit(folder, segments=[{}]), "damaged", id="empty segment"),
        pytest.param(lambda folder: edit(folder, segments=7), "damaged", id="no segments"),
        pytest.param(lambda folder: edit(folder, bits=32), "damaged", id="other bits"),
        pytest.param(lambda folder: codes_file(folder).unlink(), "missing", id="missing codes"),
        pytest.param(lambda folder: codes_file(folder).write_bytes(b""), "damaged", id="empty codes"),
        pytest.param(lambda folder: os.truncate(codes_file(folder), 4000), "damaged", id="cut codes"),
        pytest.param(lambda folder: np.save(codes_file(folder), np.zeros(3)), "damaged", id="other array"),
        pytest.param(
            lambda folder: np.save(codes_file(folder), np.array([{}], object), allow_pickle=True),
            "damaged",
            id="pickled",
        ),
    ],
)
def test_damaged_folders_are_refused_in_a_sentence(tmp_path: Path, damage, says: str) -> None:
    HammingIndex.build(random_codes(1000, 64, 10**6)).save(tmp_path)
    damage(tmp_path)
    with pytest.raises(BadInput, match=says) as error:
        HammingIndex.open(tmp_path)
    assert str(error.value).endswith(".")


def codes_file(folder: Path) -> Path:
    (path,) = folder.glob("codes-*.npy")
    return path


def edit(folder: Path, **changes) -> None:
    manifest = json.loads((folder / "index.json").read_text())
    (folder / "index.json").write_text(json.dumps(manifest | changes))


def test_other_folders_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    for refused, says in ((tmp_path, "not an index"), (tmp_path / "letter.txt", "is a file")):
        with pytest.raises(BadInput, match=says):
            HammingIndex.build(random_codes(10, 64, 10)).save(refused)
        with pytest.raises(BadInput, match=says):
            HammingIndex.build(random_codes(10, 64, 10), folder=refused)
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


@pytest.mark.parametrize(
    ("ask", "says"),
    [
        pytest.param(lambda index: index.remove([5, 100]), "id 100", id="remove an unknown id"),
        pytest.param(lambda index: index.remove([5, 3]), "id 3", id="remove twice"),
        pytest.param(lambda index: index.remove([-1]), "id -1", id="negative id"),
        pytest.param(lambda index: index.codes([3]), "id 3", id="removed code"),
        pytest.param(lambda index: index.search_ids([3]), "id 3", id="search by a removed id"),
        pytest.param(lambda index: index.search_ids([100]), "id 100", id="search by an unknown id"),
        pytest.param(lambda index: index.search_ids([0], 0), "k is 0", id="k of 0"),
        pytest.param(lambda index: index.codes([0.5]), "whole numbers", id="fractions"),
        pytest.param(lambda index: index.codes([[0, 1]]), "whole numbers", id="a table of ids"),
        pytest.param(lambda index: index.search(np.ones((1, 64)), allow=[100]), "0 … 99", id="allow outside"),
        pytest.param(lambda index: index.search(np.ones((1, 64)), deny=[-1]), "0 … 99", id="deny outside"),
        pytest.param(
            lambda index: index.within(np.ones((1, 64)), 3, allow=np.ones(99, bool)), r"\(100,\)", id="short"
        ),
        pytest.param(lambda index: index.add(np.ones((2, 32))), "32 bits.* 64", id="add other codes"),
        pytest.param(
            lambda index: HammingIndex.build(iter([np.ones((2, 32)), np.ones((2, 64))])), "one length|columns",
            id="lengths change",
        ),
        pytest.param(lambda index: HammingIndex.build(iter([])), "no codes", id="no arrays"),
    ],
)  # fmt: skip
def test_wrong_requests_are_refused_and_change_nothing(ask, says: str) -> None:
    index = HammingIndex.build(random_codes(100, 64, 100))
    index.remove([3])
    with pytest.raises(BadInput, match=says) as error:
        ask(index)
    assert str(error.value).endswith(".")
    assert len(index) == 99
    assert 5 in index.ids


def test_padding_bits_do_not_count() -> None:
    codes = random_codes(200, 13, 10**6)
    dirty = codes | np.array([0, 7], np.uint8)
    index = HammingIndex.build(dirty, 13)
    for ours, theirs in zip(index.search(dirty, 5), HammingIndex.build(codes, 13).search(codes, 5), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_filters_that_leave_nothing() -> None:
    index = HammingIndex.build(random_codes(100, 64, 100))
    for nothing in ({"allow": []}, {"allow": np.zeros(100, bool)}, {"deny": np.arange(100)}):
        distances, ids = index.search(np.ones((2, 64)), 5, **nothing)
        assert distances.shape == ids.shape == (2, 0)
        assert [len(row) for row in index.within(np.ones((2, 64)), 64, **nothing)[1]] == [0, 0]
    index.remove(index.ids)
    assert len(index) == 0
    assert index.search(np.ones((2, 64)))[1].shape == (2, 0)
    assert index.add(random_codes(2, 64, 2)).tolist() == [100, 101]
