"""``hashlens split``"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hashlens.cli.messages import log
from hashlens.cli.verbs import VERBS


@VERBS.register("split")
def split(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A folder of class folders.")],
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="LIST.csv", help="The list; by default FOLDER.csv here."),
    ] = None,
    test: Annotated[float, typer.Option(help="Share of the images of each class to set aside.")] = 0.2,
    seed: int = 0,
) -> None:
    """Set some images aside to judge by: writes a list and moves nothing."""
    from hashlens.sources.splitting import write_split

    table = output or Path(f"{folder.absolute().name}.csv")
    counts = write_split(folder, table, test, seed)
    log.info(
        f"Wrote {table}: {counts['train']:,} images to train on and {counts['test']:,} to judge by.\n"
        f"  hashlens fit {table}:train -o model\n"
        f"  hashlens evaluate model --database {table}:train --queries {table}:test -o report"
    )
