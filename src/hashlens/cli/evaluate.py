"""``hashlens evaluate``"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hashlens.cli.arguments import MODEL_HELP, EncodingDevice, Relations, Senses, depths, with_senses
from hashlens.cli.messages import log
from hashlens.cli.pages import this_command
from hashlens.cli.tables import print_comparison, print_facts, print_instances, print_metrics, print_table
from hashlens.cli.verbs import VERBS
from hashlens.errors import BadInput
from hashlens.progress import progress_bar


@VERBS.register("evaluate")
def evaluate(
    model: Annotated[str | None, typer.Argument(metavar="MODEL", help=MODEL_HELP, show_default=False)] = None,
    queries: Annotated[str | None, typer.Option(metavar="SOURCE", help="Images to search with.")] = None,
    database: Annotated[str | None, typer.Option(metavar="SOURCE", help="Images to search in.")] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="REPORT", help="Folder for the report.")
    ] = None,
    leave_one_out: Annotated[
        bool,
        typer.Option(
            "--leave-one-out",
            help="Instead of --queries: search with every image of the database, itself left out.",
        ),
    ] = False,
    ground_truth: Annotated[
        Path | None,
        typer.Option(
            "--ground-truth",
            metavar="FILE.json",
            help="Instance retrieval: easy, hard and junk lists of each query, laid out as revisited Oxford's.",
        ),
    ] = None,
    at: Annotated[
        str | None,
        typer.Option(
            help="Ranking depths, separated by commas; by default 10,100,1000,all, and 250 with a taxonomy.",
            show_default=False,
        ),
    ] = None,
    taxonomy: Relations = None,
    senses: Senses = None,
    distance: Annotated[
        str, typer.Option(help="hamming; or cosine, l1 or l2, by which continuous codes rank, not rounded to bits.")
    ] = "hamming",
    seed: Annotated[int, typer.Option(help="Of queries drawn for the page and for comparison, and of tests.")] = 0,
    device: EncodingDevice = None,
    against: Annotated[
        Path | None,
        typer.Option(
            metavar="REPORT",
            help="Another report of the same queries: tells which differences are more than chance; without MODEL, "
            "of the report that -o names.",
        ),
    ] = None,
    judgements: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Instead of all these: marks from the page of hashlens serve, as JSON or CSV."
        ),
    ] = None,
) -> None:
    """Measure how good a search is: figures as json and csv, plots, and one page with results to look at."""
    wanted = depths(at) if at else None
    if judgements is not None:
        _print_judged(judgements, wanted)
        return
    if against is not None and output is not None and model is None and database is None:
        _print_differences(output, against, seed)
        return
    if model is None or (queries is None) != leave_one_out or database is None or output is None:
        raise BadInput(
            "Give MODEL, --database, -o and either --queries or --leave-one-out; or --judgements FILE alone; or "
            "two reports, -o and --against."
        )
    if against is not None:
        from hashlens.metrics import Report

        Report.read(against)  # refuses what is none before images are read
    taxonomy = with_senses(taxonomy, senses)
    if ground_truth is not None:
        if queries is None or taxonomy is not None or distance != "hamming":
            raise BadInput("A ground truth goes with --queries, and without a taxonomy or a distance.")
        _evaluate_instances(model, queries, database, ground_truth, output, wanted, device)
        if against is not None:
            _print_differences(output, against, seed)
        return
    from hashlens.sources import open_source
    from hashlens.sources.reading import LISTED

    searched, asked = open_source(database), None if queries is None else open_source(queries)

    from hashlens.models import HashModel
    from hashlens.reports import write_report

    report = write_report(
        HashModel.load(model),
        queries=asked,
        database=searched,
        folder=output,
        at=wanted,
        device=device,
        taxonomy=taxonomy,
        distance=distance,
        seed=seed,
        command=this_command(),
        progress=progress_bar,
    )
    print_metrics(report)
    print_comparison(report)
    for note in report["notes"]:
        log.warning("%s", note)
    skipped = [*report["skipped"]["queries"], *report["skipped"]["database"]]
    for one in skipped[:LISTED]:
        log.info("  %s", one)
    if skipped[LISTED:]:
        log.info("  and %s more; all of them are listed in metrics.json", f"{len(skipped) - LISTED:,}")
    written = [str(output / name) for name in ("metrics.json", "report.html") if (output / name).is_file()]
    log.info("Wrote %s.", " and ".join(written))
    if against is not None:
        _print_differences(output, against, seed)


def _evaluate_instances(
    model: str,
    queries: str,
    database: str,
    ground_truth: Path,
    output: Path,
    at: list[int | None] | None,
    device: str | None,
) -> None:
    from hashlens.metrics.instance_retrieval import DEPTHS
    from hashlens.models import HashModel
    from hashlens.reports import write_instances

    given = [k for k in at or DEPTHS if k is not None]
    if at and len(given) < len(at):
        raise BadInput("Precision over all of a ranking tells nothing; leave 'all' out of the depths.")
    report = write_instances(
        HashModel.load(model),
        queries=queries,
        database=database,
        ground_truth=ground_truth,
        folder=output,
        at=given,
        device=device,
        progress=progress_bar,
    )
    print_instances(report)
    for note in report["notes"]:
        log.warning("%s", note)
    log.info("Wrote %s.", output / "metrics.json")


def _print_differences(output: Path, against: Path, seed: int) -> None:
    from hashlens.reports.differences import DIFFERENCES_FILE, difference_table, write_differences

    print_table(difference_table(write_differences(output, against, seed)), f"{output} less {against}")
    log.info("Wrote %s.", output / DIFFERENCES_FILE)


def _print_judged(path: Path, at: list[int | None] | None) -> None:
    from hashlens.metrics.judgements import DEPTHS, judged_precision, read_judgements

    found = read_judgements(path)
    print_facts(
        {
            "queries": f"{len({one.query for one in found}):,}",
            "judged": f"{len(found):,} results, {sum(one.right for one in found):,} of them right",
            **{
                name: "nothing judged" if value is None else f"{value:.4f}"
                for name, value in judged_precision(found, at or DEPTHS).items()
            },
        }
    )
