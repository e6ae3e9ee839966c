"""The command line: a file for each verb, which parses, calls one public function and prints."""

from __future__ import annotations

import sys

import typer

# A verb adds itself when its file is imported.
from hashlens.cli import centres, demo, evaluate, export, fit, index, info, search, serve, split, taxonomy  # noqa: F401
from hashlens.cli.messages import speak_plainly
from hashlens.cli.verbs import VERBS
from hashlens.errors import BadInput
from hashlens.plugins import load_plugins

register = VERBS.register

ORDER = ("demo", "fit", "index", "search", "serve", "evaluate")  # in the help; then the others


def application() -> typer.Typer:
    """The command line with all verbs that are registered."""
    app = typer.Typer(
        help="Learn compact binary codes for images, search them exactly, and measure how good they are.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode="rich",
    )
    for name in dict.fromkeys((*ORDER, *VERBS)):
        app.command(name)(VERBS[name])
    return app


def main() -> None:
    """Run the command line; bad input, or a refusal of the system, ends it with one sentence and exit status 2."""
    speak_plainly()
    try:
        load_plugins()
        application()()
    except BadInput as error:
        print(f"hashlens: {error}", file=sys.stderr)
    except OSError as error:  # a full disk, a folder without permission, a name that is too long
        if error.strerror is None:
            raise
        where = f"{str(error.filename)[:200]}: " if error.filename else ""
        print(f"hashlens: {where}{error.strerror}.", file=sys.stderr)
    else:
        return
    sys.exit(2)
