"""Whether one written report is better than another, figure by figure."""

from __future__ import annotations

import csv
import os
from pathlib import Path

from hashlens.errors import BadInput
from hashlens.files import replacing
from hashlens.metrics import Report
from hashlens.metrics.report import QUERIES_FILE, Difference
from hashlens.metrics.tables import FigureTable

DIFFERENCES_FILE = "differences.csv"
COLUMNS = ("difference", "low", "high", "p, bootstrap", "p, permutation")


def write_differences(
    folder: str | os.PathLike[str], against: str | os.PathLike[str], seed: int = 0
) -> dict[str, Difference]:
    """Compare two reports that :func:`write_report` wrote, and write what was found beside the first.

    Args:
        folder: of the report; gets ``differences.csv``.
        against: the folder of another report of the same queries.
        seed: of what the tests draw.

    Returns:
        See :meth:`hashlens.metrics.Report.compare`.

    Raises:
        BadInput: one of them is no report or lacks the scores of queries, or they are of different queries.

    Example:
        >>> import tempfile, numpy as np, hashlens as hl
        >>> from hashlens.reports import write_report
        >>> x = np.random.default_rng(0).normal(size=(60, 8)).astype(np.float32)
        >>> source = hl.sources.FeatureArray("mine", x, np.arange(60) % 2)
        >>> sides = {"queries": source.select(range(20)), "database": source.select(range(20, 60))}
        >>> with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        ...     for bits, folder in ((8, one), (16, other)):
        ...         model = hl.fit(source, bits=bits, epochs=1, device="cpu")
        ...         _ = write_report(model, **sides, folder=folder)
        ...     found = write_differences(one, other)
        >>> found["mAP@all"].low <= found["mAP@all"].mean <= found["mAP@all"].high
        True
    """
    report, other = (Report.read(path) for path in (folder, against))
    for path, read in ((folder, report), (against, other)):
        if not read.per_query:
            raise BadInput(f"{Path(path)} has no {QUERIES_FILE}, so the scores of its queries are not known.")
    found = report.compare(other, seed)
    with replacing(Path(folder) / DIFFERENCES_FILE) as temporary, temporary.open("w", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["figure", "this", "other", *COLUMNS])
        for name, one in found.items():
            writer.writerow([name, report[name], other[name], *vars(one).values()])
    return found


def difference_table(found: dict[str, Difference]) -> FigureTable:
    """Differences for people: those of the usual figures, with 95 % intervals and both p-values.

    Example:
        >>> one = Difference(mean=0.02, low=0.01, high=0.03, p_value=0.001, permutation_p_value=0.002)
        >>> difference_table({"mAP@all": one, "mAP@all/best": one}).rows
        (('mAP@all', '+0.0200', '+0.0100 … +0.0300', '0.0010', '0.0020'),)
    """
    rows = [
        (name, f"{one.mean:+.4f}", f"{one.low:+.4f} … {one.high:+.4f}", f"{one.p_value:.4f}",
         f"{one.permutation_p_value:.4f}")
        for name, one in found.items()
        if not name.endswith(("/best", "/worst", "/R", "/min(k,R)"))
    ]  # fmt: skip
    return FigureTable(("figure", "difference", "95 % interval", *COLUMNS[3:]), tuple(rows), {})
