"""``hashlens merge``"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hashlens.cli.messages import log
from hashlens.cli.verbs import VERBS
from hashlens.counting import counted
from hashlens.progress import progress_bar


@VERBS.register("merge")
def merge(
    parts: Annotated[
        list[Path],
        typer.Argument(metavar="PART...", help="Folders written by hashlens index, mostly with --part."),
    ],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="INDEX", help="Folder of the new index.")],
) -> None:
    """Make one index of several that one model made, as of the parts of a source."""
    from hashlens.catalogue import merge

    merged = merge(parts, output, progress_bar)
    unread = len(merged.skipped())
    log.info(
        f"{output}: {counted(len(merged), 'image', 'images')} of {counted(len(parts), 'index', 'indexes')}"
        + (f"; {counted(unread, 'image', 'images')} could not be read, which hashlens info tells" if unread else "")
        + "."
    )
