"""Codes in a Parquet file, which DuckDB, Spark and pandas read: ``codes.parquet``.

Columns: ``id`` (int64), ``code`` (fixed-size binary, ceil(K/8) bytes), ``path`` (string), ``labels`` (list of
strings). Bit 0 of a code is the most significant bit of its first byte; zero bits fill up the last byte, so they
never add to a distance. Code length and fingerprint of the model stand in the file's metadata.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hashlens.codes.packing import as_packed, bytes_per_code
from hashlens.engines.engine import ENGINES, Found, Ragged
from hashlens.engines.hamming import HammingIndex
from hashlens.engines.table import Facts, Rows, Table, new_facts
from hashlens.errors import BadInput, first_line
from hashlens.files import as_shown, check_growth, parquet_bytes, replacing

METADATA_KEY = b"hashlens"
ROWS_AT_ONCE = 1 << 16
NOTHING_KNOWN: tuple[str, tuple[str, ...]] = ("", ())


class ParquetFile(Table):
    """The codes of a file, held in memory and searched exactly; :meth:`flush` writes the file anew.

    Args:
        path: the file.
        index: the codes in it.
        known: path and labels of each image by its id, where these are known.
        model: fingerprint of the model.

    Example:
        >>> import tempfile, hashlens as hl
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     table = hl.engines.open(f"{folder}/codes.parquet", bits=8)
        ...     _ = table.add(np.array([[170], [171]], np.uint8), [7, 9])
        ...     table.flush()
        ...     again = hl.engines.open(f"{folder}/codes.parquet")
        ...     again.search(np.array([[171]], np.uint8), k=1)
        (array([[0]], dtype=int32), array([[9]]))
    """

    def __init__(
        self, path: Path, index: HammingIndex, known: dict[int, tuple[str, tuple[str, ...]]], model: str = ""
    ) -> None:
        self.path = path
        self.bits = index.bits
        self.model = model
        self._index = index
        self._known = known

    def __len__(self) -> int:
        return len(self._index)

    def __repr__(self) -> str:
        return str(self.path)

    def search(
        self, codes: ArrayLike, k: int = 10, allow: ArrayLike | None = None, labels: Sequence[str] = ()
    ) -> Found:
        """As :meth:`Table.search`."""
        return self._index.search(codes, k, self._held(allow, labels))

    def within(
        self, codes: ArrayLike, radius: int, allow: ArrayLike | None = None, labels: Sequence[str] = ()
    ) -> Ragged:
        """As :meth:`Table.within`."""
        return self._index.within(codes, radius, self._held(allow, labels))

    def add(self, codes: ArrayLike, ids: ArrayLike) -> NDArray[np.int64]:
        """As :meth:`SearchEngine.add`; paths and labels are then not known."""
        added = self._index.add(codes, ids)
        for number in added.tolist():
            self._known.pop(number, None)
        return added

    def put(self, rows: Rows) -> None:
        """As :meth:`Table.put`."""
        self._index.add(rows.codes, rows.ids)
        self._known.update(zip(rows.ids.tolist(), zip(rows.paths, rows.labels, strict=True), strict=True))

    def remove(self, ids: ArrayLike) -> None:
        """As :meth:`SearchEngine.remove`."""
        self._index.remove(ids)
        for number in np.asarray(ids).tolist():
            self._known.pop(number, None)

    def contains(self, ids: ArrayLike) -> NDArray[np.bool_]:
        """As :meth:`SearchEngine.contains`."""
        return self._index.contains(ids)

    def rows(self, ids: ArrayLike) -> Rows:
        """As :meth:`Table.rows`."""
        numbers = np.asarray(ids, np.int64)
        known = [self._known.get(number, NOTHING_KNOWN) for number in numbers.tolist()]
        return Rows(
            numbers, self._index.codes(numbers), [path for path, _ in known], [labels for _, labels in known]
        )

    def every_row(self) -> Iterator[Rows]:
        """As :meth:`Table.every_row`."""
        ids = np.sort(self._index.ids)
        for start in range(0, len(ids), ROWS_AT_ONCE):
            yield self.rows(ids[start : start + ROWS_AT_ONCE])

    def flush(self) -> None:
        """Write the file. A crash at any moment leaves what was there before, or all of it.

        Raises:
            BadInput: it cannot be written.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        width = bytes_per_code(self.bits)
        schema = pa.schema(
            [
                pa.field("id", pa.int64(), nullable=False),
                pa.field("code", pa.binary(width), nullable=False),
                pa.field("path", pa.string()),
                pa.field("labels", pa.list_(pa.string())),
            ],
            metadata={METADATA_KEY: Facts(self.bits, self.model).written()},
        )
        try:
            with (
                replacing(self.path) as temporary,
                pq.ParquetWriter(temporary, schema, write_page_checksum=True) as writer,
            ):
                for rows in self.every_row():
                    codes = pa.FixedSizeBinaryArray.from_buffers(
                        pa.binary(width), len(rows), [None, pa.py_buffer(np.ascontiguousarray(rows.codes))]
                    )
                    # A file's name may be no UTF-8, which a string of Parquet has to be.
                    paths = pa.array([as_shown(path) or None for path in rows.paths], pa.string())
                    labels = pa.array(
                        [[as_shown(name) for name in names] for names in rows.labels], schema.types[3]
                    )
                    writer.write_table(
                        pa.Table.from_arrays([pa.array(rows.ids), codes, paths, labels], schema=schema)
                    )
        except OSError as error:
            raise BadInput(f"{self.path} cannot be written ({error.strerror or 'the disk may be full'}).") from None

    def _held(self, allow: ArrayLike | None, labels: Sequence[str]) -> NDArray[np.int64] | None:
        """Those of the ids that have a code, as ours refuses ids that it never gave out, and one of the labels."""
        if allow is None and not labels:
            return None
        ids = np.sort(self._index.ids) if allow is None else np.asarray(allow, np.int64)
        kept = self._index.contains(ids)
        if labels:
            wanted = set(labels)
            kept &= np.array(
                [not wanted.isdisjoint(self._known.get(number, NOTHING_KNOWN)[1]) for number in ids.tolist()],
                np.bool_,
            )
        return ids[kept]


