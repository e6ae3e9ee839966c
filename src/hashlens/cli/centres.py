"""``hashlens centres``"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hashlens.cli.arguments import Senses, with_senses
from hashlens.cli.messages import log
from hashlens.cli.tables import print_facts
from hashlens.cli.verbs import VERBS
from hashlens.outputs import check_file


@VERBS.register("centres")
def centres(
    bits: Annotated[int, typer.Option(help="Code length, 8 to 1024.")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="H.npy", help="File for the codebook.")],
    classes: Annotated[
        int | None, typer.Option(help="Number of classes, where nothing else given says it.")
    ] = None,
    source: Annotated[
        str | None, typer.Option(metavar="SOURCE", help="Images whose classes, in their order, get the centres.")
    ] = None,
    generator: Annotated[
        str | None,
        typer.Option(
            help="bernoulli, hadamard, maximum-distance, semantic, or those of papers: csq, mds, shc; by default "
            "semantic with a similarity or taxonomy, else maximum-distance."
        ),
    ] = None,
    similarity: Annotated[
        Path | None, typer.Option(help="A .npy or .csv file of a (C, C) class similarity that centres follow.")
    ] = None,
    taxonomy: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|wordnet|folders",
            help="A taxonomy that centres follow: a file, whose leaves are the classes unless there is a source, "
            "or what relates the classes of the source.",
        ),
    ] = None,
    senses: Senses = None,
    min_distance: Annotated[int | None, typer.Option(help="The least distance of two semantic centres.")] = None,
    seed: int = 0,
) -> None:
    """Make hash centres for classes, save them with a picture, and show how good they are."""
    check_file(output, (".npy",), "A codebook")
    check_file(output.with_suffix(".png"), (".png",), "Its picture")
    from hashlens.reports.codebooks import write_codebook

    facts, files = write_codebook(
        output,
        bits,
        classes=classes,
        source=source,
        generator=generator,
        similarity=similarity,
        taxonomy=with_senses(taxonomy, senses),
        min_distance=min_distance,
        seed=seed,
    )
    if facts:
        print_facts(facts)
    log.info("Wrote %s and %s.", *files)
