"""Codes in a collection of Milvus: ``milvus://host:port/COLLECTION``.

Fields: ``id`` (INT64, the primary key), ``code`` (BINARY_VECTOR, filled up with zero bits to whole bytes), ``path``
(VARCHAR), ``labels`` (ARRAY of VARCHAR). A property of the collection says which model made the codes and whether
a copy is whole. By default every code is compared (BIN_FLAT); ``?index=ivf`` makes and searches BIN_IVF_FLAT, with
``&nprobe=16`` for how many of its lists it looks into. ``user:password@`` before the host, ``secure=true`` for TLS
and ``db_name=NAME`` are as pymilvus has them.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote, urlsplit

import numpy as np
from numpy.typing import NDArray

from hashlens.codes.packing import bytes_per_code
from hashlens.engines.engine import ENGINES
from hashlens.engines.hamming import HammingIndex
from hashlens.engines.served_table import Allowed, Neighbours, ServedTable, check_installed, in_order
from hashlens.engines.table import Facts, Rows, new_facts
from hashlens.errors import BadInput, first_line
from hashlens.files import as_shown

if TYPE_CHECKING:
    from pymilvus import MilvusClient

EXTRA = "milvus"
PORT = 19530
SECONDS_TO_CONNECT = 10
PROPERTY = "hashlens"
ROWS_AT_ONCE = 10_000
MOST_FOUND = 16_384  # that Milvus gives out for one query
LISTS, PROBED = 1024, 16
LONGEST_PATH, LONGEST_LABEL, MOST_LABELS = 65_535, 1024, 1024  # bytes, bytes, and how many of one image


class MilvusTable(ServedTable):
    """A collection of Milvus, searched there: every code, or by BIN_IVF_FLAT.

    Args:
        client: of pymilvus.
        name: of the collection.
        facts: what its property says.
        probed: lists of BIN_IVF_FLAT that are looked into; ``None`` to compare every code.
        shown: the address, without a password.

    Example:
        >>> MilvusTable.exact  # unless the address asks for an approximate index
        True
    """

    def __init__(self, client: MilvusClient, name: str, facts: Facts, probed: int | None, shown: str) -> None:
        super().__init__(facts, shown)
        self.exact = probed is None
        self._client = client
        self._name = name
        self._probed = probed

    def __len__(self) -> int:
        with _in_a_sentence(self._shown):
            return int(self._client.query(self._name, filter="", output_fields=["count(*)"])[0]["count(*)"])

    def nearest(self, query: NDArray[np.uint8], k: int, allowed: Allowed) -> Neighbours:
        """As :meth:`ServedTable.nearest`."""
        if k > MOST_FOUND:
            return self._compared(query, allowed)
        if self._probed is None:
            return self._found(query, k, allowed, {})
        found = self._found(query, k, allowed, {"nprobe": self._probed})
        # The lists that it looked into may hold fewer; all of them together tell how many there are.
        return found if len(found[1]) == k else self._found(query, k, allowed, {"nprobe": LISTS})

    def near(self, query: NDArray[np.uint8], radius: int, allowed: Allowed) -> Neighbours:
        """As :meth:`ServedTable.near`."""
        found = self._found(query, MOST_FOUND, allowed, {"nprobe": LISTS, "radius": radius + 1})
        if len(found[1]) >= MOST_FOUND:
            found = self._compared(query, allowed)
        near = found[0] <= radius
        return found[0][near], found[1][near]

    def write(self, rows: Rows) -> None:
        """As :meth:`ServedTable.write`."""
        for path, names in zip(rows.paths, rows.labels, strict=True):
            _check_fits(path, names)
        with _in_a_sentence(self._shown):
            for start in range(0, len(rows), ROWS_AT_ONCE):
                part = slice(start, start + ROWS_AT_ONCE)
                self._client.upsert(
                    self._name,
                    [
                        {"id": number, "code": code.tobytes(), "path": path, "labels": list(names)}
                        for number, code, path, names in zip(
                            rows.ids[part].tolist(), rows.codes[part], rows.paths[part], rows.labels[part],
                            strict=True,
                        )
                    ],
                )  # fmt: skip

    def delete(self, ids: NDArray[np.int64]) -> None:
        """As :meth:`ServedTable.delete`."""
        with _in_a_sentence(self._shown):
            for part in _parts(ids):
                self._client.delete(self._name, ids=part.tolist())

    def present(self, ids: NDArray[np.int64]) -> NDArray[np.int64]:
        """As :meth:`ServedTable.present`."""
        return np.array([row["id"] for row in self._queried(ids, ["id"])], np.int64)

    def read(self, ids: NDArray[np.int64]) -> Rows:
        """As :meth:`ServedTable.read`."""
        return self._as_rows(self._queried(ids, ["id", "code", "path", "labels"]))

    def every_row(self) -> Iterator[Rows]:
        """As :meth:`Table.every_row`."""
        for batch in self._batches(["id", "code", "path", "labels"]):
            yield self._as_rows(batch)

    def note(self, model: str, whole: bool) -> None:
        """As :meth:`ServedTable.note`."""
        with _in_a_sentence(self._shown):
            self._client.alter_collection_properties(
                self._name, {PROPERTY: Facts(self.bits, model, whole).written()}
            )

    def flush(self) -> None:
        """Note that all is there; before that, let the approximate index take in what is new."""
        if self._probed is not None and not self.whole:
            with _in_a_sentence(self._shown):
                self._client.flush(self._name)
        super().flush()

    def _found(
        self, query: NDArray[np.uint8], limit: int, allowed: Allowed, parameters: dict[str, int]
    ) -> Neighbours:
        """The nearest, as Milvus searches for them; which of several at one distance is not said."""
        conditions = [_any_of(part) for part in _parts(allowed.ids)] if allowed.ids is not None else [""]
        labelled = _with_a_label(allowed.labels)
        distances, ids = [], []
        with _in_a_sentence(self._shown):
            for condition in conditions:
                (hits,) = self._client.search(
                    self._name, data=[query.tobytes()], limit=limit, anns_field="code",
                    filter=" and ".join(filter(None, (condition, labelled))),
                    search_params={"metric_type": "HAMMING", "params": parameters},
                    consistency_level="Session",  # what this process wrote is found, without a wait for others
                )  # fmt: skip
                distances += [hit["distance"] for hit in hits]
                ids += [hit["id"] for hit in hits]
        far, who = in_order(np.array(distances, np.int32), np.array(ids, np.int64))
        return far[:limit], who[:limit]

    def _compared(self, query: NDArray[np.uint8], allowed: Allowed) -> Neighbours:
        """Every code that may be found, compared here, since Milvus gives out no more than so many for a query."""
        parts = [self._as_rows(batch) for batch in self._batches(["id", "code"], _with_a_label(allowed.labels))]
        parts = [part for part in parts if len(part)]
        if not parts:
            return np.empty(0, np.int32), np.empty(0, np.int64)
        codes, ids = np.concatenate([part.codes for part in parts]), np.concatenate([part.ids for part in parts])
        if allowed.ids is not None:
            kept = np.isin(ids, allowed.ids)
            codes, ids = codes[kept], ids[kept]
        distances, found = HammingIndex.build(codes, self.bits, ids=ids).search(query[None], max(1, len(ids)))
        return distances[0], found[0]

    def _queried(self, ids: NDArray[np.int64], fields: list[str]) -> list[dict[str, Any]]:
        with _in_a_sentence(self._shown):
            return [
                row
                for part in _parts(ids)
                for row in self._client.query(self._name, filter=_any_of(part), output_fields=fields)
            ]

    def _batches(self, fields: list[str], condition: str = "") -> Iterator[list[dict[str, Any]]]:
        with _in_a_sentence(self._shown):
            rows = self._client.query_iterator(
                self._name, batch_size=ROWS_AT_ONCE, filter=condition, output_fields=fields
            )
            try:
                while batch := rows.next():
                    yield batch
            finally:
                rows.close()

    def _as_rows(self, found: list[dict[str, Any]]) -> Rows:
        codes = b"".join(row["code"][0] for row in found)
        return Rows(
            np.array([row["id"] for row in found], np.int64),
            np.frombuffer(codes, np.uint8).reshape(len(found), bytes_per_code(self.bits)),
            [row.get("path", "") for row in found],
            [tuple(row.get("labels", ())) for row in found],
        )


@ENGINES.register("milvus")
def open_milvus(address: str, bits: int | None = None) -> MilvusTable:
    """Open a collection of codes, or make a new one.

    Args:
        address: what follows ``milvus:``, see above.
        bits: code length K, where there is no collection yet.

    Raises:
        BadInput: there is no such server or collection, or the collection is not ours or of another code length.

    Example:
        >>> open_milvus("//localhost")
        Traceback (most recent call last):
        ...
        hashlens.errors.BadInput: Name a collection: milvus://localhost/NAME.
    """
    place = urlsplit(address)
    asked = dict(parse_qsl(place.query, keep_blank_values=True))
    name, kind, probed = place.path.strip("/"), asked.pop("index", ""), asked.pop("nprobe", str(PROBED))
    host = place.netloc.rpartition("@")[2]
    shown = f"milvus://{host}/{name or 'NAME'}"
    if not host or not name:
        raise BadInput(f"Name a collection: {shown if host else 'milvus://HOST/NAME'}.")
    if kind not in ("", "ivf"):
        raise BadInput(f"There is no index '{kind}' here; write index=ivf, or leave it out to search exactly.")
    if not probed.isdecimal() or not 1 <= int(probed) <= LISTS:
        raise BadInput(f"nprobe is {probed}; give a whole number from 1 to {LISTS}.")
    secure = asked.pop("secure", "false") == "true"
    database = asked.pop("db_name", "")
    if asked:
        raise BadInput(f"{shown} knows no '{next(iter(asked))}'; it takes index, nprobe, secure and db_name.")
    check_installed("pymilvus", EXTRA)
    from pymilvus import MilvusClient

    # It writes to the terminal whatever it raises as well.
    logging.getLogger("pymilvus").setLevel(logging.CRITICAL)
    with _in_a_sentence(shown):
        try:
            port = place.port or PORT
        except ValueError:
            raise BadInput(f"{shown} names no port; write milvus://HOST:{PORT}/NAME.") from None
        client = MilvusClient(
            uri=f"{'https' if secure else 'http'}://{place.hostname}:{port}",
            user=unquote(place.username or ""), password=unquote(place.password or ""), db_name=database,
            timeout=SECONDS_TO_CONNECT,
        )  # fmt: skip
        if client.has_collection(name):
            held = client.describe_collection(name)
            facts = Facts.read(held["properties"].get(PROPERTY) or held["description"], shown)
            client.load_collection(name)
        else:
            facts = new_facts(bits, shown)
            _create(client, name, facts, approximate=bool(kind))
    facts.check_length(bits, shown)
    return MilvusTable(client, name, facts, int(probed) if kind else None, shown)


def _create(client: MilvusClient, name: str, facts: Facts, approximate: bool) -> None:
    from pymilvus import DataType

    schema = client.create_schema(auto_id=False, enable_dynamic_field=False, description=facts.written())
    schema.add_field("id", DataType.INT64, is_primary=True)
    schema.add_field("code", DataType.BINARY_VECTOR, dim=8 * bytes_per_code(facts.bits))
    schema.add_field("path", DataType.VARCHAR, max_length=LONGEST_PATH)
    schema.add_field(
        "labels", DataType.ARRAY, element_type=DataType.VARCHAR, max_capacity=MOST_LABELS, max_length=LONGEST_LABEL
    )
    index = client.prepare_index_params()
    if approximate:
        index.add_index("code", index_type="BIN_IVF_FLAT", metric_type="HAMMING", params={"nlist": LISTS})
    else:
        index.add_index("code", index_type="BIN_FLAT", metric_type="HAMMING")
    # Strong: what was there is known before a copy goes on.
    client.create_collection(name, schema=schema, index_params=index, consistency_level="Strong")


def _parts(ids: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """As many ids as one condition may name."""
    return [ids[start : start + ROWS_AT_ONCE] for start in range(0, len(ids), ROWS_AT_ONCE)]


def _any_of(ids: NDArray[np.int64]) -> str:
    return f"id in {ids.tolist()}"


def _with_a_label(labels: tuple[str, ...]) -> str:
    return f"array_contains_any(labels, {json.dumps(list(labels), ensure_ascii=False)})" if labels else ""


def _check_fits(path: str, labels: tuple[str, ...]) -> None:
    longest = max((len(name.encode()) for name in labels), default=0)
    if len(path.encode()) > LONGEST_PATH or longest > LONGEST_LABEL or len(labels) > MOST_LABELS:
        raise BadInput(
            f"{as_shown(path) or 'An image'} does not fit into Milvus, which takes paths of {LONGEST_PATH:,} bytes "
            f"and {MOST_LABELS:,} labels of {LONGEST_LABEL:,} bytes at most."
        )


@contextmanager
def _in_a_sentence(shown: str) -> Iterator[None]:
    """What the server, or the way to it, refuses, as bad input."""
    from pymilvus.exceptions import MilvusException

    try:
        yield
    except MilvusException as error:
        raise BadInput(f"{shown}: {first_line(error, error.message)}.") from None
