"""Comparing what a source holds now with what a catalogue holds of it, inside the database."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from hashlens.catalogue.checksums import NEW_LABELS, RENEW, Rows
from hashlens.catalogue.database import as_stored, as_text
from hashlens.sources import Skipped, Source, UnreadableImage
from hashlens.sources.content import content_digest
from hashlens.sources.locations import is_gone

_TABLES = """
CREATE TEMPORARY TABLE listed (
    path TEXT PRIMARY KEY, item INTEGER NOT NULL, size INTEGER NOT NULL, mtime INTEGER NOT NULL
);
CREATE TEMPORARY TABLE listed_labels (
    item INTEGER NOT NULL, place INTEGER NOT NULL, label INTEGER NOT NULL, PRIMARY KEY (item, place)
) WITHOUT ROWID;
CREATE TEMPORARY TABLE relabelled (image INTEGER PRIMARY KEY, item INTEGER NOT NULL);
"""
_UPSERT = """
INSERT INTO images (path, source, size, mtime, code) SELECT path, ?, size, mtime, ? FROM listed WHERE item = ?
ON CONFLICT (path) DO UPDATE SET
    source = excluded.source, size = excluded.size, mtime = excluded.mtime, code = excluded.code
"""
_RELABELLED = "SELECT image FROM relabelled"
# Images whose labels, or the order of these, are not those of the source any more.
_FIND_RELABELLED = """
INSERT INTO relabelled
SELECT DISTINCT image, item FROM (
    SELECT image, item FROM (
        SELECT images.id AS image, item, place, label
        FROM listed JOIN images USING (path) JOIN listed_labels USING (item)
        EXCEPT
        SELECT image, item, place, label
        FROM listed JOIN images USING (path) JOIN image_labels ON image_labels.image = images.id
    )
    UNION
    SELECT image, item FROM (
        SELECT image, item, place, label
        FROM listed JOIN images USING (path) JOIN image_labels ON image_labels.image = images.id
        EXCEPT
        SELECT images.id, item, place, label
        FROM listed JOIN images USING (path) JOIN listed_labels USING (item)
    )
)
"""


class Comparison:
    """A source listed beside the images of a catalogue, for one connection.

    Args:
        rows: is not in a transaction.
    """

    def __init__(self, rows: Rows, source: Source) -> None:
        self._rows = rows
        self._source = source
        self._identity = as_stored(source.identity)
        rows.executescript(_TABLES)
        with rows:
            rows.executemany("INSERT OR IGNORE INTO labels (name) VALUES (?)", [(name,) for name in self._names()])
            rows.execute(NEW_LABELS)
            numbers = dict(rows.execute("SELECT name, id FROM labels"))
            rows.executemany("INSERT OR REPLACE INTO listed VALUES (?, ?, ?, ?)", self._listed())
            rows.executemany("INSERT INTO listed_labels VALUES (?, ?, ?)", self._labels(numbers))
            rows.execute("CREATE INDEX temp.listed_item ON listed (item)")

    def _names(self) -> list[str | bytes]:
        return [as_stored(name) for name in self._source.class_names]

    def _listed(self) -> Iterator[tuple[str | bytes, int, int, int]]:
        for item in range(len(self._source)):
            yield as_stored(self._source.location(item)), item, *self._source.fingerprint(item)

    def _labels(self, numbers: dict[str | bytes, int]) -> Iterator[tuple[int, int, int]]:
        for item in range(len(self._source)):
            for place, name in enumerate(self._source.label_names(item)):
                yield item, place, numbers[as_stored(name)]

    def follow_moves(self) -> int:
        """Give images whose file is gone the path of a new item with the same content; how many those are."""
        if self._source.feature_dimension is not None:
            return 0
        lost: dict[tuple[int, bytes], list[int]] = {}
        candidates = self._rows.checked(
            "SELECT images.id, path, source, size, digest, {contents} "
            "FROM images JOIN contents ON image = images.id "
            "WHERE path NOT IN (SELECT path FROM listed) AND size IN (SELECT size FROM listed)"
        )
        for image, path, source, size, digest in candidates:
            if source == self._identity or is_gone(as_text(path)):
                lost.setdefault((size, digest), []).append(image)
        sizes = {size for size, _ in lost}
        new = self._rows.execute(
            "SELECT item, listed.size FROM listed LEFT JOIN images USING (path) "
            "WHERE images.id IS NULL ORDER BY item"
        ).fetchall()
        moved = []
        for item, size in new:
            if size in sizes:
                try:
                    found = lost.get((size, content_digest(self._source.read(item))))
                except UnreadableImage:
                    continue
                if found:
                    moved.append((item, found.pop(0)))
        self._rows.executemany(
            "UPDATE images SET (path, source, size, mtime) = "
            "(SELECT path, ?, size, mtime FROM listed WHERE item = ?) WHERE id = ?",
            ((self._identity, item, image) for item, image in moved),
        )
        self._rows.executemany(f"{RENEW} = ?", ((image,) for _, image in moved))
        return len(moved)

    def remove_missing(self) -> int:
        """Remove images that came from the source and are gone; how many those are."""
        gone = "WHERE source = ? AND path NOT IN (SELECT path FROM listed)"
        self._rows.execute("DELETE FROM skipped WHERE source = ?", (self._identity,))
        return self._rows.execute(f"DELETE FROM images {gone}", (self._identity,)).rowcount

    def follow_labels(self) -> None:
        """Give images that are there already the labels that they have in the source."""
        self._rows.execute("DELETE FROM relabelled")
        self._rows.execute(_FIND_RELABELLED)
        self._relabel()
        strangers = "SELECT images.id, item FROM listed JOIN images USING (path) WHERE source != ?"
        self._rows.execute(f"INSERT OR IGNORE INTO relabelled {strangers}", (self._identity,))
        self._rows.execute(f"UPDATE images SET source = ? WHERE id IN ({_RELABELLED})", (self._identity,))
        self._rows.execute(f"{RENEW} IN ({_RELABELLED})")

    def waiting(self) -> list[tuple[int, bool]]:
        """Items to encode, in order, and whether the catalogue has a code for each already."""
        found = self._rows.execute(
            "SELECT item, images.id IS NOT NULL FROM listed LEFT JOIN images USING (path) "
            "WHERE images.id IS NULL OR images.size != listed.size OR images.mtime != listed.mtime ORDER BY item"
        )
        return [(item, bool(known)) for item, known in found]

    def count(self) -> int:
        """Number of items, those with the same path once."""
        return int(self._rows.execute("SELECT count(*) FROM listed").fetchone()[0])

    def images(self) -> int:
        """Number of images of all sources in the catalogue."""
        return int(self._rows.execute("SELECT count(*) FROM images").fetchone()[0])

    def store(
        self,
        items: Sequence[int],
        codes: NDArray[np.uint8],
        details: NDArray[np.int8] | None,
        digests: Sequence[bytes],
    ) -> None:
        """Add items, or replace the images that they were: their packed codes, details if these are kept, and
        digests of their content."""
        self._rows.executemany(
            _UPSERT,
            ((self._identity, code.tobytes(), item) for item, code in zip(items, codes, strict=True)),
        )
        self._rows.execute("DELETE FROM relabelled")
        self._rows.executemany(
            "INSERT INTO relabelled SELECT images.id, item FROM listed JOIN images USING (path) WHERE item = ?",
            ((item,) for item in items),
        )
        self._relabel()
        self._rows.executemany(
            "INSERT OR REPLACE INTO contents SELECT image, ?1, checksum_of(image, ?1) FROM relabelled "
            "WHERE item = ?2",
            zip(digests, items, strict=True),
        )
        if details is not None:
            self._rows.executemany(
                "INSERT OR REPLACE INTO details SELECT image, ?1, checksum_of(image, ?1) FROM relabelled "
                "WHERE item = ?2",
                ((detail.tobytes(), item) for item, detail in zip(items, details, strict=True)),
            )
        self._rows.execute(f"{RENEW} IN ({_RELABELLED})")

    def leave_out(self, skipped: Iterable[tuple[int, Skipped]]) -> None:
        """Note items that cannot be read, and remove the images that they were."""
        for item, one in skipped:
            path = as_stored(self._source.location(item))
            self._rows.execute("DELETE FROM images WHERE path = ?", (path,))
            self._rows.execute(
                "INSERT OR REPLACE INTO skipped VALUES (?1, ?2, ?3, checksum_of(?1, ?2, ?3))",
                (path, self._identity, one.reason),
            )

    def _relabel(self) -> None:
        self._rows.execute(f"DELETE FROM image_labels WHERE image IN ({_RELABELLED})")
        self._rows.execute(
            "INSERT INTO image_labels SELECT image, place, label FROM relabelled JOIN listed_labels USING (item)"
        )
