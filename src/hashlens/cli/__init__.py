"""The command line: a file for each verb, which parses, calls one public function and prints."""

from __future__ import annotations

import sys
from importlib.metadata import version
from itertools import pairwise
from typing import Annotated

import typer

# A verb adds itself when its file is imported.
from hashlens.cli import (  # noqa: F401
    cache,
    centres,
    compare,
    copy,
    demo,
    duplicates,
    evaluate,
    export,
    fit,
    index,
    info,
    merge,
    push,
    search,
    serve,
    split,
    taxonomy,
)
from hashlens.cli.messages import say, speak_plainly
from hashlens.cli.verbs import VERBS
from hashlens.errors import BadInput
from hashlens.plugins import load_plugins

register = VERBS.register

ORDER = ("demo", "fit", "index", "search", "serve", "evaluate")  # in the help; then the others
FOR_ALL = ("--quiet", "--verbose")
MAY_STAND_ALONE = ("--ray",)  # options whose value may be left out; then it is empty


def application() -> typer.Typer:
    """The command line with all verbs that are registered."""
    app = typer.Typer(
        help="Learn compact binary codes for images, search them exactly, and measure how good they are.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode="rich",
    )
    app.callback()(_for_all)
    for name in dict.fromkeys((*ORDER, *VERBS)):
        app.command(name)(VERBS[name])
    return app


def _for_all(
    _version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", help="Only results and warnings: no other messages, no progress.")
    ] = False,
    verbose: Annotated[bool, typer.Option("--verbose", help="More messages, with the time.")] = False,
) -> None:
    if quiet and verbose:
        raise BadInput("--quiet and --verbose do not go together; leave one of them out.")
    speak_plainly(quiet, verbose)


def _arguments(words: list[str]) -> list[str]:
    """The words of a command, those that every command knows in front, and every option with a value."""
    end = words.index("--") if "--" in words else len(words)
    first = [word for word in words[:end] if word in FOR_ALL]
    rest = [word for word in words[:end] if word not in FOR_ALL]
    followed = pairwise([*rest, "--"])
    rest = [f"{word}=" if word in MAY_STAND_ALONE and then.startswith("-") else word for word, then in followed]
    return [*first, *rest, *words[end:]]


def main() -> None:
    """Run the command line; bad input, or a refusal of the system, ends it with one sentence and exit status 2."""
    speak_plainly()
    try:
        words = sys.argv[1:]
        if words[:1] == ["--version"]:
            print(f"hashlens {version('hashlens')}")
            sys.exit()
        load_plugins()
        application()(_arguments(words))
    except BadInput as error:
        say(f"hashlens: {error}")
    except OSError as error:  # a full disk, a folder without permission, a name that is too long
        if error.strerror is None:
            raise
        where = f"{str(error.filename)[:200]}: " if error.filename else ""
        say(f"hashlens: {where}{error.strerror}.")
    else:
        return
    sys.exit(2)
