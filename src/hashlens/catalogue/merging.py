"""Indexes merged into one."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from hashlens.catalogue.catalogue import DATABASE_FILE, MODEL_FOLDER, MOST_DETAILED, Catalogue, appearing
from hashlens.catalogue.checksums import NEW_LABELS, RENEW, Rows
from hashlens.catalogue.database import Database, as_text, create
from hashlens.errors import BadInput
from hashlens.progress import Progress, silence

_IMAGES = "INSERT INTO images (path, source, size, mtime, code) SELECT path, source, size, mtime, code FROM "
_TWICE = "SELECT path FROM part.images WHERE path IN (SELECT path FROM main.images) LIMIT 1"
# Each image of the part by its id there, and the one that it has become.
_BECOME = """
CREATE TEMPORARY TABLE become AS
SELECT old.id AS before, new.id AS image FROM part.images AS old JOIN main.images AS new USING (path)
"""
_REST = """
INSERT OR IGNORE INTO main.labels (name) SELECT name FROM part.labels ORDER BY id;
INSERT INTO main.image_labels
    SELECT become.image, place, new.id FROM part.image_labels AS old JOIN become ON old.image = before
    JOIN part.labels AS named ON named.id = old.label JOIN main.labels AS new ON new.name = named.name;
INSERT INTO main.contents SELECT become.image, digest, checksum_of(become.image, digest)
    FROM part.contents AS old JOIN become ON old.image = before;
INSERT OR REPLACE INTO main.skipped
    SELECT path, source, reason, checksum_of(path, source, reason) FROM part.skipped ORDER BY path;
"""
_DETAILS = """
INSERT INTO main.details
    SELECT become.image, detail, checksum_of(become.image, detail)
    FROM part.details AS old JOIN become ON old.image = before
"""


def merge(
    parts: Sequence[str | os.PathLike[str]], folder: str | os.PathLike[str], progress: Progress = silence
) -> Catalogue:
    """One index of the images of several.

    Where they were made of the parts of one source (``hashlens index --part 3/16``), in whatever order they are
    given, the result has the ids and codes that an index of the whole source has. Other indexes follow one another
    as they are given.

    Args:
        parts: folders of indexes that one model made. They stay as they are.
        folder: of the new index, which appears at once and complete.

    Raises:
        BadInput: a part is missing, is not finished, stands twice or is of another listing of the source; the
            indexes are of different models, or share an image; or the folder is taken.

    Example:
        >>> import tempfile, numpy as np, hashlens as hl
        >>> from hashlens.catalogue.parts import Part
        >>> x = np.random.default_rng(0).normal(size=(60, 8)).astype(np.float32)
        >>> source = hl.sources.FeatureArray("mine", x, np.arange(60) % 2, ["cat", "dog"])
        >>> model = hl.fit(source, "orthohash", bits=16, epochs=1, device="cpu")
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     for number in (1, 2):
        ...         part = hl.Catalogue.create(f"{folder}/{number}", model)
        ...         _ = part.update(source, part=Part(number, 2))
        ...     merged = merge([f"{folder}/2", f"{folder}/1"], f"{folder}/index")
        ...     len(merged), [entry.path for entry in merged.entries([1, 60])]
        (60, ['mine#0', 'mine#59'])
    """
    if not parts:
        raise BadInput("There is nothing to merge; give the folders of indexes.")
    catalogues = _in_order([Catalogue.open(part) for part in parts])
    first = catalogues[0]
    for other in catalogues:
        if other.copy_fingerprint != first.copy_fingerprint:
            raise BadInput(f"{other.folder} was built with another model than {first.folder}, so they stay apart.")
    first.model()  # refuses a damaged copy, before it is copied again
    for part in catalogues:
        part.check()
    detailed = all(one.detailed() for one in catalogues if len(one)) and sum(map(len, catalogues)) <= MOST_DETAILED
    with appearing(Path(folder)) as work:
        shutil.copytree(first.folder / MODEL_FOLDER, work / MODEL_FOLDER)
        create(work / DATABASE_FILE, {**first.facts_of_model(), "engine": "", "detailed": detailed})
        with Database(work / DATABASE_FILE).connect() as rows, progress("Merging", len(catalogues)) as advance:
            for part in catalogues:
                _add(rows, part, detailed)
                advance(1)
    merged = Catalogue.open(folder)
    merged.prepare()
    return merged


def _in_order(catalogues: list[Catalogue]) -> list[Catalogue]:
    """Parts by their numbers, when all of them are there; others as they are."""
    known = [(one, *noted) for one in catalogues if (noted := one.part()) is not None]
    if not known:
        return catalogues
    if len(known) < len(catalogues):
        whole = next(one for one in catalogues if one.part() is None)
        raise BadInput(f"{whole.folder} is no part of a source, as the others are; merge the parts first.")
    by_number: dict[int, Catalogue] = {}
    first, like, listing = known[0]
    for one, part, listed in known:
        if not listed:
            raise BadInput(f"{one.folder} is not finished; give hashlens index … --part {part} again.")
        if (part.count, listed) != (like.count, listing):
            raise BadInput(
                f"{one.folder} (part {part}) and {first.folder} (part {like}) are not of one listing of a "
                "source; index both again if the source has changed meanwhile."
            )
        if part.number in by_number:
            raise BadInput(f"{one.folder} and {by_number[part.number].folder} are both part {part}.")
        by_number[part.number] = one
    missing = [str(number) for number in range(1, like.count + 1) if number not in by_number]
    if missing:
        some = ", ".join(missing[:5]) + (f" and {len(missing) - 5} more" if len(missing) > 5 else "")
        raise BadInput(f"Of {like.count} parts, {some} {'is' if len(missing) == 1 else 'are'} missing.")
    return [by_number[number] for number in sorted(by_number)]


def _add(rows: Rows, part: Catalogue, detailed: bool) -> None:
    """Add all images of a part, with what is known of them."""
    rows.execute("ATTACH ? AS part", (f"{(part.folder / DATABASE_FILE).absolute().as_uri()}?mode=ro",))
    try:
        with rows:
            rows.execute("BEGIN")
            twice = rows.execute(_TWICE).fetchone()
            if twice is not None:
                raise BadInput(f"{as_text(twice[0])} is in {part.folder} and another index to be merged.")
            rows.execute(f"{_IMAGES} part.images ORDER BY id")
            rows.execute(_BECOME)
            rows.execute("CREATE INDEX temp.become_before ON become (before)")
            for statement in _REST.split(";")[:-1]:
                rows.execute(statement)
            if detailed:
                rows.execute(_DETAILS)
            rows.execute(NEW_LABELS)
            rows.execute(f"{RENEW} IN (SELECT image FROM become)")
            rows.execute("DROP TABLE become")
    finally:
        rows.execute("DETACH part")
