"""The SQLite database of a catalogue: its tables, and bringing those of earlier versions forward."""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashlens.catalogue.checksums import ADD_CHECKSUMS, Rows, checksum_of
from hashlens.errors import BadInput, first_line
from hashlens.write_ahead import BUSY_SECONDS, turn_to_write_ahead

FORMAT = "hashlens-index"
VERSION = 4

_IMAGES = """
CREATE TABLE properties (name TEXT PRIMARY KEY, value NOT NULL);
CREATE TABLE images (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    path TEXT NOT NULL UNIQUE,
    source TEXT NOT NULL,
    size INTEGER NOT NULL,
    mtime INTEGER NOT NULL,
    code BLOB NOT NULL
);
CREATE TABLE skipped (path TEXT PRIMARY KEY, source TEXT NOT NULL, reason TEXT NOT NULL);
"""
# Triggers note whatever makes the engine's codes differ from the images, so that no change can be forgotten.
_LABELS_AND_PENDING = """
CREATE TABLE labels (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE image_labels (
    image INTEGER NOT NULL, place INTEGER NOT NULL, label INTEGER NOT NULL, PRIMARY KEY (image, place)
) WITHOUT ROWID;
CREATE INDEX image_labels_by_label ON image_labels (label, image);
CREATE TABLE details (image INTEGER PRIMARY KEY, detail BLOB NOT NULL);
CREATE TABLE pending (image INTEGER PRIMARY KEY);
CREATE TRIGGER image_added AFTER INSERT ON images BEGIN
    INSERT INTO pending SELECT NEW.id WHERE NOT EXISTS (SELECT 1 FROM pending WHERE image = NEW.id);
END;
CREATE TRIGGER image_changed AFTER UPDATE OF code ON images WHEN OLD.code IS NOT NEW.code BEGIN
    DELETE FROM details WHERE image = NEW.id;
    INSERT INTO pending SELECT NEW.id WHERE NOT EXISTS (SELECT 1 FROM pending WHERE image = NEW.id);
END;
CREATE TRIGGER image_removed AFTER DELETE ON images BEGIN
    DELETE FROM image_labels WHERE image = OLD.id;
    DELETE FROM details WHERE image = OLD.id;
    INSERT INTO pending SELECT OLD.id WHERE NOT EXISTS (SELECT 1 FROM pending WHERE image = OLD.id);
END;
"""
# By which moved images are known again; indexes from before there was this table get it when they are opened.
_CONTENTS = """
CREATE TABLE IF NOT EXISTS contents (image INTEGER PRIMARY KEY, digest BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS contents_by_digest ON contents (digest);
CREATE TRIGGER IF NOT EXISTS content_removed AFTER DELETE ON images BEGIN
    DELETE FROM contents WHERE image = OLD.id;
END;
CREATE TRIGGER IF NOT EXISTS content_changed AFTER UPDATE OF code ON images WHEN OLD.code IS NOT NEW.code BEGIN
    DELETE FROM contents WHERE image = NEW.id;
END;
"""
# What the engine holds: the number of the folder of codes, what identifies its content, and how many codes.
_ENGINE = {"codes": 0, "state": "", "indexed": 0}

# Before, labels stood as JSON in the table of images, and the second version knew their places among the codes.
_FROM_SECOND = """
DROP TRIGGER image_removed;
DROP TRIGGER image_changed;
DROP INDEX images_position;
DROP TABLE vacated;
ALTER TABLE images DROP COLUMN position;
DELETE FROM properties WHERE name IN ('codes', 'positions');
"""
_FROM_FIRST = "DELETE FROM properties WHERE name = 'generation';"
_MOVE_LABELS = """
INSERT OR IGNORE INTO labels (name) SELECT each.value FROM images, json_each(images.label) AS each;
INSERT INTO image_labels
    SELECT images.id, each.key, labels.id FROM images, json_each(images.label) AS each
    JOIN labels ON labels.name = each.value;
ALTER TABLE images DROP COLUMN label;
"""


_OUR_TRIGGERS = frozenset(
    re.findall(r"CREATE TRIGGER (?:IF NOT EXISTS )?(\w+)", _LABELS_AND_PENDING + _CONTENTS + ADD_CHECKSUMS)
)


