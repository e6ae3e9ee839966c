"""``hashlens index``"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hashlens.cli.arguments import MODEL_HELP, EncodingDevice, Split
from hashlens.cli.messages import log
from hashlens.cli.verbs import VERBS
from hashlens.counting import counted
from hashlens.errors import BadInput
from hashlens.progress import progress_bar


@VERBS.register("index")
def index(
    model: Annotated[str | None, typer.Argument(metavar="MODEL", help=MODEL_HELP, show_default=False)] = None,
    source: Annotated[
        str | None,
        typer.Argument(metavar="SOURCE", help="Images, as hashlens fit takes them.", show_default=False),
    ] = None,
    *,
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
    part: Annotated[
        str | None,
        typer.Option(metavar="I/N", help="Index the Ith of N parts only, to be joined by hashlens merge."),
    ] = None,
    ray: Annotated[
        str | None,
        typer.Option(
            metavar="[ADDRESS]",
            help="Encode on a Ray cluster: this one, a running one, or all cores of this machine.",
        ),
    ] = None,
    remove: Annotated[
        str | None, typer.Option(metavar="SOURCE", help="Instead: take out all images of a source.")
    ] = None,
    prune: Annotated[bool, typer.Option("--prune", help="Instead: take out images whose files are gone.")] = False,
    device: EncodingDevice = None,
) -> None:
    """Encode every image of a source into an index.

    Run it again to add new images, drop deleted ones and encode changed ones again; files that were moved keep
    their codes.
    """
    if remove is not None or prune:
        if model is not None or source is not None:
            raise BadInput("--remove and --prune need no MODEL and no SOURCE before them, only -o INDEX.")
        _take_out(output, remove, prune)
        return
    if model is None or source is None:
        raise BadInput("Give MODEL, SOURCE and -o INDEX; or --remove SOURCE or --prune, and -o INDEX.")
    if part is not None and adapt:
        raise BadInput("--adapt needs all images, and a part has some of them; leave it or --part out.")
    from hashlens.catalogue import Catalogue, Part
    from hashlens.sources import open_source
    from hashlens.sources.reading import tell_skipped

    chosen = None if part is None else Part.read(part)
    images = open_source(source, split)

    from hashlens.models import HashModel

    catalogue = Catalogue.create(output, HashModel.load(model), images if adapt else None, device, engine, details)
    changes = catalogue.update(images, device, progress_bar, chosen, ray)
    log.info(
        f"{output}: {changes.added:,} added, {changes.changed:,} changed, {changes.removed:,} removed, "
        + (f"{changes.moved:,} moved, " if changes.moved else "")
        + f"{changes.unchanged:,} unchanged; {counted(len(catalogue), 'image', 'images')} in all."
    )
    tell_skipped(changes.skipped)


def _take_out(index: Path, source: str | None, prune: bool) -> None:
    from hashlens.catalogue import Catalogue

    catalogue = Catalogue.open(index)
    if source is not None:
        log.info(f"{index}: {counted(catalogue.remove(source), 'image', 'images')} of {source} removed.")
    if prune:
        gone = counted(catalogue.prune(), "image whose file is", "images whose files are")
        log.info(f"{index}: {gone} gone removed.")
    log.info(f"{counted(len(catalogue), 'image', 'images')} in all.")
