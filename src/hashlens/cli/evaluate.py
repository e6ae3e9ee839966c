"""``hashlens evaluate``"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hashlens.cli.arguments import EncodingDevice, ModelFolder, Relations
from hashlens.cli.messages import log
from hashlens.cli.tables import print_metrics
from hashlens.cli.verbs import VERBS
from hashlens.errors import BadInput
from hashlens.progress import progress_bar


@VERBS.register("evaluate")
def evaluate(
    model: ModelFolder,
    queries: Annotated[str, typer.Option(metavar="SOURCE", help="Labelled images to search with.")],
    database: Annotated[str, typer.Option(metavar="SOURCE", help="Labelled images to search in.")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="REPORT", help="Folder for the report.")],
    at: Annotated[
        str | None,
        typer.Option(
            help="Ranking depths, separated by commas; by default 100,1000,all, and 250 with a taxonomy.",
            show_default=False,
        ),
    ] = None,
    taxonomy: Relations = None,
    device: EncodingDevice = None,
) -> None:
    """Measure how good a search is: figures as json and csv, plots, and one page with results to look at."""
    from hashlens.sources import open_source

    depths = _depths(at) if at else None
    searched, asked = open_source(database), open_source(queries)

    from hashlens.models import HashModel
    from hashlens.reports import write_report

    report = write_report(
        HashModel.load(model),
        queries=asked,
        database=searched,
        folder=output,
        at=depths,
        device=device,
        taxonomy=taxonomy,
        progress=progress_bar,
    )
    print_metrics(report)
    for note in report["notes"]:
        log.warning("%s", note)
    for one in [*report["skipped"]["queries"], *report["skipped"]["database"]]:
        log.info("  %s", one)
    log.info(f"Wrote {output / 'metrics.json'} and {output / 'report.html'}.")


def _depths(text: str) -> list[int | None]:
    depths: list[int | None] = []
    for word in text.split(","):
        if word.strip() == "all":
            depths.append(None)
        elif word.strip().isdecimal() and int(word) > 0:
            depths.append(int(word))
        else:
            raise BadInput(f"'{word}' is not a ranking depth; use numbers from 1, or all, as in 100,1000,all.")
    return depths
