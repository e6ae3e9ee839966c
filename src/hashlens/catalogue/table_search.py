"""Searching with images in a table of codes that an index was copied to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hashlens.catalogue.catalogue import Answers, Hit, Ties
from hashlens.engines import Table
from hashlens.errors import BadInput
from hashlens.sources import Skipped, as_source

if TYPE_CHECKING:
    from hashlens.models import HashModel


def search_table(
    table: Table,
    model: HashModel,
    items: Sequence[Any],
    k: int = 10,
    labels: Sequence[str] = (),
    device: str | None = None,
) -> Answers:
    """The images of a table nearest to images, by distance, then id.

    Args:
        table: what :func:`hashlens.catalogue.copy_to` filled.
        model: that made its codes.
        items: sources, or what :func:`hashlens.sources.as_source` makes them of.
        labels: find only images with one of these.
        device: see :meth:`hashlens.HashModel.encoder`.

    Raises:
        BadInput: the codes in the table are of another model, no image has one of the labels, or ``k`` is not
            positive.

    Example:
        >>> import tempfile, hashlens as hl
        >>> from hashlens.catalogue import copy_to
        >>> x = np.random.default_rng(0).normal(size=(60, 8)).astype(np.float32)
        >>> source = hl.sources.FeatureArray("mine", x, np.arange(60) % 2, ["cat", "dog"])
        >>> model = hl.fit(source, "orthohash", bits=16, epochs=1, device="cpu")
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     catalogue = hl.Catalogue.create(f"{folder}/index", model)
        ...     _ = catalogue.update(source)
        ...     table = hl.engines.open(f"{folder}/codes.parquet", bits=16)
        ...     _ = copy_to(catalogue, table)
        >>> [(query, hits[0].distance) for query, hits in search_table(table, model, [source.select([7])]).answers]
        [('mine#7', 0)]
    """
    table.check_searchable(model.bits, model.fingerprint())
    if labels and not set(labels) & set(table.label_counts()):
        raise BadInput(f"No image in {table} has the label {' or '.join(labels)}.")
    answers: list[tuple[str, list[Hit]]] = []
    skipped: list[Skipped] = []
    ties: list[Ties] = []
    with model.encoder(device) as encoder:
        for source in map(as_source, items):
            for batch in encoder.batches(source):
                skipped += batch.skipped
                if not len(batch.items):
                    continue
                distances, ids = table.search(batch.codes, k, labels=labels)
                for item, code, far, found in zip(batch.items, batch.codes, distances, ids, strict=True):
                    rows = table.rows(found)
                    known = zip(far.tolist(), rows.paths, rows.labels, found.tolist(), strict=True)
                    answers.append((source.location(int(item)), [Hit(n, *one) for n, one in enumerate(known, 1)]))
                    farthest = int(far.max(initial=0))
                    (near,), _ = table.within(code[None], farthest, labels=labels)
                    shown, there = (int(np.count_nonzero(one == farthest)) for one in (far, near))
                    ties.append(Ties(farthest, shown, there))
    return Answers(answers, skipped, ties)
