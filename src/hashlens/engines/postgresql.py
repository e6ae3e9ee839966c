"""Codes in a table of PostgreSQL with pgvector: ``postgresql://user@host/database?table=NAME``.

Columns: ``id`` (bigint, the key), ``code`` (bit(K)), ``path`` (text), ``labels`` (text[]). The table's comment says
which model made the codes and whether a copy is whole. ``&index=hnsw`` searches by an approximate index, with
``&ef_search=200`` for how far it looks; all other parameters are those of libpq.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode

import numpy as np
from numpy.typing import NDArray

from hashlens.codes.packing import bytes_per_code
from hashlens.engines.engine import ENGINES
from hashlens.engines.served_table import Allowed, Neighbours, ServedTable, check_installed
from hashlens.engines.table import Facts, Rows, new_facts
from hashlens.errors import BadInput

if TYPE_CHECKING:
    from typing import LiteralString

    from psycopg import Connection, sql
    from psycopg_pool import ConnectionPool

EXTRA = "postgresql"
CONNECTIONS = 8
SECONDS_TO_CONNECT = 10
ROWS_AT_ONCE = 10_000
EF_SEARCH, LARGEST_EF_SEARCH = 200, 1000
GRAPH_BYTES, LARGEST_GRAPH_MIB = 640, 2048  # of HNSW, a row and in all, while it is made

# In PostgreSQL's 64 MiB the graph of a million rows has no room, and is made on the disk, many times as slowly.
# Several workers would take their room from shared memory, of which containers have little.
_ROOM_FOR_GRAPH = """
SELECT set_config('maintenance_work_mem', least(%s * count(*) / 1048576 + 64, %s) || 'MB', true),
    set_config('max_parallel_maintenance_workers', '0', true) FROM {table}
