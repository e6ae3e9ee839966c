"""Evaluate a model on instance retrieval, where each query has its own list of relevant items."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashlens.errors import BadInput
from hashlens.metrics import Report, code_statistics, evaluate_instances, read_ground_truth
from hashlens.metrics.instance_retrieval import DEPTHS
from hashlens.models import Encoded, Encoder, HashModel
from hashlens.progress import Progress
from hashlens.reports.baselines import FEATURE_BYTES
from hashlens.reports.files import check_report_folder, write_figures
from hashlens.sources import Source, as_source


def write_instances(
    model: HashModel,
    *,
    queries: Source | str | os.PathLike[str],
    database: Source | str | os.PathLike[str],
    ground_truth: str | os.PathLike[str],
    folder: str | os.PathLike[str],
    at: Sequence[int] = DEPTHS,
    device: str | None = None,
    progress: Progress | None = None,
) -> Report:
    """Encode queries and database and write the figures of instance retrieval to a folder.

    Args:
        queries, database: sources, or what :func:`hashlens.open_source` takes; labels are not looked at.
        ground_truth: see :func:`hashlens.metrics.read_ground_truth`. Where it names images, they are found in the
            sources by these names, with or without folder and ending, and other images are left out; otherwise its
            positions are those of the sources.
        folder: is made if need be; gets ``metrics.json``, ``metrics.csv`` and ``queries.csv``.
        at: the k of mP@k.
        progress: tells how far the encoding is.

    Returns:
        What :func:`hashlens.metrics.evaluate_instances` returns for the codes, and: ``features``, figures of the
        features that they come from, ``None`` where these take more than a gigabyte; ``codes``, ``model``,
        ``sources`` and ``notes``.

    Raises:
        BadInput: the folder holds something else than a report, a source is not what the ground truth is of, or an
            image cannot be read, since every one counts.

    Example:
        >>> import json, tempfile, hashlens as hl
        >>> x = np.random.default_rng(0).normal(size=(40, 8)).astype(np.float32)
        >>> source = hl.sources.FeatureArray("mine", x, np.arange(40) % 2)
        >>> model = hl.fit(source, bits=16, epochs=1, device="cpu")
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     truth = Path(folder, "gnd.json")
        ...     _ = truth.write_text(json.dumps([{"easy": [0], "hard": [1], "junk": []}]))
        ...     sides = {"queries": source.select([0]), "database": source}
        ...     report = write_instances(model, **sides, ground_truth=truth, folder=Path(folder, "report"))
        >>> report["features"]["mAP/easy"], list(report.figures)[:2]
        (1.0, ['mAP/easy', 'mP@1/easy'])
    """
    folder = Path(folder)
    check_report_folder(folder)
    truth = read_ground_truth(ground_truth)
    asked = _in_order(as_source(queries), truth.query_names, len(truth))
    searched = _in_order(as_source(database), truth.database_names)
    compared = 4 * model.network.last_dimension * len(searched) <= FEATURE_BYTES
    with model.encoder(device, progress=progress) as encoder:
        sides = [_encoded(encoder, asked, "Encoding queries", compared)]
        sides.append(_encoded(encoder, searched, "Encoding the database", compared))
    found = evaluate_instances(sides[0].codes, sides[1].codes, truth, at=at, bits=model.bits)
    by_features: dict[str, float] | None = None
    features: list[NDArray[np.float32]] = [side.features for side in sides if side.features is not None]
    if compared:
        by_features = evaluate_instances(features[0], features[1], truth, by="features", at=at).figures
    notes = []
    if truth.boxes and asked.feature_dimension is None:
        notes.append(
            f"The ground truth has a box for {truth.boxes:,} queries; queries were taken as they are, so give them "
            "cut to these boxes to follow the protocol."
        )
    content: dict[str, Any] = {
        **found,
        "features": by_features,
        "bits": model.bits,
        "codes": code_statistics(sides[1].codes, model.bits),
        "notes": notes,
        "model": {"method": model.method, "bits": model.bits, "fingerprint": model.fingerprint()},
        "sources": {"queries": asked.name, "database": searched.name, "ground_truth": str(ground_truth)},
    }
    report = Report(content, found.per_query)
    folder.mkdir(parents=True, exist_ok=True)
    write_figures(report, folder)
    return report


def _encoded(encoder: Encoder, source: Source, description: str, features: bool) -> Encoded:
    encoded = encoder.all(source, description, features=features)
    if encoded.skipped:
        raise BadInput(f"Every image counts in instance retrieval, but this cannot be read: {encoded.skipped[0]}.")
    return encoded


def _in_order(source: Source, names: Sequence[str], count: int | None = None) -> Source:
    """The items of these names in their order; all if there are no names."""
    if not names:
        if count is not None and len(source) != count:
            raise BadInput(f"{source.name} has {len(source)} items, but the ground truth is of {count} queries.")
        return source
    places: dict[str, set[int]] = {}
    for item in range(len(source)):
        path = PurePosixPath(source.key(item))
        for name in (str(path), path.name, path.stem):
            places.setdefault(name, set()).add(item)
    items: list[int] = []
    for name in names:
        found = places.get(name) or places.get(PurePosixPath(name).name) or set()
        if len(found) != 1:
            many = "no image" if not found else f"{len(found)} images"
            raise BadInput(f"{source.name} has {many} named '{name}', which the ground truth speaks of.")
        items.extend(found)
    return source.select(items)