class Database:
    """The database in a file, which may come from anybody: what its schema could run is switched off or refused.

    Raises:
        BadInput: it is not that of a HashLens index, or of a later version.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with self._opened() as rows:
            _check_schema(rows, path)
            found = properties(rows)
        if found.get("format") != FORMAT:
            raise BadInput(f"{path} is not the catalogue of a HashLens index.")
        if found.get("version") in (1, 2):
            self.bring_forward()
        elif found.get("version") == 3:
            with self.connect() as rows:
                if not rows.execute("SELECT 1 FROM sqlite_schema WHERE name = 'content_changed'").fetchone():
                    rows.executescript(_CONTENTS)
        elif found.get("version") != VERSION:
            raise BadInput(
                f"{path.parent} has format version {found.get('version')}; this HashLens reads up to {VERSION}."
            )

    @contextmanager
    def connect(self) -> Iterator[Rows]:
        """A connection for the length of a block.

        Raises:
            BadInput: the file is gone, is no database, or a damaged one.
        """
        with self._opened() as rows:
            rows.has_checksums = properties(rows).get("version") == VERSION
            yield rows

    @contextmanager
    def _opened(self) -> Iterator[Rows]:
        try:
            there = f"{self.path.absolute().as_uri()}?mode=rw"  # or an empty database would be made in its place
            with closing(sqlite3.connect(there, BUSY_SECONDS, uri=True, factory=Rows)) as rows:
                rows.path = self.path
                rows.execute("PRAGMA trusted_schema = OFF")
                turn_to_write_ahead(rows)
                yield rows
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:  # the latter from messages of a damaged schema
            raise BadInput(f"{self.path} cannot be used ({first_line(error)}).") from None

    def bring_forward(self) -> None:
        """Make the database one of this version: before the third its labels stood elsewhere, and the third, which
        is read as it is, has no checksums before it is written to."""
        with self._opened() as rows:
            rows.execute("BEGIN IMMEDIATE")  # another process may be about to do the same
            before = properties(rows)["version"]
            if before in (1, 2):
                earlier = _FROM_FIRST if before == 1 else _FROM_SECOND
                _run(rows, earlier + _LABELS_AND_PENDING + _MOVE_LABELS + _CONTENTS)
                note(rows, **_ENGINE, version=3)
                rows.execute("INSERT INTO pending SELECT id FROM images")
            if before < VERSION:
                _run(rows, ADD_CHECKSUMS)
                note(rows, version=VERSION)
            rows.commit()


def _check_schema(rows: sqlite3.Connection, path: Path) -> None:
    """Refuse views, virtual tables and triggers that are not ours: they run when rows are read or written."""
    for kind, name, text in rows.execute("SELECT type, name, sql FROM sqlite_schema"):
        virtual = kind == "table" and str(text).upper().startswith("CREATE VIRTUAL")
        if kind == "view" or virtual or (kind == "trigger" and name not in _OUR_TRIGGERS):
            what = "virtual table" if virtual else kind
            raise BadInput(f"{path} holds a {what} '{name}' that is not ours; index the images again.")


def create(path: Path, facts: dict[str, Any]) -> None:
    """Make an empty database in a new file.

    Args:
        facts: properties to note in it.

    Raises:
        BadInput: it cannot be written.
    """
    try:
        with closing(sqlite3.connect(path, factory=Rows)) as rows:
            rows.executescript(_IMAGES + _LABELS_AND_PENDING + _CONTENTS + ADD_CHECKSUMS)
            with rows:
                note(rows, format=FORMAT, version=VERSION, **_ENGINE, **facts)
    except sqlite3.DatabaseError as error:
        raise BadInput(f"{path} cannot be written ({error}).") from None


def properties(rows: Rows) -> dict[str, Any]:
    """What is noted of the whole catalogue, by name.

    Raises:
        BadInput: it is not what we noted.
    """
    facts = dict(rows.execute("SELECT name, value FROM properties"))
    checksum = facts.pop("checksum", None)
    version = facts.get("version")
    if version in (1, 2, 3, VERSION) and checksum != (_checksum_of_facts(facts) if version == VERSION else None):
        raise rows.damaged()
    return facts


def note(rows: Rows, **facts: Any) -> None:
    """Add or change properties."""
    properties(rows)  # refuses damaged ones, before they get a new checksum
    rows.executemany("INSERT OR REPLACE INTO properties VALUES (?, ?)", facts.items())
    noted = dict(rows.execute("SELECT name, value FROM properties WHERE name != 'checksum'"))
    if noted["version"] == VERSION:
        rows.execute("INSERT OR REPLACE INTO properties VALUES ('checksum', ?)", (_checksum_of_facts(noted),))


def _checksum_of_facts(facts: dict[str, Any]) -> int:
    return checksum_of(*(field for fact in sorted(facts.items(), key=ascii) for field in fact))


def as_stored(text: str) -> str | bytes:
    """A path or label as the database holds it: text, or bytes where a file's name is not UTF-8.

    Example:
        >>> as_stored("photos/cat.jpg")
        'photos/cat.jpg'
        >>> as_stored(os.fsdecode(bytes([0xFF]))) == bytes([0xFF])
        True
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        try:
            return os.fsencode(text)
        except UnicodeEncodeError:  # half a character, as JSON can hold; no name of a file
            return text.encode("utf-8", "surrogatepass")
    return text


def as_text(stored: object) -> str:
    """The inverse of :func:`as_stored`.

    Raises:
        BadInput: it is neither text nor bytes, since the database is damaged.

    Example:
        >>> as_text(as_stored("photos/cat.jpg"))
        'photos/cat.jpg'
    """
    if not isinstance(stored, str | bytes):
        raise BadInput(
            f"The index is damaged: {stored!r} stands where a path or a name should; index the images again."
        )
    return os.fsdecode(stored)


def as_bytes(stored: Sequence[object], width: int) -> NDArray[np.uint8]:
    """Codes or details of images, (n, width).

    Raises:
        BadInput: one is not of ``width`` bytes, since the database is damaged.

    Example:
        >>> as_bytes([bytes([1, 2]), bytes([3, 4])], 2).tolist()
        [[1, 2], [3, 4]]
    """
    rows = [one for one in stored if isinstance(one, bytes) and len(one) == width]
    if len(rows) < len(stored):
        raise BadInput(
            f"The index is damaged: the code of an image is not of {width} bytes; index the images again."
        )
    return np.frombuffer(b"".join(rows), np.uint8).reshape(len(rows), width)


def _run(rows: sqlite3.Connection, script: str) -> None:
    """Run the statements of a script: ``executescript`` would end the transaction that it is to be part of."""
    waiting = ""
    for line in script.splitlines():
        waiting += line + "\n"
        if sqlite3.complete_statement(waiting):
            rows.execute(waiting)
            waiting = ""
