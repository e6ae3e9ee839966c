"""Codes in a table of LanceDB, in a folder or an object store: ``lancedb://FOLDER-OR-BUCKET/TABLE``.

Columns: ``id`` (int64), ``code`` (fixed-size list of uint8, ceil(K/8) bytes), ``path`` (string), ``labels`` (list
of strings). The metadata of ``code`` says which model made the codes and whether a copy is whole. A search compares
every code, from the disk. ``lancedb:///srv/photos/codes`` is the table ``codes`` in the folder ``/srv/photos``, and
``lancedb://s3://bucket/photos/codes`` one in a bucket, with the credentials that the environment has for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from hashlens.codes.packing import bytes_per_code
from hashlens.engines.engine import ENGINES
from hashlens.engines.served_table import Allowed, Neighbours, ServedTable, check_installed
from hashlens.engines.table import Facts, Rows, new_facts
from hashlens.errors import BadInput, first_line

if TYPE_CHECKING:
    import lancedb
    import pyarrow as pa
    from lancedb.query import LanceVectorQueryBuilder

EXTRA = "lancedb"
METADATA_KEY = "hashlens"
ROWS_AT_ONCE = 1 << 16


class LanceTable(ServedTable):
    """A table of LanceDB, searched exactly.

    Args:
        table: of lancedb.
        facts: what its metadata says.
        shown: the address.

    Example:
        >>> import tempfile, hashlens as hl
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     table = hl.engines.open(f"lancedb://{folder}/codes", bits=8)
        ...     _ = table.add(np.array([[170], [171]], np.uint8), [7, 9])
        ...     table.search(np.array([[171]], np.uint8), k=1)
        (array([[0]], dtype=int32), array([[9]]))
    """

    def __init__(self, table: lancedb.table.Table, facts: Facts, shown: str) -> None:
        super().__init__(facts, shown)
        self._table = table

    def __len__(self) -> int:
        with _in_a_sentence(self._shown):
            return int(self._table.count_rows())

    def nearest(self, query: NDArray[np.uint8], k: int, allowed: Allowed) -> Neighbours:
        """As :meth:`ServedTable.nearest`."""
        return self._found(query, k, allowed, self.bits)

    def near(self, query: NDArray[np.uint8], radius: int, allowed: Allowed) -> Neighbours:
        """As :meth:`ServedTable.near`."""
        return self._found(query, max(1, len(self)), allowed, radius)

    def write(self, rows: Rows) -> None:
        """As :meth:`ServedTable.write`."""
        import pyarrow as pa

        schema = self._table.schema
        codes = pa.FixedSizeListArray.from_arrays(pa.array(rows.codes.ravel()), bytes_per_code(self.bits))
        labels = pa.array([list(names) for names in rows.labels], schema.field("labels").type)
        columns = [pa.array(rows.ids), codes, pa.array(rows.paths, pa.string()), labels]
        with _in_a_sentence(self._shown):
            merge = self._table.merge_insert("id").when_matched_update_all().when_not_matched_insert_all()
            merge.execute(pa.Table.from_arrays(columns, schema=schema))

    def delete(self, ids: NDArray[np.int64]) -> None:
        """As :meth:`ServedTable.delete`."""
        with _in_a_sentence(self._shown):
            self._table.delete(_any_of(ids))

    def present(self, ids: NDArray[np.int64]) -> NDArray[np.int64]:
        """As :meth:`ServedTable.present`."""
        return self._queried(ids, ["id"])["id"].to_numpy()

    def read(self, ids: NDArray[np.int64]) -> Rows:
        """As :meth:`ServedTable.read`."""
        return self._as_rows(self._queried(ids, ["id", "code", "path", "labels"]))

    def every_row(self) -> Iterator[Rows]:
        """As :meth:`Table.every_row`."""
        with _in_a_sentence(self._shown):
            listed = self._table.search().select(["id"]).with_row_id(True).to_arrow()
            order = np.argsort(listed["id"].to_numpy())
            places = listed["_rowid"].to_numpy()[order]
            for start in range(0, len(places), ROWS_AT_ONCE):
                part = places[start : start + ROWS_AT_ONCE].tolist()
                fields = ["id", "code", "path", "labels"]
                found = self._table.take_row_ids(part).select(fields).to_arrow()
                yield self._as_rows(found.sort_by("id"))

    def note(self, model: str, whole: bool) -> None:
        """As :meth:`ServedTable.note`."""
        written = Facts(self.bits, model, whole).written()
        with _in_a_sentence(self._shown):
            self._table.update_field_metadata({"path": "code", "metadata": {METADATA_KEY: written}})

    def flush(self) -> None:
        """Put the many small parts of a copy together, and note that all is there."""
        if not self.whole:
            with _in_a_sentence(self._shown):
                self._table.optimize()
        super().flush()

    def _found(self, query: NDArray[np.uint8], limit: int, allowed: Allowed, radius: int) -> Neighbours:
        conditions = []
        if allowed.ids is not None:
            conditions.append(_any_of(allowed.ids))
        if allowed.labels:
            names = ", ".join(_quoted(name) for name in allowed.labels)
            conditions.append(f"array_has_any(labels, [{names}])")
        with _in_a_sentence(self._shown):
            by_code = cast("LanceVectorQueryBuilder", self._table.search(query.tolist(), "code"))
            search = by_code.distance_type("hamming")  # type: ignore[arg-type]  # its annotations lack it
            search = search.distance_range(upper_bound=radius + 0.5)
            search = search.limit(limit).select(["id", "_distance"])
            if conditions:
                search = search.where(" AND ".join(conditions), prefilter=True)
            found = search.to_arrow()
        return found["_distance"].to_numpy().astype(np.int32), found["id"].to_numpy()

    def _queried(self, ids: NDArray[np.int64], fields: list[str]) -> pa.Table:
        with _in_a_sentence(self._shown):
            return self._table.search().where(_any_of(ids)).select(fields).limit(max(1, len(ids))).to_arrow()

    def _as_rows(self, found: pa.Table) -> Rows:
        codes = found["code"].combine_chunks().flatten().to_numpy().reshape(-1, bytes_per_code(self.bits))
        return Rows(
            found["id"].to_numpy(),
            codes,
            [path or "" for path in found["path"].to_pylist()],
            [tuple(names or ()) for names in found["labels"].to_pylist()],
        )


@ENGINES.register("lancedb")
def open_lancedb(address: str, bits: int | None = None) -> LanceTable:
    """Open a table of codes, or make a new one.

    Args:
        address: what follows ``lancedb:``, see above.
        bits: code length K, where there is no table yet.

    Raises:
        BadInput: there is no such table, it is not ours or of another code length, or it cannot be reached.

    Example:
        >>> open_lancedb("//codes")
        Traceback (most recent call last):
        ...
        hashlens.errors.BadInput: Name a folder and a table in it: lancedb://FOLDER/TABLE.
    """
    place, _, name = address.removeprefix("//").rstrip("/").rpartition("/")
    shown = f"lancedb:{address}"
    if not place or not name:
        raise BadInput("Name a folder and a table in it: lancedb://FOLDER/TABLE.")
    check_installed("lancedb", EXTRA)
    import lancedb

    with _in_a_sentence(shown):
        database = lancedb.connect(place)
        table = _opened(database, name)
        if table is not None:
            metadata = dict(table.schema.field("code").metadata or {}) if "code" in table.schema.names else {}
            facts = Facts.read(metadata.get(METADATA_KEY.encode()), shown)
        else:
            facts = new_facts(bits, shown)
            table = database.create_table(name, schema=_schema(facts))
    facts.check_length(bits, shown)
    return LanceTable(table, facts, shown)


def _opened(database: lancedb.DBConnection, name: str) -> lancedb.table.Table | None:
    """A table, ``None`` where there is none of the name."""
    try:
        return database.open_table(name)
    except ValueError as error:
        if "not found" in str(error):
            return None
        raise


def _schema(facts: Facts) -> pa.Schema:
    import pyarrow as pa

    code = pa.field("code", pa.list_(pa.uint8(), bytes_per_code(facts.bits)), nullable=False)
    return pa.schema(
        [
            pa.field("id", pa.int64(), nullable=False),
            code.with_metadata({METADATA_KEY: facts.written()}),
            pa.field("path", pa.string()),
            pa.field("labels", pa.list_(pa.string())),
        ]
    )


def _any_of(ids: NDArray[np.int64]) -> str:
    return f"id IN ({', '.join(map(str, ids.tolist()))})"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


@contextmanager
def _in_a_sentence(shown: str) -> Iterator[None]:
    """What LanceDB, the disk or the store refuses, as bad input."""
    try:
        yield
    except BadInput:
        raise
    except (OSError, RuntimeError, ValueError) as error:
        raise BadInput(f"{shown}: {first_line(error)}.") from None
