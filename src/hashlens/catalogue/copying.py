"""The images of an index copied into a table that others read, and kept there up to date."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xxhash
from numpy.typing import NDArray

from hashlens.catalogue.catalogue import Catalogue
from hashlens.engines import Rows, Table
from hashlens.files import as_shown
from hashlens.progress import Progress, silence

ROWS_AT_ONCE = 10_000  # that are given to the table, and last there, together
SAMPLE, DEPTH = 100, 10  # codes that are searched for at the end, and how deep


@dataclass(frozen=True)
class Copied:
    """What a copy did; numbers of images.

    Attributes:
        recall: of a sample of the images, the share of the ten nearest that the table finds, by distance: one
            that is as near as the tenth counts. NaN for no images.
        sample: how many images were searched for.

    Example:
        >>> Copied(added=3, changed=0, removed=0, unchanged=7, recall=1.0, sample=10).added
        3
    """

    added: int
    changed: int
    removed: int
    unchanged: int
    recall: float
    sample: int


def copy_to(catalogue: Catalogue, table: Table, seed: int = 0, progress: Progress = silence) -> Copied:
    """Make a table hold what an index holds: add what is new, replace what changed, remove what is gone.

    What is there already is not given to the table again.

    Args:
        seed: of the sample.

    Raises:
        BadInput: the table holds codes of another model, or cannot be written.

    Example:
        >>> import tempfile, hashlens as hl
        >>> x = np.random.default_rng(0).normal(size=(60, 8)).astype(np.float32)
        >>> source = hl.sources.FeatureArray("mine", x, np.arange(60) % 2, ["cat", "dog"])
        >>> model = hl.fit(source, "orthohash", bits=16, epochs=1, device="cpu")
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     catalogue = hl.Catalogue.create(f"{folder}/index", model)
        ...     _ = catalogue.update(source)
        ...     table = hl.engines.open(f"{folder}/codes.parquet", bits=16)
        ...     copied = copy_to(catalogue, table)
        ...     copied.added, copied.recall
        (60, 1.0)
    """
    table.belong_to(catalogue.copy_fingerprint)
    there = {
        number: digest
        for rows in table.every_row()
        for number, digest in zip(rows.ids.tolist(), _digests(rows), strict=True)
    }
    added = changed = unchanged = 0
    held: list[NDArray[np.int64]] = []
    with progress("Copying", len(catalogue)) as advance:
        for ids, codes in catalogue.codes(ROWS_AT_ONCE):
            entries = {entry.id: entry for entry in catalogue.entries(ids.tolist())}
            kept = np.array([number in entries for number in ids.tolist()], np.bool_)  # others were just removed
            known = [entries[number] for number in ids[kept].tolist()]
            rows = Rows(
                ids[kept],
                codes[kept],
                [as_shown(one.path) for one in known],
                [tuple(map(as_shown, one.labels)) for one in known],
            )
            held.append(rows.ids)
            before = [there.pop(number, None) for number in rows.ids.tolist()]
            differs = np.array([old != new for old, new in zip(before, _digests(rows), strict=True)], np.bool_)
            new = sum(old is None for old in before)
            added, changed = added + new, changed + int(differs.sum()) - new
            unchanged += int((~differs).sum())
            if differs.any():
                chosen = np.flatnonzero(differs).tolist()
                table.put(
                    Rows(
                        rows.ids[chosen],
                        rows.codes[chosen],
                        [rows.paths[i] for i in chosen],
                        [rows.labels[i] for i in chosen],
                    )
                )
            advance(len(ids))
    if there:
        table.remove(list(there))
    table.flush()
    recall, sample = _recall(catalogue, table, np.concatenate(held or [np.empty(0, np.int64)]), seed)
    return Copied(added, changed, len(there), unchanged, recall, sample)


def _digests(rows: Rows) -> list[bytes]:
    """What identifies the content of each row."""
    return [
        xxhash.xxh3_128_digest(repr((code.tobytes(), path, labels)).encode())
        for code, path, labels in zip(rows.codes, rows.paths, rows.labels, strict=True)
    ]


def _recall(catalogue: Catalogue, table: Table, held: NDArray[np.int64], seed: int) -> tuple[float, int]:
    """Share of the nearest that the table finds, and of how many of the images that it holds."""
    if not len(held):
        return float("nan"), 0
    exact = catalogue.engine()
    chosen = np.sort(np.random.default_rng(seed).choice(held, min(SAMPLE, len(held)), replace=False))
    queries = np.stack([entry.code for entry in catalogue.entries(chosen.tolist())])
    true, _ = exact.search(queries, DEPTH)
    found, _ = table.search(queries, DEPTH)
    return float((found <= true[:, -1:]).sum() / true.size), len(queries)
