"""``hashlens duplicates``"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hashlens.cli.messages import log
from hashlens.cli.pages import check_page, this_command
from hashlens.cli.tables import print_groups, print_json
from hashlens.cli.verbs import VERBS
from hashlens.counting import counted
from hashlens.progress import progress_bar


@VERBS.register("duplicates")
def duplicates(
    index: Annotated[Path, typer.Argument(metavar="INDEX", help="A folder written by hashlens index.")],
    radius: Annotated[
        int | None,
        typer.Option(
            help="Bits in which two images may differ; by default a sixteenth of them.", show_default=False
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a page with the pictures, which needs no other file.")
    ] = None,
) -> None:
    """Find groups of images that show the same; deletes nothing."""
    check_page(html)
    from hashlens.catalogue import Catalogue, find_duplicates

    catalogue = Catalogue.open(index)
    found = find_duplicates(catalogue, radius, progress_bar)
    groups = [
        [{"id": one.id, "path": one.path, "labels": one.labels, "bytes": one.fingerprint[0]} for one in group]
        for group in found.groups
    ]
    if as_json:
        print_json(groups)
    else:
        print_groups(groups)
    if found.unreadable:
        log.warning(
            "%s gone or damaged and could not be compared", counted(found.unreadable, "image is", "images are")
        )
    log.info(
        "%s of %s, within %s.",
        counted(len(groups), "group", "groups"),
        counted(sum(map(len, groups)), "image", "images"),
        counted(found.radius, "bit", "bits"),
    )
    if html is not None:
        from hashlens.reports.duplicates import write_duplicates

        write_duplicates(html, catalogue, found, this_command())
        log.info("Wrote %s.", html)
