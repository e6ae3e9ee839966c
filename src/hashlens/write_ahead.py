"""SQLite databases that are read while others write to them."""

from __future__ import annotations

import sqlite3
import time

BUSY_SECONDS = 60  # that a process waits for another one's transaction
_PAUSE = 0.01  # seconds between two attempts


def turn_to_write_ahead(connection: sqlite3.Connection) -> None:
    """Let the database of a connection be read while it is written (SQLite's WAL mode, which it keeps).

    Where several connections turn to it at once, SQLite refuses all but one without waiting, whatever time-out
    they were given; this waits.

    Raises:
        sqlite3.DatabaseError: the database cannot be used, or is in use for longer than ``BUSY_SECONDS``.

    Example:
        >>> with tempfile.TemporaryDirectory() as folder, closing(sqlite3.connect(Path(folder, "a.db"))) as rows:
        ...     turn_to_write_ahead(rows)
        ...     rows.execute("PRAGMA journal_mode").fetchone()
        ('wal',)
    """
    give_up = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > give_up:
                raise
        except UnicodeDecodeError:  # in the message about a damaged schema
            damaged = sqlite3.DatabaseError("its schema is damaged")
            damaged.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
            raise damaged from None
        time.sleep(_PAUSE)
