"""``hashlens search``"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from hashlens.cli.arguments import EncodingDevice
from hashlens.cli.tables import print_results
from hashlens.cli.verbs import VERBS
from hashlens.errors import BadInput


@VERBS.register("search")
def search(
    index: Annotated[Path, typer.Argument(metavar="INDEX", help="A folder written by hashlens index.")],
    images: Annotated[
        list[str], typer.Argument(metavar="IMAGE...", help="Images to search with, or whole sources.")
    ],
    k: Annotated[int, typer.Option("-k", help="Results for each image.")] = 10,
    labels: Annotated[
        list[str] | None,
        typer.Option("--label", metavar="CLASS", help="Find only images of this class (or these, if given again)."),
    ] = None,
    rescore: Annotated[
        bool,
        typer.Option(
            "--rescore/--no-rescore",
            help="Order the nearest by what codes lose when they are rounded, where the index keeps that, or by "
            "distance alone.",
        ),
    ] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
    device: EncodingDevice = None,
) -> None:
    """Find the images in an index that are most like the given ones."""
    from hashlens.catalogue import Catalogue
    from hashlens.sources import open_source
    from hashlens.sources.reading import tell_skipped

    sources = [open_source(image) for image in images]
    found = Catalogue.open(index).search_images(sources, k, labels or (), device, rescore)
    answers = [{"query": query, "results": [vars(hit) for hit in hits]} for query, hits in found.answers]
    if as_json:
        print(json.dumps(answers, indent=2, ensure_ascii=False))
    else:
        for answer in answers:
            print_results(answer)
    tell_skipped(found.skipped)
    if not answers:
        raise BadInput("None of the given images can be read.")
