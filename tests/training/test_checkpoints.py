"""Checkpoints: written whole or not at all, compared before they are believed, and removed with nothing else."""

from __future__ import annotations

import random
import resource
from pathlib import Path
from typing import Any

import pytest
import torch

from hashlens.errors import BadInput
from hashlens.training import discard_checkpoints
from hashlens.training.checkpoints import FILE, Checkpoint
from refusals import is_one_sentence

IDENTITY = {"seed": 1, "settings": {"epochs": 3, "hidden_layers": [8, 4]}}


def state(epoch: int = 2) -> dict[str, Any]:
    return {
        "model": {"weight": torch.arange(2000.0) + epoch},
        "record": {"history": [{"epoch": epoch, "loss": 0.5}]},
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    Checkpoint(tmp_path / "deep" / "folder", IDENTITY).write(state())
    return tmp_path / "deep" / "folder"


def test_what_is_read_is_what_was_written(folder: Path) -> None:
    found = Checkpoint(folder, dict(reversed(IDENTITY.items()))).read()
    assert found is not None
    assert found["record"] == state()["record"]
    torch.testing.assert_close(found["model"]["weight"], state()["model"]["weight"], rtol=0, atol=0)


def test_nothing_is_read_where_nothing_was_written(tmp_path: Path) -> None:
    assert Checkpoint(tmp_path / "new", IDENTITY).read() is None
    assert not (tmp_path / "new").exists()


def test_another_training_is_refused(folder: Path) -> None:
    with pytest.raises(BadInput, match="other settings") as error:
        Checkpoint(folder, IDENTITY | {"seed": 2}).read()
    assert str(folder) in str(error.value)
    assert is_one_sentence(error)


def test_a_crash_while_writing_leaves_what_was_there(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def half(_: Any, path: Path) -> None:
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(torch, "save", half)
    with pytest.raises(KeyboardInterrupt):
        Checkpoint(folder, IDENTITY).write(state(3))
    monkeypatch.undo()
    found = Checkpoint(folder, IDENTITY).read()
    assert found is not None
    assert found["record"] == state(2)["record"]
    assert [path.name for path in folder.iterdir()] == [FILE]


def damaged(whole: bytes, seed: int) -> bytes:
    chance = random.Random(seed)
    kind, place = seed % 4, chance.randrange(len(whole))
    if kind == 0:
        return whole[:place]
    if kind == 1:
        return whole[:place] + bytes(chance.randrange(256) for _ in range(50))
    if kind == 2:
        return b""
    changed = bytearray(whole)
    changed[place : place + 40] = bytes(chance.randrange(256) for _ in range(40))
    return bytes(changed)


@pytest.mark.parametrize("seed", range(60))
def test_a_damaged_checkpoint_is_refused_or_right(folder: Path, seed: int) -> None:
    path = folder / FILE
    path.write_bytes(damaged(path.read_bytes(), seed))
    try:
        found = Checkpoint(folder, IDENTITY).read()
    except BadInput as error:
        assert str(path) in str(error)
        assert "delete it" in str(error)
    else:  # padding between what counts may be changed without loss
        assert found is not None
        assert found["record"] == state()["record"]
        torch.testing.assert_close(found["model"]["weight"], state()["model"]["weight"], rtol=0, atol=0)


def test_a_disk_that_takes_no_more_is_told(folder: Path) -> None:
    before, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, most))
    try:
        with pytest.raises(BadInput, match="the disk may be full") as error:
            Checkpoint(folder, IDENTITY).write({"weights": torch.zeros(100_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (before, most))
    assert is_one_sentence(error)
    found = Checkpoint(folder, IDENTITY).read()
    assert found is not None and found["record"] == state()["record"]


@pytest.mark.parametrize("content", [{"epoch": 3}, {"format": "hashlens-checkpoint", "version": 99}, [1, 2]])
def test_a_file_of_another_kind_is_refused(tmp_path: Path, content: Any) -> None:
    torch.save(content, tmp_path / FILE)
    with pytest.raises(BadInput, match="delete it") as error:
        Checkpoint(tmp_path, IDENTITY).read()
    assert is_one_sentence(error)


def test_only_what_is_ours_is_discarded(folder: Path) -> None:
    ours = [f"similarity-{'0a' * 8}.npy", f".{FILE}.x7.ckpt", f".similarity-{'0a' * 8}.npy.x7.npy"]
    theirs = ["similarity-mine.npy", "best.ckpt", ".similarity", "last.ckpt.backup"]
    for name in (*ours, *theirs):
        (folder / name).touch()
    discard_checkpoints(folder)
    assert sorted(path.name for path in folder.iterdir()) == sorted(theirs)
    for name in theirs:
        (folder / name).unlink()
    discard_checkpoints(folder)
    assert not folder.exists()
    discard_checkpoints(folder)