@ENGINES.register("parquet")
def open_parquet(address: str, bits: int | None = None) -> ParquetFile:
    """Open a file of codes, or begin a new one.

    Args:
        address: path of the file.
        bits: code length K, where there is no file yet.

    Raises:
        BadInput: there is no such file and ``bits`` is not given, or the file is damaged, holds something else, or
            codes of another length.

    Example:
        >>> open_parquet("nowhere.parquet")
        Traceback (most recent call last):
        ...
        hashlens.errors.BadInput: There are no codes at nowhere.parquet; write them with hashlens copy.
    """
    path = Path(address)
    if not path.exists():
        facts = new_facts(bits, str(path))
        if not path.parent.is_dir():
            raise BadInput(f"{path} cannot be written, since there is no folder {path.parent}; make it first.")
        return ParquetFile(
            path, HammingIndex.build(np.empty((0, bytes_per_code(facts.bits)), np.uint8), facts.bits), {}
        )
    facts, columns = _read(path)
    held, width = facts.bits, bytes_per_code(facts.bits)
    try:
        column = columns["code"].combine_chunks()
        if str(column.type) != f"fixed_size_binary[{width}]" or columns["code"].null_count:
            raise BadInput(f"{path} is damaged: its codes are not of {held} bits.")
        codes = b"".join(column.to_pylist())
        packed, _ = as_packed(np.frombuffer(codes, np.uint8).reshape(-1, width), held)
        ids = columns["id"].to_numpy().astype(np.int64, casting="safe")
        known = {
            number: (name or "", tuple(labels or ()))
            for number, name, labels in zip(
                ids.tolist(), columns["path"].to_pylist(), columns["labels"].to_pylist(), strict=True
            )
        }
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, BadInput):
            raise
        raise BadInput(
            f"{path} is damaged ({type(error).__name__} in its columns); copy the index again."
        ) from None
    facts.check_length(bits, str(path))
    return ParquetFile(path, HammingIndex.build(packed, held, ids=ids), known, facts.model)


def _read(path: Path) -> tuple[Facts, Any]:
    """What a file says of itself, and its columns."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            check_growth(path, parquet_bytes(file.metadata))
            facts = Facts.read((file.schema_arrow.metadata or {}).get(METADATA_KEY), str(path))
            columns = file.read(["id", "code", "path", "labels"])
    except BadInput:
        raise
    except (pa.ArrowException, OSError, ValueError, RecursionError) as error:
        raise BadInput(f"{path} cannot be read ({first_line(error)}).") from None
    return facts, columns
