"""The figures of a report as files for programs."""

from __future__ import annotations

from pathlib import Path

from hashlens.files import replacing, write_json
from hashlens.metrics import Report
from hashlens.metrics.report import METRICS_FILE, QUERIES_FILE

FIGURES_FILE = "metrics.csv"


def write_figures(report: Report, folder: Path) -> None:
    """Write all that a report tells as json, its figures as csv, and those of every query as csv."""
    write_json(folder / METRICS_FILE, report)
    for file, per_query in ((FIGURES_FILE, False), (QUERIES_FILE, True)):
        with replacing(folder / file) as temporary:
            temporary.write_text(report.to_csv(per_query), encoding="utf-8")
