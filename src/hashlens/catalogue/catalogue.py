"""Indexed images on disk: what they are, and their codes."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hashlens.engines.hamming.hamming_index import HammingIndex
from hashlens.errors import BadInput
from hashlens.files import replacing
from hashlens.progress import progress_bar

if TYPE_CHECKING:
    from hashlens.models import HashModel
    from hashlens.sources import Skipped, Source

FORMAT = "hashlens-index"
VERSION = 2
DATABASE_FILE = "catalogue.sqlite"
MODEL_FOLDER = "model"
MOST_HOLES, FEWEST_HOLES = 2, 1000  # codes of removed images make the index be built anew beyond these
ROWS_AT_ONCE = 1 << 16

_SCHEMA = """
CREATE TABLE IF NOT EXISTS properties (name TEXT PRIMARY KEY, value NOT NULL);
CREATE TABLE IF NOT EXISTS images (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    path TEXT NOT NULL UNIQUE,
    source TEXT NOT NULL,
    label TEXT,
    size INTEGER NOT NULL,
    mtime INTEGER NOT NULL,
    code BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS skipped (path TEXT PRIMARY KEY, source TEXT NOT NULL, reason TEXT NOT NULL);
"""
# Triggers note whatever makes the codes for searching differ from the images, so that no change can be forgotten.
_POSITIONS = """
ALTER TABLE images ADD COLUMN position INTEGER;
CREATE UNIQUE INDEX images_position ON images (position);
CREATE TABLE vacated (position INTEGER PRIMARY KEY);
CREATE TRIGGER image_removed AFTER DELETE ON images WHEN OLD.position IS NOT NULL BEGIN
    INSERT INTO vacated VALUES (OLD.position);
END;
CREATE TRIGGER image_changed AFTER UPDATE OF code ON images
WHEN OLD.position IS NOT NULL AND OLD.code IS NOT NEW.code BEGIN
    INSERT INTO vacated VALUES (OLD.position);
    UPDATE images SET position = NULL WHERE id = NEW.id;
END;
INSERT INTO properties VALUES ('codes', 0), ('positions', 0);
"""
_UPSERT = """
INSERT INTO images (path, source, label, size, mtime, code) SELECT path, ?, label, size, mtime, ? FROM listed
WHERE item = ?
ON CONFLICT (path) DO UPDATE SET
    source = excluded.source, label = excluded.label, size = excluded.size, mtime = excluded.mtime,
    code = excluded.code
"""


@dataclass
class Changes:
    """What an update of a catalogue did; numbers of images.

    Attributes:
        skipped: the images that could not be read.
    """

    added: int = 0
    changed: int = 0
    removed: int = 0
    unchanged: int = 0
    skipped: list[Skipped] = field(default_factory=list)


@dataclass(frozen=True)
class Hit:
    """One result of a search.

    Attributes:
        rank: from 1.
        distance: in bits that differ, 0 … K.
        path: of the image file, or ``TABLE#ROW``.
        labels: names of the image's classes.
    """

    rank: int
    distance: int
    path: str
    labels: tuple[str, ...]


class Catalogue:
    """A folder with a database of indexed images, their codes laid out for searching, and the model.

    The database (SQLite) is the truth. A :class:`HammingIndex` beside it holds the codes again; it is brought up to
    date with what changed when something is searched, and made again when it is missing or damaged. Every batch
    of images is one transaction, so a process that is killed loses at most the batch it was at.

    Use :meth:`create` or :meth:`open`.

    Attributes:
        folder: where it is.
        bits: code length K.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with self._connect() as database:
            properties = _properties(database)
        if properties.get("format") != FORMAT:
            raise BadInput(f"{folder / DATABASE_FILE} is not the catalogue of a HashLens index.")
        if properties["version"] == 1:
            self._add_positions()
        elif properties["version"] != VERSION:
            raise BadInput(f"{folder} has format version {properties['version']}; this HashLens reads {VERSION}.")
        self.bits = int(properties["bits"])
        self._model_fingerprint = str(properties["model"])
        self.adapted = bool(properties["adapted"])

    @classmethod
    def open(cls, folder: str | os.PathLike[str]) -> Catalogue:
        """Open an index.

        Raises:
            BadInput: there is none, or it is damaged or of another version.
        """
        if not Path(folder, DATABASE_FILE).is_file():
            raise BadInput(f"There is no index at {folder}; make one with hashlens index.")
        return cls(Path(folder))

    @classmethod
    def create(
        cls, folder: str | os.PathLike[str], model: HashModel, adapt_to: Any = None, device: str | None = None
    ) -> Catalogue:
        """Start an empty index; where one exists already, open it and check that it is of the same model.

        Args:
            folder: is made if need be; must be empty or an index.
            model: a copy of it is kept in the index.
            adapt_to: items to re-estimate the copy's batch norm on, see :meth:`HashModel.adapt`.

        Raises:
            BadInput: the folder holds something else, an index of another model, or an index that is to be
                adapted after images were encoded.
        """
        folder = Path(folder)
        fingerprint = model.fingerprint()
        if (folder / DATABASE_FILE).is_file():
            existing = cls.open(folder)
            existing.check_model(model)
            if adapt_to is not None and not existing.adapted:
                raise BadInput(
                    f"{folder} was built without adapting, so adapting now would make its codes incomparable; "
                    "start a new index, or leave --adapt out."
                )
            return existing
        if folder.exists() and (not folder.is_dir() or {entry.name for entry in folder.iterdir()} - {MODEL_FOLDER}):
            raise BadInput(f"{folder} exists and is not an index; choose a new folder.")
        folder.mkdir(parents=True, exist_ok=True)
        model.save(folder / MODEL_FOLDER)
        if adapt_to is not None:
            from hashlens.models import HashModel

            HashModel.load(folder / MODEL_FOLDER).adapt(adapt_to, device).save(folder / MODEL_FOLDER)
        # The database appears at once and complete, so that no other process sees half of it.
        with replacing(folder / DATABASE_FILE) as temporary, closing(sqlite3.connect(temporary)) as database:
            database.executescript(_SCHEMA + _POSITIONS)
            properties = {
                "format": FORMAT, "version": VERSION, "bits": model.bits, "model": fingerprint,
                "adapted": adapt_to is not None,
            }  # fmt: skip
            with database:
                database.executemany("INSERT INTO properties VALUES (?, ?)", properties.items())
        return cls(folder)

    def check_model(self, model: HashModel) -> None:
        """Raise :class:`BadInput` unless ``model`` is the one that the index was started with."""
        if model.bits != self.bits:
            raise BadInput(
                f"{self.folder} holds codes of {self.bits} bits, but the model makes {model.bits}; "
                "start a new index for it."
            )
        if model.fingerprint() != self._model_fingerprint:
            raise BadInput(f"{self.folder} was built with another model; start a new index for this one.")

    def model(self) -> HashModel:
        """The model that encoded the images, from the copy in the index."""
        from hashlens.models import HashModel

        return HashModel.load(self.folder / MODEL_FOLDER)

    def __len__(self) -> int:
        with self._connect() as database:
            return int(database.execute("SELECT count(*) FROM images").fetchone()[0])

    def __repr__(self) -> str:
        return f"Catalogue({str(self.folder)!r}, {len(self):,} codes of {self.bits} bits)"

    def sources(self) -> dict[str, int]:
        """Number of images from each source."""
        with self._connect() as database:
            return dict(database.execute("SELECT source, count(*) FROM images GROUP BY source ORDER BY source"))

    def skipped(self) -> list[tuple[str, str]]:
        """Paths that could not be read when their source was last indexed, and why."""
        with self._connect() as database:
            return list(database.execute("SELECT path, reason FROM skipped ORDER BY path"))

    def update(self, source: Source, device: str | None = None) -> Changes:
        """Make the catalogue hold what the source holds now.

        New images are added; images whose size or time of change differ are encoded again; images that came
        from this source before and are gone are removed; labels follow the source. Images of other sources
        stay.

        Args:
            source: images, or features for a model of features.
        """
        changes = Changes()
        with self._connect() as database:
            _list_items(database, source)
            with database:
                changes.removed = _remove_missing(database, source)
                _follow_labels(database, source)
            waiting = _waiting(database)
            known = {item for item, is_known in waiting if is_known}
            items = np.array([item for item, _ in waiting], np.int64)
            changes.unchanged = database.execute("SELECT count(*) FROM listed").fetchone()[0] - len(items)
            with progress_bar("Indexing", len(items)) as advance:
                for batch in self.model().encode_batches(source.select(items), device) if len(items) else ():
                    encoded = [int(item) for item in items[batch.items]]
                    skipped = [(int(items[one.item]), one) for one in batch.skipped]
                    with database:
                        database.executemany(
                            _UPSERT,
                            (
                                (source.identity, code.tobytes(), item)
                                for item, code in zip(encoded, batch.codes, strict=True)
                            ),
                        )
                        _note_skipped(database, source, skipped)
                    changes.changed += len(known.intersection(encoded))
                    changes.added += len(encoded) - len(known.intersection(encoded))
                    changes.removed += len(known.intersection(item for item, _ in skipped))
                    changes.skipped += [one for _, one in skipped]
                    advance(len(batch.items) + len(batch.skipped))
        self.index()
        self._prepare()
        return changes

    def index(self) -> HammingIndex:
        """The codes of all images, up to date and mapped into memory; ids are ``position`` in the database."""
        with self._up_to_date() as (_, index):
            return index

    def search(self, codes: ArrayLike, k: int = 10, labels: Sequence[str] = ()) -> list[list[Hit]]:
        """The images nearest to each query.

        Args:
            codes, k: as for :meth:`HammingIndex.search`.
            labels: find only images that have one of these labels; all images if there are none.

        Returns:
            One list per query, of ``k`` hits or as many as there are.

        Raises:
            BadInput: no image has one of the labels, or as for :meth:`HammingIndex.search`.
        """
        with self._up_to_date() as (database, index):
            allow = self._labelled(database, labels) if labels else None
            return _as_hits(database, *index.search(codes, k, allow))

    def search_paths(
        self, paths: Sequence[str | os.PathLike[str]], k: int = 10, labels: Sequence[str] = ()
    ) -> list[list[Hit]]:
        """The images nearest to images of the catalogue, without encoding anything; an image does not find itself.

        Args:
            paths: as :attr:`Hit.path` gives them.
            k, labels: as for :meth:`search`.

        Raises:
            BadInput: a path is not in the catalogue, or as for :meth:`search`.
        """
        with self._up_to_date() as (database, index):
            positions = []
            for path in paths:
                row = database.execute("SELECT position FROM images WHERE path = ?", (os.fspath(path),)).fetchone()
                if row is None:
                    raise BadInput(f"{path} is not in the index {self.folder}.")
                positions.append(row[0])
            allow = self._labelled(database, labels) if labels else None
            return _as_hits(database, *index.search_ids(positions, k, allow))

    def _labelled(self, database: sqlite3.Connection, labels: Sequence[str]) -> NDArray[np.int64]:
        """Positions of the images that have one of the labels."""
        having = "SELECT position FROM images WHERE EXISTS (SELECT 1 FROM json_each(images.label) WHERE value = ?)"
        found = []
        for label in labels:
            positions = [position for (position,) in database.execute(having, (label,))]
            if not positions:
                raise BadInput(f"No image in {self.folder} has the label {label!r}.")
            found += positions
        return np.array(found, np.int64)

    @contextmanager
    def _up_to_date(self) -> Iterator[tuple[sqlite3.Connection, HammingIndex]]:
        """The codes as the database has them, in a transaction, so that what is read from it belongs to them."""
        with self._connect() as database:
            database.execute("BEGIN")
            index = None if _is_stale(database) else self._open_index(database)
            if index is None:
                database.rollback()
                database.execute("BEGIN IMMEDIATE")  # one process at a time brings the index up to date
                index = self._bring_up_to_date(database)
            try:
                yield database, index
            finally:
                database.commit()

    def _open_index(self, database: sqlite3.Connection) -> HammingIndex | None:
        properties = _properties(database)
        try:
            index = HammingIndex.open(self._codes_folder(properties["codes"]))
        except BadInput:  # missing or damaged; it can be made again
            return None
        return index if index.next_id == properties["positions"] and index.bits == self.bits else None

    def _bring_up_to_date(self, database: sqlite3.Connection) -> HammingIndex:
        index = self._open_index(database)
        vacated = np.array([row[0] for row in database.execute("SELECT position FROM vacated")], np.int64)
        images = database.execute("SELECT count(*) FROM images").fetchone()[0]
        if index is None or index.next_id > MOST_HOLES * images + FEWEST_HOLES:
            return self._build_index(database)
        index.remove(vacated[index.contains(vacated)])
        new = database.execute("SELECT id, code FROM images WHERE position IS NULL ORDER BY id").fetchall()
        if new:
            codes = np.frombuffer(b"".join(code for _, code in new), np.uint8).reshape(len(new), -1)
            ids = index.add(codes).tolist()
            database.executemany(
                "UPDATE images SET position = ? WHERE id = ?",
                zip(ids, (identifier for identifier, _ in new), strict=True),
            )
        index.save(self._codes_folder(_properties(database)["codes"]))
        _note_positions(database, index)
        return index

    def _build_index(self, database: sqlite3.Connection) -> HammingIndex:
        """Codes of all images in a new folder, since others may be searching the old one."""
        number = _properties(database)["codes"] + 1
        for old in self.folder.glob("codes-*"):
            if old.is_dir():
                shutil.rmtree(old, ignore_errors=True)
            else:
                old.unlink(missing_ok=True)
        index = HammingIndex.build(_stored_codes(database, self.bits), self.bits, self._codes_folder(number))
        database.execute("UPDATE images SET position = NULL")
        database.execute(
            "UPDATE images SET position = place - 1 "
            "FROM (SELECT id AS this, row_number() OVER (ORDER BY id) AS place FROM images) WHERE id = this"
        )
        database.execute("UPDATE properties SET value = ? WHERE name = 'codes'", (number,))
        _note_positions(database, index)
        return index

    def _prepare(self) -> None:
        """Build tables where they pay: seconds for millions of codes, whose images took hours to encode."""
        with self._connect() as database:
            database.execute("BEGIN IMMEDIATE")  # one process at a time may save to the folder
            index = self._open_index(database)
            if index is not None:
                index.prepare(self._codes_folder(_properties(database)["codes"]))
            database.commit()

    def _codes_folder(self, number: int) -> Path:
        return self.folder / f"codes-{number}"

    def _add_positions(self) -> None:
        """Bring a database of format version 1 to version 2."""
        with self._connect() as database:
            try:
                database.executescript(
                    f"BEGIN IMMEDIATE; {_POSITIONS} DELETE FROM properties WHERE name = 'generation';"
                    "UPDATE properties SET value = 2 WHERE name = 'version'; COMMIT;"
                )
            except sqlite3.OperationalError:
                database.rollback()
                if _properties(database)["version"] == 1:  # else another process has done it in the meantime
                    raise

    @contextmanager
    def _connect(self) -> Iterator[sqlite3.Connection]:
        path = self.folder / DATABASE_FILE
        try:
            with closing(sqlite3.connect(path, timeout=60)) as database:
                database.execute("PRAGMA journal_mode = WAL")
                yield database
        except sqlite3.DatabaseError as error:
            raise BadInput(f"{path} cannot be used ({error}).") from None


def _properties(database: sqlite3.Connection) -> dict[str, Any]:
    return dict(database.execute("SELECT name, value FROM properties"))


def _is_stale(database: sqlite3.Connection) -> bool:
    """Whether images have changed since the index was brought up to date."""
    unplaced = "SELECT EXISTS (SELECT 1 FROM images WHERE position IS NULL) OR EXISTS (SELECT 1 FROM vacated)"
    return bool(database.execute(unplaced).fetchone()[0])


def _note_positions(database: sqlite3.Connection, index: HammingIndex) -> None:
    database.execute("DELETE FROM vacated")
    database.execute("UPDATE properties SET value = ? WHERE name = 'positions'", (index.next_id,))


def _stored_codes(database: sqlite3.Connection, bits: int) -> Iterator[NDArray[np.uint8]]:
    """The codes of all images by id, in batches, the first of them empty."""
    code_bytes = -(-bits // 8)
    yield np.empty((0, code_bytes), np.uint8)
    cursor = database.execute("SELECT code FROM images ORDER BY id")
    while rows := cursor.fetchmany(ROWS_AT_ONCE):
        yield np.frombuffer(b"".join(code for (code,) in rows), np.uint8).reshape(-1, code_bytes)


def _as_hits(
    database: sqlite3.Connection, distances: NDArray[np.int32], positions: NDArray[np.int64]
) -> list[list[Hit]]:
    described = dict(_describe(database, np.unique(positions).tolist()))
    return [
        [
            Hit(rank, int(distance), *described[int(position)])
            for rank, (distance, position) in enumerate(zip(*row, strict=True), start=1)
        ]
        for row in zip(distances, positions, strict=True)
    ]


def _list_items(database: sqlite3.Connection, source: Source) -> None:
    """Write what the source holds to a temporary table, to compare it with the catalogue inside the database."""
    database.execute(
        "CREATE TEMPORARY TABLE listed (path TEXT PRIMARY KEY, item INTEGER NOT NULL, label TEXT, "
        "size INTEGER NOT NULL, mtime INTEGER NOT NULL)"
    )

    def rows() -> Iterator[tuple[Any, ...]]:
        for item in range(len(source)):
            names = source.label_names(item)
            label = json.dumps(names, ensure_ascii=False) if names else None
            yield (source.location(item), item, label, *source.fingerprint(item))

    with database:
        database.executemany("INSERT OR REPLACE INTO listed VALUES (?, ?, ?, ?, ?)", rows())
        database.execute("CREATE INDEX temp.listed_item ON listed (item)")


def _remove_missing(database: sqlite3.Connection, source: Source) -> int:
    gone = "WHERE source = ? AND path NOT IN (SELECT path FROM listed)"
    database.execute("DELETE FROM skipped WHERE source = ?", (source.identity,))
    return database.execute(f"DELETE FROM images {gone}", (source.identity,)).rowcount


def _follow_labels(database: sqlite3.Connection, source: Source) -> None:
    database.execute(
        "UPDATE images SET label = listed.label, source = ?1 FROM listed WHERE listed.path = images.path "
        "AND (images.label IS NOT listed.label OR images.source != ?1)",
        (source.identity,),
    )


def _waiting(database: sqlite3.Connection) -> list[tuple[int, int]]:
    """Items to encode, in order, and whether the catalogue has a code for each already."""
    return database.execute(
        "SELECT item, images.id IS NOT NULL FROM listed LEFT JOIN images USING (path) "
        "WHERE images.id IS NULL OR images.size != listed.size OR images.mtime != listed.mtime ORDER BY item"
    ).fetchall()


def _note_skipped(database: sqlite3.Connection, source: Source, skipped: Sequence[tuple[int, Skipped]]) -> None:
    for item, one in skipped:
        path = source.location(item)
        database.execute("DELETE FROM images WHERE path = ?", (path,))
        database.execute("INSERT OR REPLACE INTO skipped VALUES (?, ?, ?)", (path, source.identity, one.reason))


def _describe(
    database: sqlite3.Connection, positions: Sequence[int]
) -> Iterable[tuple[int, tuple[str, tuple[str, ...]]]]:
    for position in positions:
        path, label = database.execute("SELECT path, label FROM images WHERE position = ?", (position,)).fetchone()
        yield position, (path, tuple(json.loads(label)) if label else ())
