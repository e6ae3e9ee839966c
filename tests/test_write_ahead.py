"""Databases that several processes turn to write-ahead logging at once."""

from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from threading import Barrier, Timer

import pytest

from hashlens.write_ahead import turn_to_write_ahead

AT_ONCE = 8


def test_connections_that_turn_to_it_at_once_wait_for_one_another(tmp_path: Path) -> None:
    for number in range(10):
        start = Barrier(AT_ONCE)

        def turn(path: Path = tmp_path / f"{number}.db", start: Barrier = start) -> str:
            with closing(sqlite3.connect(path)) as connection:
                start.wait()
                turn_to_write_ahead(connection)
                return connection.execute("PRAGMA journal_mode").fetchone()[0]

        with ThreadPoolExecutor(AT_ONCE) as pool:
            assert [future.result() for future in [pool.submit(turn) for _ in range(AT_ONCE)]] == ["wal"] * AT_ONCE


def test_it_waits_for_a_writer(tmp_path: Path) -> None:
    with (
        closing(sqlite3.connect(tmp_path / "a.db", check_same_thread=False)) as writer,
        closing(sqlite3.connect(tmp_path / "a.db", timeout=0)) as reader,
    ):
        writer.execute("CREATE TABLE t (x)")
        writer.execute("BEGIN IMMEDIATE")
        Timer(0.1, writer.rollback).start()
        turn_to_write_ahead(reader)
        assert reader.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_what_is_no_database_is_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "a.db").write_bytes(b"no database" * 100)
    with closing(sqlite3.connect(tmp_path / "a.db")) as rows, pytest.raises(sqlite3.DatabaseError):
        turn_to_write_ahead(rows)