"""


class PostgresTable(ServedTable):
    """A table of PostgreSQL, searched there: exactly, or by pgvector's HNSW.

    Args:
        pool: connections.
        name: of the table, perhaps with a schema before a dot.
        facts: what the table's comment says.
        ef_search: of HNSW; ``None`` to compare every code.
        shown: the address, without a password.

    Example:
        >>> PostgresTable.exact  # unless the address asks for an approximate index
        True
    """

    def __init__(self, pool: ConnectionPool, name: str, facts: Facts, ef_search: int | None, shown: str) -> None:
        super().__init__(facts, shown)
        self.exact = ef_search is None
        self._pool = pool
        # A pool that is merely forgotten waits for its threads, perhaps in one of them, which cannot end well.
        weakref.finalize(self, lambda: threading.Thread(target=pool.close).start()).atexit = False
        self._name = name
        self._ef_search = ef_search

    def __len__(self) -> int:
        with self._connected() as server:
            return int(_one(server, self._sql("SELECT count(*) FROM {table}")))

    def nearest(self, query: NDArray[np.uint8], k: int, allowed: Allowed) -> Neighbours:
        """As :meth:`ServedTable.nearest`, and by id where distances are equal."""
        with self._connected() as server:
            if self._ef_search is None:
                return self._found(server, query, allowed, "ORDER BY 2, 1 LIMIT %(k)s", {"k": k})
            found = self._approximately(server, query, k, allowed)
            if len(found[1]) == k:
                return found
            # The index gave up, or there are no more: comparing every code tells which.
            return self._found(server, query, allowed, "ORDER BY 2, 1 LIMIT %(k)s", {"k": k})

    def near(self, query: NDArray[np.uint8], radius: int, allowed: Allowed) -> Neighbours:
        """As :meth:`ServedTable.near`."""
        with self._connected() as server:
            bound = "AND (code <~> %(query)s::bit({bits})) <= %(radius)s"
            return self._found(server, query, allowed, bound, {"radius": radius})

    def write(self, rows: Rows) -> None:
        """As :meth:`ServedTable.write`."""
        with self._connected() as server, server.transaction():
            server.execute(self._sql("CREATE TEMPORARY TABLE incoming (LIKE {table}) ON COMMIT DROP"))
            with (
                server.cursor() as cursor,
                cursor.copy("COPY incoming (id, code, path, labels) FROM STDIN") as copy,
            ):
                for row in zip(
                    rows.ids.tolist(), self._texts(rows.codes), rows.paths, map(list, rows.labels), strict=True
                ):
                    copy.write_row(row)
            server.execute(
                self._sql(
                    "INSERT INTO {table} (id, code, path, labels) SELECT id, code, path, labels FROM incoming "
                    "ON CONFLICT (id) DO UPDATE SET code = excluded.code, path = excluded.path, "
                    "labels = excluded.labels"
                )
            )

    def delete(self, ids: NDArray[np.int64]) -> None:
        """As :meth:`ServedTable.delete`."""
        with self._connected() as server:
            server.execute(self._sql("DELETE FROM {table} WHERE id = ANY(%s)"), [ids.tolist()])

    def present(self, ids: NDArray[np.int64]) -> NDArray[np.int64]:
        """As :meth:`ServedTable.present`."""
        with self._connected() as server:
            found = server.execute(self._sql("SELECT id FROM {table} WHERE id = ANY(%s)"), [ids.tolist()])
            return np.array([number for (number,) in found], np.int64)

    def read(self, ids: NDArray[np.int64]) -> Rows:
        """As :meth:`ServedTable.read`."""
        with self._connected() as server:
            statement = self._sql("SELECT id, code::text, path, labels FROM {table} WHERE id = ANY(%s)")
            return self._as_rows(server.execute(statement, [ids.tolist()]).fetchall())

    def every_row(self) -> Iterator[Rows]:
        """As :meth:`Table.every_row`."""
        statement = self._sql("SELECT id, code::text, path, labels FROM {table} ORDER BY id")
        with self._connected() as server, server.transaction(), server.cursor(name="rows") as cursor:
            cursor.execute(statement)
            while batch := cursor.fetchmany(ROWS_AT_ONCE):
                yield self._as_rows(batch)

    def label_counts(self) -> dict[str, int]:
        """As :meth:`Table.label_counts`."""
        with self._connected() as server:
            counted = server.execute(
                self._sql("SELECT unnest(labels), count(*) FROM {table} GROUP BY 1 ORDER BY 1")
            )
            return {str(name): int(count) for name, count in counted}

    def note(self, model: str, whole: bool) -> None:
        """As :meth:`ServedTable.note`."""
        with self._connected() as server:
            _comment(server, self._name, Facts(self.bits, model, whole))

    def flush(self) -> None:
        """Note that all is there; before that, make the approximate index if the address asks for one."""
        if self._ef_search is not None:
            from psycopg import sql

            schema, table = _parts(self._name)
            index = sql.Identifier(*schema, f"{table}_hnsw")
            exists = "SELECT to_regclass(%s) IS NOT NULL"
            with self._connected() as server, server.transaction():
                if not _one(server, exists, index.as_string(server)):
                    server.execute(self._sql(_ROOM_FOR_GRAPH), [GRAPH_BYTES, LARGEST_GRAPH_MIB])
                    statement = "CREATE INDEX {index} ON {table} USING hnsw (code bit_hamming_ops)"
                    server.execute(self._sql(statement, index=sql.Identifier(f"{table}_hnsw")))
        super().flush()

    def close(self) -> None:
        """Let go of the connections; also done when the table is no longer used."""
        self._pool.close()

    def _found(
        self, server: Connection, query: NDArray[np.uint8], allowed: Allowed, ending: str, more: dict[str, Any]
    ) -> Neighbours:
        """Rows compared one by one."""
        statement = (
            "SELECT id, (code <~> %(query)s::bit({bits}))::int FROM {table} "
            "WHERE (%(ids)s::bigint[] IS NULL OR id = ANY(%(ids)s)) "
            "AND (%(labels)s::text[] IS NULL OR labels && %(labels)s) " + ending
        )
        values = {"query": self._texts(query[None])[0], **_chosen(allowed), **more}
        return _as_neighbours(server.execute(self._sql(statement), values).fetchall())

    def _approximately(self, server: Connection, query: NDArray[np.uint8], k: int, allowed: Allowed) -> Neighbours:
        conditions = [
            condition
            for condition, given in (
                ("id = ANY(%(ids)s)", allowed.ids is not None), ("labels && %(labels)s", bool(allowed.labels))
            )
            if given
        ]  # fmt: skip
        statement = (
            "SELECT id, (code <~> %(query)s::bit({bits}))::int FROM {table} "
            + (f"WHERE {' AND '.join(conditions)} " if conditions else "")
            + "ORDER BY code <~> %(query)s::bit({bits}) LIMIT %(k)s"
        )
        values = {"query": self._texts(query[None])[0], "k": k, **_chosen(allowed)}
        with server.transaction():
            looked_at = min(max(k, self._ef_search or 0), LARGEST_EF_SEARCH)
            server.execute("SELECT set_config('hnsw.ef_search', %s, true)", [str(looked_at)])
            # Without it the index looks at so many codes, of which a filter then leaves fewer than k.
            server.execute("SET LOCAL hnsw.iterative_scan = strict_order")
            return _as_neighbours(server.execute(self._sql(statement), values).fetchall())

    def _texts(self, codes: NDArray[np.uint8]) -> list[str]:
        """Codes as PostgreSQL writes bit strings: K digits, bit 0 first."""
        digits = np.unpackbits(codes, axis=1, count=self.bits) + np.uint8(ord("0"))
        return np.ascontiguousarray(digits).view(f"S{self.bits}")[:, 0].astype(f"U{self.bits}").tolist()

    def _as_rows(self, found: list[tuple[int, str, str | None, list[str] | None]]) -> Rows:
        digits = np.array([code for _, code, _, _ in found], f"S{self.bits}")
        bits = digits.view(np.uint8).reshape(len(found), self.bits) - np.uint8(ord("0"))
        return Rows(
            np.array([number for number, *_ in found], np.int64),
            np.packbits(bits, axis=1).reshape(len(found), bytes_per_code(self.bits)),
            [path or "" for _, _, path, _ in found],
            [tuple(labels or ()) for *_, labels in found],
        )

    def _sql(self, statement: str, **more: sql.Composable) -> sql.Composed:
        from psycopg import sql

        return sql.SQL(statement).format(table=_identifier(self._name), bits=sql.Literal(self.bits), **more)

    @contextmanager
    def _connected(self) -> Iterator[Connection]:
        with _in_a_sentence(self._shown), self._pool.connection() as connection:
            yield connection


@ENGINES.register("postgresql")
def open_postgresql(address: str, bits: int | None = None) -> PostgresTable:
    """Open a table of codes, or make a new one.

    Args:
        address: what follows ``postgresql:``, see above.
        bits: code length K, where there is no table yet.

    Raises:
        BadInput: there is no such server or table, the table is not ours or of another code length, or the server
            lacks pgvector.

    Example:
        >>> open_postgresql("//localhost/photos")
        Traceback (most recent call last):
        ...
        hashlens.errors.BadInput: Name a table: postgresql://localhost/photos?table=NAME.
    """
    place, _, query = address.partition("?")
    asked = dict(parse_qsl(query, keep_blank_values=True))
    name, kind = asked.pop("table", ""), asked.pop("index", "")
    looked_at = asked.pop("ef_search", str(EF_SEARCH))
    user, at, host = place.removeprefix("//").rpartition("@")
    shown = f"postgresql://{user.partition(':')[0]}{at}{host}?table={name}"
    if not name:
        raise BadInput(f"Name a table: postgresql:{place.replace(user, user.partition(':')[0])}?table=NAME.")
    if kind not in ("", "hnsw"):
        raise BadInput(f"There is no index '{kind}' here; write index=hnsw, or leave it out to search exactly.")
    if not looked_at.isdecimal() or not 1 <= int(looked_at) <= LARGEST_EF_SEARCH:
        raise BadInput(f"ef_search is {looked_at}; give a whole number from 1 to {LARGEST_EF_SEARCH}.")
    check_installed("psycopg", EXTRA)
    check_installed("psycopg_pool", EXTRA)
    import psycopg
    from psycopg_pool import ConnectionPool

    asked.setdefault("connect_timeout", str(SECONDS_TO_CONNECT))
    connection = f"postgresql:{place}?{urlencode(asked)}"
    with _in_a_sentence(shown), psycopg.connect(connection, autocommit=True) as server:
        facts = _facts(server, name, shown)
        if facts is None:
            facts = new_facts(bits, shown)
            _create(server, name, facts, shown)
    facts.check_length(bits, shown)
    pool = ConnectionPool(
        connection, min_size=1, max_size=CONNECTIONS, kwargs={"autocommit": True}, open=True,
        timeout=SECONDS_TO_CONNECT, name="hashlens",
    )  # fmt: skip
    return PostgresTable(pool, name, facts, int(looked_at) if kind else None, shown)


def _create(server: Connection, name: str, facts: Facts, shown: str) -> None:
    from psycopg import sql

    if not _one(server, "SELECT count(*) FROM pg_available_extensions WHERE name = 'vector'"):
        raise BadInput(f"The server of {shown} has no pgvector; install that on it first.")
    with server.transaction():
        server.execute("CREATE EXTENSION IF NOT EXISTS vector")
        server.execute(
            sql.SQL(
                "CREATE TABLE {} (id bigint PRIMARY KEY, code bit({}) NOT NULL, path text, "
                "labels text[] NOT NULL DEFAULT '{{}}')"
            ).format(_identifier(name), sql.Literal(facts.bits))
        )
        _comment(server, name, facts)


def _facts(server: Connection, name: str, shown: str) -> Facts | None:
    """What the comment of a table says; ``None`` where there is no table."""
    table = _identifier(name).as_string(server)
    if _one(server, "SELECT to_regclass(%s)", table) is None:
        return None
    return Facts.read(_one(server, "SELECT obj_description(to_regclass(%s), 'pg_class')", table), shown)


def _one(server: Connection, statement: LiteralString | sql.Composed, *values: str) -> Any:
    """The one value that a statement gives."""
    row = server.execute(statement, values).fetchone()
    return row[0] if row else None


def _comment(server: Connection, name: str, facts: Facts) -> None:
    from psycopg import sql

    server.execute(sql.SQL("COMMENT ON TABLE {} IS {}").format(_identifier(name), sql.Literal(facts.written())))


def _parts(name: str) -> tuple[list[str], str]:
    schema, dot, table = name.rpartition(".")
    return [schema] if dot else [], table


def _identifier(name: str) -> sql.Identifier:
    from psycopg import sql

    schema, table = _parts(name)
    return sql.Identifier(*schema, table)


def _chosen(allowed: Allowed) -> dict[str, Any]:
    return {
        "ids": None if allowed.ids is None else allowed.ids.tolist(),
        "labels": list(allowed.labels) or None,
    }


def _as_neighbours(found: list[tuple[int, int]]) -> Neighbours:
    pairs = np.array(found, np.int64).reshape(-1, 2)
    return pairs[:, 1].astype(np.int32), pairs[:, 0].copy()


@contextmanager
def _in_a_sentence(shown: str) -> Iterator[None]:
    """What the server, or the way to it, refuses, as bad input; its words may hold an address, but no password."""
    import psycopg
    from psycopg_pool import PoolTimeout

    try:
        yield
    except PoolTimeout:
        raise BadInput(f"{shown} does not answer; is the server running?") from None
    except psycopg.Error as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        raise BadInput(f"{shown}: {'; '.join(lines[:2]).rstrip('.') or type(error).__name__}.") from None
