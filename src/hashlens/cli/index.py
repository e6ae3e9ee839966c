"""``hashlens index``"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hashlens.cli.arguments import EncodingDevice, ModelFolder, SourceName, Split
from hashlens.cli.messages import log
from hashlens.cli.verbs import VERBS
from hashlens.progress import progress_bar


@VERBS.register("index")
def index(
    model: ModelFolder,
    source: SourceName,
    output: Annotated[Path, typer.Option("-o", "--output", metavar="INDEX", help="Folder of the index.")],
    split: Split = None,
    adapt: Annotated[
        bool, typer.Option("--adapt", help="First fit the model's batch norm to these images (a new index only).")
    ] = False,
    engine: Annotated[
        str,
        typer.Option(
            metavar="ADDRESS", help="Engine that holds the codes of a new index; by default ours, in its folder."
        ),
    ] = "",
    details: Annotated[
        bool,
        typer.Option(
            "--details/--no-details",
            help="Keep, in a new index, a byte for each bit, by which searches order what codes cannot tell apart.",
        ),
    ] = True,
    device: EncodingDevice = None,
) -> None:
    """Encode every image of a source into an index.

    Run it again to add new images, drop deleted ones and encode changed ones again.
    """
    from hashlens.sources import open_source
    from hashlens.sources.reading import tell_skipped

    images = open_source(source, split)

    from hashlens.catalogue import Catalogue
    from hashlens.models import HashModel

    catalogue = Catalogue.create(output, HashModel.load(model), images if adapt else None, device, engine, details)
    changes = catalogue.update(images, device, progress_bar)
    log.info(
        f"{output}: {changes.added:,} added, {changes.changed:,} changed, {changes.removed:,} removed, "
        f"{changes.unchanged:,} unchanged; {len(catalogue):,} images in all."
    )
    tell_skipped(changes.skipped)
