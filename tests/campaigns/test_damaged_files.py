"""Damaged files: refused in a sentence, or understood as whole ones are; no traceback, crash, hang or waste."""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from campaign import seconds, seed
from damage import CHANGES, damaged
from readers import READERS
from trying import SLOWEST, case, contents, fault_of, put, understood

HERE = Path(__file__).parent
CASES = HERE / "cases"
SHORT = 12.0  # seconds
KEPT = 5  # failing cases of each reader that are saved


@pytest.fixture(scope="session")
def room(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where cases are written; in memory where that can be, since a disk takes most of the time."""
    memory = Path("/dev/shm")
    base = tmp_path_factory.mktemp("damaged")
    if not os.access(memory, os.W_OK):
        return base
    folder = memory / f"hashlens-{os.getpid()}"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def whole(room: Path) -> Path:
    for name, reader in READERS.items():
        folder = room / "whole" / name
        folder.mkdir(parents=True)
        reader.make(folder)
    return room / "whole"


def attempt(
    whole: Path, work: Path, first: int, for_seconds: float
) -> tuple[int, list[tuple[int, str, str]], Counter[str]]:
    """Run cases in a worker.

    Returns:
        The number of the next case; number, reader and fault of those that failed; how many each reader had.
    """
    command = [sys.executable, str(HERE / "trying.py"), whole, work, seed(), first, for_seconds]
    faults, tried = [], Counter[str]()
    with subprocess.Popen(map(str, command), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as worker:
        assert worker.stdout is not None and worker.stderr is not None
        try:
            buffer, last, number, ready = b"", time.monotonic(), first, False
            while True:
                patience = SLOWEST if ready else 300
                if not select.select([worker.stdout], [], [], max(0.0, last + patience - time.monotonic()))[0]:
                    name = list(READERS)[number % len(READERS)]
                    faults.append((number, name, f"takes over {patience} seconds"))
                    return number + 1, faults, tried
                more = os.read(worker.stdout.fileno(), 1 << 16)
                if not more:
                    worker.wait()
                    assert ready, worker.stderr.read().decode()
                    name = list(READERS)[number % len(READERS)]
                    faults.append((number, name, f"ended the interpreter with {worker.returncode}"))
                    return number + 1, faults, tried
                last = time.monotonic()
                *lines, buffer = (buffer + more).split(b"\n")
                for line in lines:
                    word, *rest = line.decode(errors="replace").split(" ", 3)
                    if word == "ready":
                        ready = True
                    elif word == "end":
                        return int(rest[0]), faults, tried
                    elif word == "start":
                        number = int(rest[0])
                        tried[rest[1]] += 1
                    else:
                        faults.append((int(rest[0]), rest[1], rest[2]))
        finally:
            worker.send_signal(signal.SIGKILL)


def save(whole: Path, number: int, name: str, fault: str) -> Path:
    """Keep a failing case, to be read by the test below from then on."""
    files, changed, how = case(READERS[name], contents(whole / name), seed(), number)
    folder = CASES / f"{name}-{seed()}-{number}"
    put(files, folder / "files")
    answer = understood(READERS[name], whole / name)
    about = {"reader": name, "changed": changed, "how": how, "fault": fault, "answer": answer}
    (folder / "case.json").write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
    return folder


@pytest.mark.campaign
def test_damaged_files_are_refused_in_a_sentence(room: Path, whole: Path) -> None:
    end = time.monotonic() + seconds(SHORT)
    number, faults, tried = 0, [], Counter[str]()
    while (left := end - time.monotonic()) > 0:
        number, failed, here = attempt(whole, room / "work", number, left)
        faults += failed
        tried += here
    print(f"damaged files: {tried.total():,} cases, seed {seed()}, {len(faults)} faults; {dict(tried)}")
    kept = Counter[str]()
    for which, name, fault in faults:
        kept[name] += 1
        if kept[name] <= KEPT:
            print(f"fault: {fault}\n  saved as {save(whole, which, name, fault)}")
    shutil.rmtree(room / "work", ignore_errors=True)
    assert not faults
    assert min(tried[name] for name in READERS) >= 10


@pytest.mark.parametrize("folder", sorted(CASES.glob("*/")), ids=lambda folder: folder.name)
def test_what_failed_once_does_not_again(folder: Path, tmp_path: Path) -> None:
    about = json.loads((folder / "case.json").read_text(encoding="utf-8"))
    shutil.copytree(folder / "files", tmp_path / "files")
    reader = READERS[about["reader"]]
    assert fault_of(reader, tmp_path / "files", about["changed"], about["answer"]) == ""


def test_every_kind_of_damage_changes_something() -> None:
    """Else a campaign would find nothing, however long it ran."""
    files = {"a.csv": b"path,label\n" + b"cat.png,7\n" * 30, "b.bin": np.random.default_rng(0).bytes(500)}
    for change in CHANGES:
        assert any(
            change(content, files["b.bin"], np.random.default_rng(number)) != content
            for content in files.values()
            for number in range(5)
        ), change
    different = [damaged(files, np.random.default_rng(number))[0] != files for number in range(300)]
    assert sum(different) > 270
