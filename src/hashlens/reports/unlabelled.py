"""Evaluate a model on images without labels: by what the features of its backbone find."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hashlens.backbones import extract_features
from hashlens.compute.devices import encoding_device
from hashlens.metrics import Report, code_statistics, neighbour_recall
from hashlens.models import Encoded, HashModel
from hashlens.progress import Progress
from hashlens.reports.files import write_figures
from hashlens.sources import Source

DEPTHS = (10, 100)
NOTE = (
    "Neither queries nor database have labels, so codes are judged by how much of what the features find they find "
    "too; whether that is what a person would call alike, labels or judgements would tell."
)


def write_neighbours(
    model: HashModel,
    queries: tuple[Source, Encoded],
    database: tuple[Source, Encoded],
    folder: Path,
    at: Sequence[int | None] | None,
    device: str | None,
    progress: Progress | None,
) -> Report:
    """Figures of :func:`hashlens.metrics.neighbour_recall`, written to a folder; see :func:`write_report`."""

    def features_of(source: Source, encoded: Encoded) -> NDArray[np.float32]:
        if encoded.features is not None:
            return encoded.features
        chosen = source.select(encoded.items)
        extracted = extract_features(chosen, model.backbone, encoding_device(device), not model.finetuned, progress)
        return extracted.values[:, : model.network.last_dimension]

    depths = [len(database[1].items) if k is None else k for k in at or DEPTHS]
    found = neighbour_recall(
        features_of(*queries), features_of(*database), queries[1].codes, database[1].codes, depths, model.bits
    )
    content = {
        **found,
        "codes": code_statistics(database[1].codes, model.bits),
        "skipped": {
            "queries": [str(one) for one in queries[1].skipped],
            "database": [str(one) for one in database[1].skipped],
        },
        "notes": [NOTE],
        "model": {"method": model.method, "bits": model.bits, "fingerprint": model.fingerprint()},
        "sources": {"queries": queries[0].name, "database": database[0].name},
    }
    report = Report(content, found.per_query)
    write_figures(report, folder)
    return report
