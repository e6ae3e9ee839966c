"""``hashlens copy``"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hashlens.cli.messages import log
from hashlens.cli.verbs import VERBS
from hashlens.progress import progress_bar


@VERBS.register("copy")
def copy(
    index: Annotated[Path, typer.Argument(metavar="INDEX", help="A folder written by hashlens index.")],
    table: Annotated[
        str,
        typer.Argument(
            metavar="TABLE",
            help="Where to: codes.parquet, codes.npy, postgresql://…?table=T, milvus://host/T, lancedb://folder/T.",
        ),
    ],
) -> None:
    """Copy codes, paths and labels to where other programs read them; run again to bring that up to date."""
    from hashlens import engines
    from hashlens.catalogue import Catalogue, copy_to

    catalogue = Catalogue.open(index)
    done = copy_to(catalogue, engines.opened_table(table, catalogue.bits), progress=progress_bar)
    log.info(
        "%s: %s added, %s changed, %s removed, %s unchanged.",
        table, f"{done.added:,}", f"{done.changed:,}", f"{done.removed:,}", f"{done.unchanged:,}",
    )  # fmt: skip
    if done.sample:
        print(f"recall@10 of {done.sample} images, against exact search: {done.recall:.4f}")
