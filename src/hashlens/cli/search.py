"""``hashlens search``"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hashlens.cli.arguments import EncodingDevice
from hashlens.cli.messages import log
from hashlens.cli.pages import check_page, new_page, open_page, this_command
from hashlens.cli.tables import print_json, print_results
from hashlens.cli.verbs import VERBS
from hashlens.errors import BadInput
from hashlens.tokens import own_token

if TYPE_CHECKING:
    from hashlens.catalogue import Ties

SCHEMES = ("http://", "https://")  # of services


@VERBS.register("search")
def search(
    index: Annotated[
        str,
        typer.Argument(
            metavar="INDEX",
            help="A folder written by hashlens index, a table of hashlens copy, or the address of hashlens serve, "
            "such as http://127.0.0.1:8000.",
        ),
    ],
    images: Annotated[
        list[str], typer.Argument(metavar="IMAGE...", help="Images to search with, or whole sources.")
    ],
    model: Annotated[
        str | None,
        typer.Option(metavar="MODEL", help="What encodes the images, to search in a table, such as INDEX/model."),
    ] = None,
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
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a page with the pictures, which needs no other file.")
    ] = None,
    show: Annotated[bool, typer.Option("--open", help="Open that page in the browser.")] = False,
    token_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="File with the token of a service; else HASHLENS_TOKEN, if it is set."),
    ] = None,
    device: EncodingDevice = None,
) -> None:
    """Find the images in an index that are most like the given ones."""
    if k < 1:
        raise BadInput(f"-k is {k}; ask for at least one result.")
    served = index.startswith(SCHEMES)
    if served and (model is not None or device is not None):
        raise BadInput("A service encodes images by its own model, where it runs; leave --model and --device out.")
    if not served and token_file is not None:
        raise BadInput(
            "--token-file is for services; leave it out, or search an address like http://127.0.0.1:8000."
        )
    if (served or model is not None) and (html is not None or show):
        kind = "service" if served else "table"
        raise BadInput(f"A {kind} does not tell whether pictures have changed; leave --html and --open out.")
    check_page(html)
    from hashlens.catalogue import Catalogue, search_service, search_table
    from hashlens.engines import opened_table
    from hashlens.sources import open_source
    from hashlens.sources.reading import tell_skipped

    sources = [open_source(image) for image in images]
    catalogue = None
    if served:
        found = search_service(index, sources, k, labels or (), rescore, own_token(token_file))
    elif model is None:
        catalogue = Catalogue.open(index)
        found = catalogue.search_images(sources, k, labels or (), device, rescore)
    else:
        from hashlens.models import HashModel  # and with it PyTorch, which known images need not

        found = search_table(opened_table(index), HashModel.load(model), sources, k, labels or (), device)
    all_ties: Sequence[Ties | None] = found.ties or [None] * len(found.answers)
    answers = [
        {"query": query, "results": [vars(hit) for hit in hits], "at_largest_distance": ties and ties.images}
        for (query, hits), ties in zip(found.answers, all_ties, strict=True)
    ]
    if as_json:
        print_json(answers)
    else:
        for answer, (_, hits), ties in zip(answers, found.answers, all_ties, strict=True):
            print_results(answer, here=not served)
            distances = [hit.distance for hit in hits]
            if distances != sorted(distances):
                print("Near distances are put in order by what rounding lost; --no-rescore goes by distance alone.")
            if ties and ties.sentence:
                print(ties.sentence)
    tell_skipped(found.skipped)
    if not answers:
        raise BadInput("None of the given images can be read.")
    if catalogue is not None and (html is not None or show):
        from hashlens.reports.results import write_results

        page = html or new_page("results.html")
        write_results(page, catalogue, found, this_command())
        log.info("Wrote %s.", page)
        if show:
            open_page(page)
