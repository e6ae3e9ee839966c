"""Features on disk, found again by the content of the image."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
import warnings
from collections.abc import Iterable

import numpy as np
import xxhash
from numpy.typing import NDArray

from hashlens.cache import cache_entries, cache_folder, cache_limit, remove_entry
from hashlens.write_ahead import BUSY_SECONDS, turn_to_write_ahead

IN_USE = 3600  # seconds; a file that was opened or written since is not removed to make room
# The last where another table stands in the place of ours, or the format is one that SQLite does not know.
DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR)
SEAL = 8  # bytes of a checksum
ROOM = 8  # one in so many features goes when there is no room for more


class FeatureCache:
    """Features of one backbone with one preprocessing, by content digest.

    Several threads and processes may use one file. A file that turns out to be damaged is started afresh, and a
    feature that is not what was written, by a checksum behind it, is not known. All files
    together are kept within :func:`hashlens.cache.cache_limit`: files of backbones that were not used for the
    longest time go first, then the oldest features.

    Args:
        fingerprint: of the backbone, :meth:`hashlens.backbones.Backbone.fingerprint`.
    """

    def __init__(self, fingerprint: str) -> None:
        folder = cache_folder() / "features"
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / f"{fingerprint[:32]}.sqlite"
        self._lock = threading.Lock()
        self._limit = cache_limit()
        try:
            self._connection = self._open()
        except sqlite3.DatabaseError as error:
            _check_damage(error)
            self._connection = self._rebuild(error)
        os.utime(self.path)  # the time of its last use

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, timeout=BUSY_SECONDS, check_same_thread=False)
        try:
            connection.execute("PRAGMA page_size = 32768")  # a feature of 1,280 numbers fills a default page
            turn_to_write_ahead(connection)
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute(
                "CREATE TABLE IF NOT EXISTS features (digest BLOB PRIMARY KEY, feature BLOB NOT NULL)"
            )
        except sqlite3.DatabaseError:
            connection.close()
            raise
        return connection

    def _rebuild(self, error: sqlite3.DatabaseError) -> sqlite3.Connection:
        warnings.warn(f"The feature cache {self.path} was damaged ({error}) and is rebuilt.", stacklevel=4)
        remove_entry(self.path)
        return self._open()

    def get(self, digest: bytes) -> NDArray[np.float32] | None:
        """The (D,) feature of the image with this digest, if it is known."""
        query = "SELECT feature FROM features WHERE digest = ?"
        with self._lock:
            try:
                row = self._connection.execute(query, (digest,)).fetchone()
            except sqlite3.DatabaseError as error:
                self._replace(error)
                row = None
        return None if row is None else _opened(digest, row[0])

    def put(self, features: Iterable[tuple[bytes, NDArray[np.float32]]]) -> None:
        """Remember features; they survive a crash from here on. Others may be forgotten to make room."""
        rows = [(digest, _sealed(digest, feature.astype("<f4").tobytes())) for digest, feature in features]
        with self._lock:
            try:
                self._insert(rows)
            except sqlite3.DatabaseError as error:
                self._replace(error)
                self._insert(rows)

    def _insert(self, rows: list[tuple[bytes, bytes]]) -> None:
        with self._connection:
            self._make_room()
            self._connection.executemany("INSERT OR REPLACE INTO features VALUES (?, ?)", rows)

    def _make_room(self) -> None:
        (pages,), (free,), (page_size,) = (
            self._connection.execute(f"PRAGMA {name}").fetchone()
            for name in ("page_count", "freelist_count", "page_size")
        )
        others = [entry for entry in cache_entries("features") if entry.path != self.path]
        used = (pages - free) * page_size + sum(entry.size for entry in others)
        for other in sorted(others, key=lambda entry: entry.changed):
            if used <= self._limit or time.time() - other.changed < IN_USE:
                break
            remove_entry(other.path)
            used -= other.size
        if used > self._limit:
            self._connection.execute(
                "DELETE FROM features WHERE rowid <= "
                "(SELECT min(rowid) + (max(rowid) - min(rowid)) / ? FROM features)",
                (ROOM,),
            )

    def _replace(self, error: sqlite3.DatabaseError) -> None:
        _check_damage(error)
        self._connection.close()  # first, as it may remove the files beside the database
        self._connection = self._rebuild(error)

    def close(self) -> None:
        with self._lock:
            self._connection.close()


def _sealed(digest: bytes, feature: bytes) -> bytes:
    """A feature with a checksum behind it, also of the image that it belongs to."""
    return feature + xxhash.xxh3_64_digest(digest + feature)


def _opened(digest: bytes, sealed: object) -> NDArray[np.float32] | None:
    """The feature, if it is what was written; earlier versions wrote none with a checksum."""
    if not isinstance(sealed, bytes) or _sealed(digest, sealed[:-SEAL]) != sealed:
        return None
    return np.frombuffer(sealed[:-SEAL], "<f4")


def _check_damage(error: sqlite3.DatabaseError) -> None:
    """Raise the error unless it means damage; others, such as a full disk, say nothing against the content."""
    if getattr(error, "sqlite_errorcode", 0) & 0xFF not in DAMAGE:
        raise error
