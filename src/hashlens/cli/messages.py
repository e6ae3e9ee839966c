"""Messages and warnings as plain sentences on standard error."""

from __future__ import annotations

import logging
import sys
import warnings
from datetime import datetime

from hashlens.compute.processes import is_first_process
from hashlens.files import as_shown

log = logging.getLogger("hashlens")


def say(text: str) -> None:
    """A text on standard error, if that is open."""
    if sys.stderr is not None:
        print(as_shown(text), file=sys.stderr)


class _PlainHandler(logging.Handler):
    """Messages as they are, to wherever standard error points now (a progress bar redirects it)."""

    def __init__(self, timed: bool) -> None:
        super().__init__()
        self._timed = timed

    def emit(self, record: logging.LogRecord) -> None:
        before = "warning: " if record.levelno >= logging.WARNING else ""
        if self._timed:
            before = f"{datetime.fromtimestamp(record.created):%H:%M:%S} " + before
        say(before + self.format(record))


def speak_plainly(quiet: bool = False, verbose: bool = False) -> None:
    """Show our messages and warnings; of several training processes, only the first's.

    Args:
        quiet: only warnings.
        verbose: also what is of interest when something goes wrong, and the time of each message.
    """
    level = logging.WARNING if quiet else logging.DEBUG if verbose else logging.INFO
    log.setLevel(level if is_first_process() else logging.ERROR)
    log.handlers = [_PlainHandler(verbose)]
    log.propagate = False
    warnings.showwarning = lambda message, *_args, **_kwargs: log.warning("%s", message)
