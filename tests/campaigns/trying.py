"""One case after the other in a process of its own, so that a crash, a hang or lost memory is found.

    python trying.py WHOLE WORK SEED FIRST SECONDS [READER …]

writes a line before and, where something is wrong, after each case to standard output.
"""

from __future__ import annotations

import gc
import hashlib
import logging
import resource
import shutil
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import readers
from campaign import say, told
from damage import Files, damaged
from readers import READERS, REFUSALS, Reader, is_sentence

from hashlens.errors import BadInput

SLOWEST = 20.0  # seconds of one case
ROOM = 6 << 30  # bytes of address space beyond what is in use at the start


def contents(folder: Path) -> Files:
    return {
        str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }


def put(files: Files, folder: Path) -> None:
    """Make a folder hold these files and nothing else."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def case(reader: Reader, whole: Files, seed: int, number: int) -> tuple[Files, str, str]:
    """The damaged files of a case, which one is damaged, and how."""
    files, changed, how = damaged(whole, np.random.default_rng([seed, number]))
    if reader.alone:
        files = {name: content for name, content in files.items() if name == changed}
    return files, changed, how


def understood(reader: Reader, folder: Path) -> str:
    """What a reader makes of files, in short."""
    return hashlib.sha256(repr(reader.read(folder)).encode(errors="surrogatepass")).hexdigest()


def fault_of(reader: Reader, folder: Path, changed: str, answer: str) -> str:
    """What is wrong with how a reader takes damaged files, in words; empty where nothing is.

    Args:
        changed: the file that is damaged.
        answer: what :func:`understood` gives for whole files.
    """
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    before = memory_from_here()
    try:
        found = understood(reader, folder)
    except REFUSALS as error:
        if isinstance(error, BadInput):
            try:
                is_sentence(str(error))
            except AssertionError as wrong:
                return str(wrong)
    except BaseException as error:
        return told(error)
    else:
        if found != answer and reader.guards(changed):
            return f"another answer in silence from a damaged {changed}"
    taken = most_memory() - before
    if taken > 2 * size + reader.spare:
        return f"{taken >> 20} MiB of memory for files of {size} bytes"
    return ""


def _status(name: str) -> int:
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(name):
            return int(line.split()[1]) << 10
    raise AssertionError(name)


def memory_from_here() -> int:
    """Bytes in use; from here on the most is measured."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    return _status("VmRSS")


def most_memory() -> int:
    return _status("VmHWM")


def main(whole_folder: str, work_folder: str, seed: str, first: str, seconds: str, *names: str) -> None:
    logging.disable()
    warnings.simplefilter("ignore")
    chosen = names or tuple(READERS)
    work = Path(work_folder)
    wholes, answers = {}, {}
    for name in chosen:
        wholes[name] = contents(Path(whole_folder, name))
        put(wholes[name], work / name)
        answers[name] = understood(READERS[name], work / name)
        put(wholes[name], work / name)
        assert understood(READERS[name], work / name) == answers[name], name
    limit = _status("VmSize") + ROOM
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    gc.freeze()
    say("ready")
    end = time.monotonic() + float(seconds)
    number = int(first)
    while time.monotonic() < end:
        name = chosen[number % len(chosen)]
        files, changed, how = case(READERS[name], wholes[name], int(seed), number)
        put(files, work / name)
        say("start", number, name)
        fault = fault_of(READERS[name], work / name, changed, answers[name])
        if fault:
            say("fault", number, name, f"{changed} {how}: {fault}")
        number += 1
    say("end", number)


if __name__ == "__main__":
    readers.torch.set_num_threads(1)
    main(*sys.argv[1:])
