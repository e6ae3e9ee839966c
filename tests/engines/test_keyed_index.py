"""The index by keys, against a dictionary of codes that is searched by sorting."""

from __future__ import annotations

import json
import pathlib
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

import hashlens as hl
from hashlens.engines.hamming import keys as keys_of_index
from hashlens.errors import BadInput
from refusals import is_one_sentence

ODD_KEYS = ["", " ", "a\0", "a\0\0", "é", "e\u0301", "🥾", "\u202e", "\n", "x" * 10_000, "a/b\\c", "７"]
KEYS = st.one_of(st.sampled_from(ODD_KEYS), st.text("ab", max_size=2), st.text(st.characters(codec="utf-8")))


class Machine(RuleBasedStateMachine):
    """Any order of changes; the dictionary keeps the order of adding as the index has to."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="hashlens-keyed-"))
        self.index = hl.KeyedIndex(8)
        self.expected: dict[str, int] = {}

    def teardown(self) -> None:
        shutil.rmtree(self.folder)

    @rule(added=st.dictionaries(KEYS, st.integers(0, 255), max_size=12))
    def add(self, added: dict[str, int]) -> None:
        self.index.add(np.array(list(added.values()), np.uint8).reshape(-1, 1), list(added))
        self.expected |= added

    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        gone = data.draw(
            st.lists(st.sampled_from(sorted(self.expected)), unique=True) if self.expected else st.just([])
        )
        self.index.remove(gone)
        for key in gone:
            del self.expected[key]

    @rule(key=KEYS)
    def remove_one_that_may_be_missing(self, key: str) -> None:
        if key not in self.expected:
            with pytest.raises(BadInput, match="no code with the key"):
                self.index.remove([*self.expected, key])

    @rule(reopened=st.booleans(), elsewhere=st.booleans())
    def save(self, reopened: bool, elsewhere: bool) -> None:
        folder = self.folder / ("other" if elsewhere else "index")
        self.index.save(folder)
        self.index = hl.KeyedIndex.open(folder) if reopened else self.index

    @rule(
        query=st.integers(0, 255),
        k=st.integers(1, 30),
        allow=st.none() | st.lists(KEYS),
        deny=st.none() | st.lists(KEYS),
    )
    def search(self, query: int, k: int, allow: list[str] | None, deny: list[str] | None) -> None:
        ranked = sorted(
            ((query ^ code).bit_count(), place, key)
            for place, (key, code) in enumerate(self.expected.items())
            if (allow is None or key in allow) and (deny is None or key not in deny)
        )
        code = np.array([[query]], np.uint8)
        distances, keys = self.index.search(code, k, allow, deny)
        assert distances.dtype == np.int32
        assert list(zip(distances[0].tolist(), keys[0], strict=True)) == [(d, key) for d, _, key in ranked[:k]]
        (distances,), (keys,) = self.index.within(code, 3, allow, deny)
        assert list(zip(distances.tolist(), keys, strict=True)) == [(d, key) for d, _, key in ranked if d <= 3]

    @rule(key=KEYS, k=st.integers(1, 30))
    def search_a_key(self, key: str, k: int) -> None:
        if key in self.expected:
            code = np.array([self.expected[key]], np.uint8)
            others = [one for one in self.index.search(code, len(self.expected))[1][0] if one != key]
            assert list(self.index.search_keys(key, k)[1][0]) == others[:k]

    @invariant()
    def holds_what_the_dictionary_holds(self) -> None:
        assert len(self.index) == len(self.expected)
        assert self.index.keys == list(self.expected)
        assert self.index.codes().ravel().tolist() == list(self.expected.values())
        asked = [*ODD_KEYS, *self.expected]
        assert self.index.contains(asked).tolist() == [key in self.expected for key in asked]
        for key in asked[:3]:
            assert (key in self.index) == (key in self.expected)


TestAnyOrderOfChanges = Machine.TestCase
TestAnyOrderOfChanges.settings = settings(max_examples=30, stateful_step_count=25, deadline=None)


def test_equal_hashes_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys_of_index.xxhash, "xxh3_64_intdigest", lambda text: len(text) % 3)
    index = hl.KeyedIndex(8)
    keys = [str(number) for number in range(40)]
    for number in range(0, 40, 4):
        index.add(np.arange(number, number + 4, dtype=np.uint8)[:, None], keys[number : number + 4])
    index.remove(keys[::3])
    assert [key in index for key in keys] == [number % 3 != 0 for number in range(40)]
    assert index.codes(["38", "1"]).tolist() == [[38], [1]]


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        (["a", "a"], "'a' is given to two codes"),
        (["a"], "2 codes, but 1 keys"),
        ("a", "2 codes, but 1 keys"),
        ([1, 2], "1 is int"),
        ([None, "a"], "None is NoneType"),
        ([b"a", b"b"], "is bytes"),
        (["a", "photo\udce9.jpg"], "surrogate"),
    ],
)
def test_bad_keys_are_refused_in_a_sentence(keys, says: str) -> None:
    index = hl.KeyedIndex(8)
    with pytest.raises(BadInput, match=says) as error:
        index.add(np.zeros((2, 1), np.uint8), keys)
    assert is_one_sentence(error)
    assert len(index) == 0 and index.keys == []


def test_codes_that_are_refused_leave_no_keys() -> None:
    index = hl.KeyedIndex(16)
    with pytest.raises(BadInput, match="8 bits"):
        index.add(np.zeros((1, 1), np.uint8), "a")
    index.add(np.zeros((1, 2), np.uint8), "a")
    assert index.keys == ["a"]


def test_a_data_frame_gives_keys_and_many_small_additions_make_few_runs() -> None:
    import pandas as pd

    frame = pd.DataFrame({"path": [f"{number}.jpg" for number in range(300)]})
    codes = np.random.default_rng(0).integers(0, 256, (300, 8), np.uint8)
    index = hl.KeyedIndex(64)
    for number in range(300):
        index.add(codes[number], frame["path"][number])
    assert len(index._runs) < 10
    again = hl.KeyedIndex(64)
    again.add(codes, frame["path"])
    assert again.keys == index.keys == frame["path"].tolist()
    distances, keys = index.search(codes[7:9], k=1)
    assert distances.tolist() == [[0], [0]] and keys.tolist() == [["7.jpg"], ["8.jpg"]]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keyed") / "index"
    index = hl.KeyedIndex(64)
    index.add(np.random.default_rng(0).integers(0, 256, (50, 8), np.uint8), [f"{n} é.jpg" for n in range(50)])
    index.remove("3 é.jpg")
    index.save(folder)
    return folder


@pytest.mark.parametrize("seed", range(24))
def test_one_changed_byte_anywhere_is_noticed(saved: Path, tmp_path: Path, seed: int) -> None:
    folder = tmp_path / "index"
    shutil.copytree(saved, folder)
    rng = np.random.default_rng(seed)
    files = sorted((path for path in folder.rglob("*") if path.is_file()), key=lambda path: path.name.split("-")[0])
    path = files[seed % len(files)]
    content = bytearray(path.read_bytes())
    content[int(rng.integers(len(content)))] ^= int(rng.integers(1, 256))
    path.write_bytes(content)
    with pytest.raises(BadInput) as error:
        hl.KeyedIndex.open(folder)
    assert is_one_sentence(error)


def test_missing_files_and_parts_of_another_index_are_noticed(saved: Path, tmp_path: Path) -> None:
    for number, path in enumerate(sorted(one for one in saved.rglob("*") if one.is_file())):
        folder = tmp_path / str(number)
        shutil.copytree(saved, folder)
        (folder / path.relative_to(saved)).unlink()
        with pytest.raises(BadInput) as error:
            hl.KeyedIndex.open(folder)
        assert is_one_sentence(error)
    folder = tmp_path / "longer"
    shutil.copytree(saved, folder)
    codes = folder / json.loads((folder / "keyed-index.json").read_text())["codes"]
    longer = hl.HammingIndex.open(codes)
    longer.add(np.zeros((1, 8), np.uint8))
    longer.flush()
    with pytest.raises(BadInput, match="51 codes, but 50 keys"):
        hl.KeyedIndex.open(folder)


def test_what_is_not_ours_is_not_touched(saved: Path, tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(BadInput, match="not a keyed index"):
        hl.KeyedIndex(8).save(tmp_path)
    with pytest.raises(BadInput, match="is a file"):
        hl.KeyedIndex(8).save(tmp_path / "letter.txt")
    with pytest.raises(BadInput, match="no index"):
        hl.KeyedIndex.open(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


class Killed(BaseException):
    """What stands for the end of a process: nothing of ours catches it."""


@pytest.mark.parametrize("over", ["the same index", "another index"])
def test_a_save_that_is_cut_short_leaves_the_old_or_the_new(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, over: str
) -> None:
    replace, outcomes = pathlib.Path.replace, []
    for step in range(1, 40):
        folder = tmp_path / str(step)
        shutil.copytree(saved, folder)
        index = hl.KeyedIndex.open(folder) if over == "the same index" else hl.KeyedIndex(64)
        before = hl.KeyedIndex.open(folder).keys
        index.add(np.ones((60, 8), np.uint8), [f"new {number}" for number in range(60)])
        done = 0

        def dying(self: Path, target: Path, step: int = step) -> Path:
            nonlocal done
            done += 1
            if done == step:
                raise Killed
            return replace(self, target)

        monkeypatch.setattr(pathlib.Path, "replace", dying)
        try:
            index.save(folder)
        except Killed:
            monkeypatch.setattr(pathlib.Path, "replace", replace)
            found = hl.KeyedIndex.open(folder)
            outcomes.append(found.keys == before)
            assert found.keys in (before, index.keys)
            found.add(np.zeros((1, 8), np.uint8), "new 7")  # a key that was written, and whose code was not
            found.save(folder)
            assert hl.KeyedIndex.open(folder).keys[-1] == ("new 7" if outcomes[-1] else "new 59")
        else:
            break
    assert len(outcomes) >= 5 and any(outcomes)
    runs = json.loads((folder / "keyed-index.json").read_text())["runs"]
    assert len(list(folder.iterdir())) == 2 + 4 * len(runs)  # nothing is left of what was there before
