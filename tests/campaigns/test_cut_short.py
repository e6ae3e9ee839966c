"""Deeds that are killed, or whose disk is full, at any of their writes: the old state or the new, and then on."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from campaign import is_long, seconds, seed

HERE = Path(__file__).parent
SHORT = 6.0  # seconds
SHORT_DEEDS = ("save codes:kill", "first index:full", "index again:kill", "copy:kill")
DEEDS = (
    "build codes", "save codes", "first index", "index again", "index a part", "merge", "part of Ray",
    "save a model", "fine-tune", "copy",
)  # fmt: skip
LONG_DEEDS = tuple(f"{deed}:{kind}" for deed in DEEDS for kind in ("kill", "full"))
COMPILER = shutil.which("cc") or shutil.which("gcc")


@pytest.fixture(scope="module")
def failing_disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if COMPILER is None or not sys.platform.startswith("linux"):
        pytest.skip("a disk that fails is compiled, with cc, for Linux")
    library = tmp_path_factory.mktemp("disk") / "failing_disk.so"
    subprocess.run(
        [COMPILER, "-shared", "-fPIC", "-O1", "-o", library, HERE / "failing_disk.c", "-ldl"], check=True
    )
    return library


@pytest.mark.campaign
def test_a_deed_cut_short_leaves_the_old_or_the_new_and_can_be_done_again(
    failing_disk: Path, tmp_path: Path
) -> None:
    memory = Path("/dev/shm")
    where = memory / f"hashlens-deeds-{os.getpid()}" if os.access(memory, os.W_OK) else tmp_path / "deeds"
    deeds = LONG_DEEDS if is_long() else SHORT_DEEDS
    command = [sys.executable, HERE / "deeds.py", where, seed(), seconds(SHORT) / len(deeds), *deeds]
    environment = {**os.environ, "LD_PRELOAD": str(failing_disk)}
    try:
        done = subprocess.run(list(map(str, command)), env=environment, capture_output=True, text=True)
    finally:
        shutil.rmtree(where, ignore_errors=True)
    faults = [line for line in done.stdout.splitlines() if line.startswith("fault")]
    ends = [line.split(" ", 3) for line in done.stdout.splitlines() if line.startswith("end")]
    for (_, tried, writes, _), deed in zip(ends, deeds, strict=False):
        print(f"{deed}: cut short at {tried} of {writes} writes")
    print(f"cut short {sum(int(tried) for _, tried, _, _ in ends)} times, seed {seed()}, {len(faults)} faults")
    assert done.returncode == 0 and len(ends) == len(deeds), done.stderr[-3000:]
    assert not faults, "\n".join(faults)
    assert all(int(writes) >= 10 for _, _, writes, _ in ends)
