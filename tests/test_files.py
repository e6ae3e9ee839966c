"""Arrays that others wrote are read without trusting them."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashlens.errors import BadInput
from hashlens.files import as_shown, claimed, read_array, remove_abandoned, replacing, temporary_names
from refusals import is_one_sentence


def npy(array: Any, **options: Any) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, **options)
    return buffer.getvalue()


def header(text: str) -> bytes:
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode("latin1")


def claiming(shape: str, descr: str = "<f8") -> bytes:
    return header(f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}}}\n") + bytes(64)


@pytest.mark.parametrize(
    "array",
    [np.eye(3), np.arange(5, dtype=">i2"), np.zeros((0, 4)), np.float16(2), np.array([True]), np.eye(4, 3).T],
    ids=str,
)
def test_arrays_of_numbers_are_read_as_they_were(tmp_path: Path, array: np.ndarray) -> None:
    (tmp_path / "a.npy").write_bytes(npy(array))
    found = read_array(tmp_path / "a.npy", "numbers")
    np.testing.assert_array_equal(found, array)
    assert found.dtype == np.asarray(array).dtype
    assert found.flags.writeable and not isinstance(found, np.memmap)


class Trap:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.mark),)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"some words",
        b"\x93NUMPY",
        npy(np.eye(3))[:-1],
        npy(np.eye(3))[:40],
        claiming("(1000000000000,)"),
        claiming("(4294967296, 4294967296)"),
        claiming("(99999999999999999999,)"),
        claiming("(-8,)"),
        claiming("(2, 4)", "nonsense"),
        claiming("(8,)", "|O"),
        header("{" * 3000),
        header("{'descr': __import__('os').mkdir('mark')}"),
        header("{'shape': (1,)}"),
        header("7"),
        npy(np.array(["words"])),
        npy(np.array([b"words"])),
        npy(np.array([1j])),
        npy(np.array([(1, 2.0)], "i4,f8")),
        npy(np.array(["2026-01-01"], "M8[D]")),
    ],
    ids=range(20),
)
def test_what_is_no_array_of_numbers_is_refused_in_a_sentence(
    tmp_path: Path, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.npy").write_bytes(content)
    with pytest.raises(BadInput, match=r"a\.npy is not a \.npy file of a codebook") as refusal:
        read_array("a.npy", "a codebook")
    assert is_one_sentence(refusal)
    assert list(tmp_path.iterdir()) == [tmp_path / "a.npy"]


@pytest.mark.parametrize("kind", ["pickle", "objects", "archive", "folder", "pipe", "nothing"])
def test_other_files_are_refused_and_run_nothing(tmp_path: Path, kind: str) -> None:
    path, mark = tmp_path / "a.npy", tmp_path / "mark"
    if kind == "pickle":
        path.write_bytes(np.array([Trap(mark)], object).dumps())
    elif kind == "objects":
        path.write_bytes(npy(np.array([Trap(mark)], object), allow_pickle=True))
    elif kind == "archive":
        with path.open("wb") as file:
            np.savez(file, x=np.eye(2))
    elif kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    with pytest.raises(BadInput) as refusal:
        read_array(path, "numbers")
    assert is_one_sentence(refusal)
    assert not mark.exists()


@given(st.data())
def test_a_damaged_file_is_read_or_refused_and_nothing_else(tmp_path_factory: Any, data: st.DataObject) -> None:
    content = bytearray(npy(np.arange(12.0).reshape(3, 4)))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "damaged.npy"
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    with suppress(BadInput):
        assert read_array(path, "numbers").nbytes <= len(content)


KILLED = """
import os, signal, sys
from hashlens.files import replacing
with replacing(sys.argv[1]) as temporary:
    temporary.write_text("half")
    if sys.argv[2] == "wait":
        print("there", flush=True)
        sys.stdin.read()
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_process_left_is_removed_by_the_next_and_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "a[1].txt"
    command = [sys.executable, "-c", KILLED, str(file)]
    subprocess.run([*command, "now"])
    with subprocess.Popen([*command, "wait"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as alive:
        assert alive.stdout is not None
        alive.stdout.readline()
        others = [".a[1].txt.mine", ".a[1].txt.k3_x9abc.csv", ".a1.txt.k3_x9abc.txt"]
        for name in others:
            (tmp_path / name).touch()
        assert len(list(tmp_path.iterdir())) == 4  # what the first left is gone already
        with replacing(file) as temporary:
            temporary.write_text("whole")
        names = {path.name for path in tmp_path.iterdir()}
        assert len(names) == 5 and {file.name, *others} < names  # with that of the process that is alive
    with replacing(file) as temporary:
        temporary.write_text("again")
    assert {path.name for path in tmp_path.iterdir()} == {file.name, *others}


def test_many_who_replace_one_file_at_once_do_not_disturb_each_other(tmp_path: Path) -> None:
    def write(number: int) -> None:
        for _ in range(20):
            with replacing(tmp_path / "a.txt") as temporary:
                temporary.write_text(str(number) * 100)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(8)))
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]
    assert len(set((tmp_path / "a.txt").read_text())) == 1


def test_a_folder_that_is_claimed_stays_until_it_is_let_go(tmp_path: Path) -> None:
    def make() -> Path:
        (tmp_path / "made").mkdir()
        (tmp_path / "made" / "file").touch()
        return tmp_path / "made"

    names = re.compile("made")
    with claimed(make):
        remove_abandoned(tmp_path, names)
        assert (tmp_path / "made").exists()
    remove_abandoned(tmp_path, names)
    assert not (tmp_path / "made").exists()
    remove_abandoned(tmp_path / "nowhere", names)


def test_a_link_is_not_followed_to_what_it_names(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / ".a.txt.k3_x9abc.txt").symlink_to(tmp_path / "mine")
    remove_abandoned(tmp_path, temporary_names("a.txt", ".txt"))
    assert (tmp_path / "mine").is_dir()


@pytest.mark.parametrize("text", ["\ud800", "a\udfffb", "\udce9", "\U0001f408", "\ud83d\udc08"])
def test_half_characters_can_be_shown(text: str) -> None:
    as_shown(text).encode()


def test_a_refusal_names_the_file_that_was_given(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    with pytest.raises(IsADirectoryError) as refused, replacing(tmp_path / "photos"):
        pass
    assert refused.value.filename == str(tmp_path / "photos")
    with pytest.raises(FileNotFoundError) as refused, replacing(tmp_path / "nowhere" / "a.txt"):
        pass
    assert refused.value.filename == str(tmp_path / "nowhere" / "a.txt")
