"""Programs of tests in processes of their own, which can be killed: forked from one that has loaded everything."""

from __future__ import annotations

import multiprocessing
import os
import sys
import tempfile
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from subprocess import CompletedProcess

_FROM = multiprocessing.get_context("forkserver")
_FROM.set_forkserver_preload(["hashlens.catalogue", "hashlens.cli", "hashlens.models", "hashlens.training"])


def start(program: str, *words: object) -> Callable[[], CompletedProcess[str]]:
    """Run a program, as ``python -c`` would, without waiting for Python and PyTorch to be loaded.

    Args:
        program: its source.
        words: what it finds in ``sys.argv[1:]``.

    Returns:
        What waits for its end, and gives its exit status, negative for a signal, and what it wrote.
    """
    out, err = (Path(tempfile.mkstemp(prefix="hashlens-test-")[1]) for _ in range(2))
    process = _FROM.Process(
        target=_be, args=(program, [str(word) for word in words], str(out), str(err), str(Path.cwd()))
    )
    process.start()

    def wait() -> CompletedProcess[str]:
        process.join()
        said = [path.read_text(encoding="utf-8", errors="replace") for path in (out, err)]
        for path in (out, err):
            path.unlink()
        return CompletedProcess([program, *words], process.exitcode or 0, *said)

    return wait


def run(program: str, *words: object) -> CompletedProcess[str]:
    """:func:`start` a program and wait for its end."""
    return start(program, *words)()


def hashlens(*words: object) -> CompletedProcess[str]:
    """The command ``hashlens`` as a user types it."""
    return run("from hashlens.cli import main\nmain()", *words)


def _be(program: str, words: list[str], out: str, err: str, folder: str) -> None:
    for stream, path in ((1, out), (2, err)):
        os.dup2(os.open(path, os.O_WRONLY), stream)
    os.chdir(folder)
    sys.argv = ["-c", *words]
    status = 1
    try:
        exec(compile(program, "program", "exec"), {"__name__": "__main__"})
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    except BaseException:
        traceback.print_exc()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):
            stream.flush()
    os._exit(status)
