"""The figures of a report as files for programs."""

from __future__ import annotations

from pathlib import Path

from hashlens.files import replacing, write_json
from hashlens.metrics import Report
from hashlens.metrics.report import METRICS_FILE, QUERIES_FILE
from hashlens.outputs import check_folder, object_in

FIGURES_FILE = "metrics.csv"


def check_report_folder(folder: Path) -> None:
    """Refuse a folder for a report that holds something else; an earlier report is replaced.

    Raises:
        BadInput: it is a file, or holds something and no report.

    Example:
        >>> check_report_folder(Path("a/new/folder"))
    """
    check_folder(folder, "a report", _holds_report)


def _holds_report(folder: Path) -> bool:
    return {"model", "sources", "notes"} <= set(object_in(folder / METRICS_FILE))  # in reports of every kind


def write_figures(report: Report, folder: Path) -> None:
    """Write all that a report tells as json, its figures as csv, and those of every query as csv."""
    write_json(folder / METRICS_FILE, report)
    for file, per_query in ((FIGURES_FILE, False), (QUERIES_FILE, True)):
        with replacing(folder / file) as temporary:
            temporary.write_text(report.to_csv(per_query), encoding="utf-8")
