"""How long work says how far it is: silently, unless whoever calls asks for a bar."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

log = logging.getLogger("hashlens")


class Advance(Protocol):
    """Takes the number of steps that were done, and a word on how it goes.

    Example:
        >>> class Counter:
        ...     done = 0
        ...
        ...     def __call__(self, steps=1, note=""):
        ...         self.done += steps
        >>> counter: Advance = Counter()
        >>> counter(2, note="so far so good")
        >>> counter.done
        2
    """

    def __call__(self, steps: int = 1, note: str = "") -> None: ...


Progress = Callable[[str, int], AbstractContextManager[Advance]]
"""From a description and the number of steps to a context that yields :class:`Advance`."""


@contextmanager
def silence(description: str, total: int) -> Iterator[Advance]:
    """Progress that nobody asked for.

    Example:
        >>> with silence("Counting", total=3) as advance:
        ...     advance(3)
    """
    yield lambda steps=1, note="": None


@contextmanager
def progress_bar(description: str, total: int) -> Iterator[Advance]:
    """Progress as a bar on standard error; nothing where that is a file or a pipe, or messages are not shown.

    Example:
        >>> with progress_bar("Counting", total=3) as advance:
        ...     for number in range(3):
        ...         advance(1, note=f"at {number}")
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    console = Console(stderr=True)
    quiet = log.level > logging.INFO
    with Progress(*columns, console=console, transient=True, disable=quiet or not sys.stderr.isatty()) as progress:
        task = progress.add_task(description, total=total, note="")

        def advance(steps: int = 1, note: str = "") -> None:
            progress.update(task, advance=steps)
            if note:
                progress.update(task, note=note)

        yield advance
