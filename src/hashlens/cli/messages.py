"""Messages and warnings as plain sentences on standard error."""

from __future__ import annotations

import logging
import os
import sys
import warnings

log = logging.getLogger("hashlens")


class _PlainHandler(logging.Handler):
    """Messages as they are, to wherever standard error points now (a progress bar redirects it)."""

    def emit(self, record: logging.LogRecord) -> None:
        before = "warning: " if record.levelno >= logging.WARNING else ""
        print(before + self.format(record), file=sys.stderr)


def speak_plainly() -> None:
    """Show our messages and warnings; of several training processes, only the first's."""
    first = os.environ.get("LOCAL_RANK", "0") == "0"
    log.setLevel(logging.INFO if first else logging.ERROR)
    log.handlers = [_PlainHandler()]
    log.propagate = False
    warnings.showwarning = lambda message, *_args, **_kwargs: log.warning("%s", message)
