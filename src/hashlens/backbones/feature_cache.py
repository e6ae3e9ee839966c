"""Features on disk, found again by the content of the image."""

from __future__ import annotations

import sqlite3
import threading
import warnings
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hashlens.cache import cache_folder

LARGEST_FILE = 16 << 30  # bytes; a cache file that has grown to this takes nothing more


class FeatureCache:
    """Features of one backbone with one preprocessing, by content digest.

    Several threads and processes may use one file. A file that turns out to be damaged is started afresh.

    Args:
        fingerprint: of the backbone, :meth:`hashlens.backbones.Backbone.fingerprint`.
    """

    def __init__(self, fingerprint: str) -> None:
        folder = cache_folder() / "features"
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / f"{fingerprint[:32]}.sqlite"
        self._lock = threading.Lock()
        try:
            self._connection = self._open()
        except sqlite3.DatabaseError as error:
            _check_damage(error)
            self._connection = self._rebuild(error)

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, timeout=60, check_same_thread=False)
        try:
            connection.execute("PRAGMA page_size = 32768")  # a feature of 1,280 numbers fills a default page
            connection.execute("PRAGMA journal_mode = WAL")
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
        for suffix in ("", "-wal", "-shm"):
            Path(f"{self.path}{suffix}").unlink(missing_ok=True)
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
        return np.frombuffer(row[0], "<f4") if row else None

    def put(self, features: Iterable[tuple[bytes, NDArray[np.float32]]]) -> None:
        """Remember features; they survive a crash from here on."""
        if self.path.stat().st_size > LARGEST_FILE:
            return
        rows = [(digest, feature.astype("<f4").tobytes()) for digest, feature in features]
        with self._lock:
            try:
                self._insert(rows)
            except sqlite3.DatabaseError as error:
                self._replace(error)
                self._insert(rows)

    def _insert(self, rows: list[tuple[bytes, bytes]]) -> None:
        with self._connection:
            self._connection.executemany("INSERT OR IGNORE INTO features VALUES (?, ?)", rows)

    def _replace(self, error: sqlite3.DatabaseError) -> None:
        _check_damage(error)
        self._connection.close()  # first, as it may remove the files beside the database
        self._connection = self._rebuild(error)

    def close(self) -> None:
        with self._lock:
            self._connection.close()


def _check_damage(error: sqlite3.DatabaseError) -> None:
    """Raise the error unless it means damage; others, such as a full disk, say nothing against the content."""
    if getattr(error, "sqlite_errorcode", 0) & 0xFF not in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        raise error
