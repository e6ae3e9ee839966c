"""Pages that a command makes, and how it was called."""

from __future__ import annotations

import shlex
import sys
import tempfile
import webbrowser
from pathlib import Path

from hashlens.cli.messages import log
from hashlens.outputs import check_file, contains

MARK = b'<meta name="generator" content="HashLens">'  # which all our pages have


def this_command() -> str:
    """The command line as it was typed."""
    return shlex.join(["hashlens", *sys.argv[1:]])


def new_page(name: str) -> Path:
    """A file for a page that nobody gave a place."""
    return Path(tempfile.mkdtemp(prefix="hashlens-"), name)


def check_page(path: Path | None) -> None:
    """Refuse what a page must not be written to; another page of ours may be replaced.

    Raises:
        BadInput: it has another ending than a page, or is there and no page of ours.
    """
    if path is not None:
        check_file(path, (".html", ".htm"), "A page", lambda there: contains(there, MARK))


def open_page(path: Path) -> None:
    """Show a page in the browser; where there is none, say where the page is."""
    if not webbrowser.open(path.absolute().as_uri()):
        log.warning("There is no browser here to open %s with.", path)
