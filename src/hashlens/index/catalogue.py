"""Indexed images on disk: what they are, and their codes."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hashlens.codes.packing import to_words
from hashlens.errors import BadInput
from hashlens.files import replacing
from hashlens.index.hamming import HammingIndex
from hashlens.progress import progress_bar

if TYPE_CHECKING:
    from hashlens.models import HashModel
    from hashlens.sources import Skipped, Source

FORMAT = "hashlens-index"
VERSION = 1
DATABASE_FILE = "catalogue.sqlite"
MODEL_FOLDER = "model"

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
    """A folder with a database of indexed images, the arrays to search them, and the model that encoded them.

    The database (SQLite) is the truth. The array of codes is derived from it, mapped into memory when
    something is searched, and made again when it is missing or older than the database. Every batch of images
    is one transaction, so a process that is killed loses at most the batch it was at.

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
        if properties["version"] != VERSION:
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
            database.executescript(_SCHEMA)
            properties = {
                "format": FORMAT, "version": VERSION, "bits": model.bits, "model": fingerprint,
                "adapted": adapt_to is not None, "generation": 0,
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
                if changes.removed:
                    _bump(database)
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
                        _bump(database)
                    changes.changed += len(known.intersection(encoded))
                    changes.added += len(encoded) - len(known.intersection(encoded))
                    changes.removed += len(known.intersection(item for item, _ in skipped))
                    changes.skipped += [one for _, one in skipped]
                    advance(len(batch.items) + len(batch.skipped))
        self._array()
        return changes

    def index(self) -> tuple[HammingIndex, NDArray[np.int64]]:
        """The codes, mapped into memory, and the (N,) catalogue ids of their rows."""
        array = self._array()
        packed = np.ascontiguousarray(array[1:].T).view(np.uint8)[:, : (self.bits + 7) // 8]
        return HammingIndex.build(packed, self.bits), array[0].view(np.int64)

    def search(self, codes: ArrayLike, k: int = 10) -> list[list[Hit]]:
        """The ``k`` images nearest to each query, see :meth:`HammingIndex.search`; one list per query."""
        index, ids = self.index()
        distances, rows = index.search(codes, k)
        found = ids[rows]
        with self._connect() as database:
            described = dict(_describe(database, np.unique(found).tolist()))
        return [
            [
                Hit(rank, int(distance), *described[int(identifier)])
                for rank, (distance, identifier) in enumerate(zip(*row, strict=True), start=1)
                if int(identifier) in described  # unless removed since the arrays were opened
            ]
            for row in zip(distances, found, strict=True)
        ]

    def _array(self) -> NDArray[np.uint64]:
        """(1 + W, N) uint64: ids, then the words of the codes; made if need be."""
        with self._connect() as database:
            database.execute("BEGIN")  # what is read below belongs together
            generation = _properties(database)["generation"]
            path = self.folder / f"codes-{generation}.npy"
            if not path.is_file():
                rows = database.execute("SELECT id, code FROM images ORDER BY id").fetchall()
                _write_array(path, rows, (self.bits + 7) // 8)
            database.rollback()
        for other in self.folder.glob("codes-*.npy"):
            if other != path:
                try:
                    other.unlink(missing_ok=True)
                except OSError:
                    continue  # another process on Windows still has it open; the next update removes it
        try:
            # Copy-on-write, since kernels are compiled for writable arrays; nothing is ever written.
            return np.asarray(np.load(path, mmap_mode="c"))
        except (OSError, ValueError):
            path.unlink(missing_ok=True)
            raise BadInput(f"{path} was damaged and has been removed; run the command again.") from None

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


def _bump(database: sqlite3.Connection) -> None:
    """Mark the arrays as stale, in the transaction that makes them so."""
    database.execute("UPDATE properties SET value = value + 1 WHERE name = 'generation'")


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
            yield (source.location(item), item, label, *source.stamp(item))

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
    database: sqlite3.Connection, ids: Sequence[int]
) -> Iterable[tuple[int, tuple[str, tuple[str, ...]]]]:
    for identifier in ids:
        row = database.execute("SELECT path, label FROM images WHERE id = ?", (identifier,)).fetchone()
        if row:
            yield identifier, (row[0], tuple(json.loads(row[1])) if row[1] else ())


def _write_array(path: Path, rows: Sequence[tuple[int, bytes]], code_bytes: int) -> None:
    codes = np.frombuffer(b"".join(code for _, code in rows), np.uint8).reshape(-1, code_bytes)
    words = to_words(codes)
    array = np.empty((1 + len(words), len(rows)), np.uint64)
    array[0] = [identifier for identifier, _ in rows]
    array[1:] = words
    with replacing(path) as temporary:
        np.save(temporary, array)
