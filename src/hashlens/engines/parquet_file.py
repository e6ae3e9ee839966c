"""Codes in a Parquet file, which DuckDB, Spark and pandas read: ``codes.parquet``.

Columns: ``id`` (int64), ``code`` (fixed-size binary, ceil(K/8) bytes), ``path`` (string), ``labels`` (list of
strings). Bit 0 of a code is the most significant bit of its first byte; zero bits fill up the last byte, so they
never add to a distance. Code length and fingerprint of the model stand in the file's metadata.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hashlens.codes.packing import bytes_per_code
from hashlens.engines.engine import ENGINES
from hashlens.engines.file_table import FileTable
from hashlens.engines.table import Facts, Rows
from hashlens.errors import BadInput, first_line
from hashlens.files import as_shown, check_growth, parquet_bytes

METADATA_KEY = b"hashlens"


@ENGINES.register("parquet")
class ParquetFile(FileTable):
    """A table in a Parquet file.

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

    def write(self, temporary: Path, facts: Facts) -> None:
        """As :meth:`FileTable.write`."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        width = bytes_per_code(facts.bits)
        schema = pa.schema(
            [
                pa.field("id", pa.int64(), nullable=False),
                pa.field("code", pa.binary(width), nullable=False),
                pa.field("path", pa.string()),
                pa.field("labels", pa.list_(pa.string())),
            ],
            metadata={METADATA_KEY: facts.written()},
        )
        with pq.ParquetWriter(temporary, schema, write_page_checksum=True) as writer:
            for rows in self.every_row():
                codes = pa.FixedSizeBinaryArray.from_buffers(
                    pa.binary(width), len(rows), [None, pa.py_buffer(np.ascontiguousarray(rows.codes))]
                )
                # A file's name may be no UTF-8, which a string of Parquet has to be.
                paths = pa.array([as_shown(path) or None for path in rows.paths], pa.string())
                labels = pa.array([[as_shown(name) for name in names] for names in rows.labels], schema.types[3])
                writer.write_table(pa.Table.from_arrays([pa.array(rows.ids), codes, paths, labels], schema=schema))

    def read(self) -> tuple[Facts, Rows]:
        """As :meth:`FileTable.read`."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            with pq.ParquetFile(self.path, page_checksum_verification=True) as file:
                check_growth(self.path, parquet_bytes(file.metadata))
                facts = Facts.read((file.schema_arrow.metadata or {}).get(METADATA_KEY), str(self.path))
                columns = file.read(["id", "code", "path", "labels"])
        except BadInput:
            raise
        except (pa.ArrowException, OSError, ValueError, RecursionError) as error:
            raise BadInput(f"{self.path} cannot be read ({first_line(error)}).") from None
        width = bytes_per_code(facts.bits)
        missing = {"id", "code", "path", "labels"} - set(columns.column_names)
        if missing:
            raise BadInput(f"{self.path} is damaged: it has no column '{min(missing)}'; copy the index again.")
        if str(columns["code"].type) != f"fixed_size_binary[{width}]" or columns["code"].null_count:
            raise BadInput(f"{self.path} is damaged: its codes are not of {facts.bits} bits.")
        try:
            codes = b"".join(columns["code"].to_pylist())
            return facts, Rows(
                columns["id"].to_numpy().astype(np.int64, casting="safe"),
                np.frombuffer(codes, np.uint8).reshape(-1, width),
                [name or "" for name in columns["path"].to_pylist()],
                [tuple(labels or ()) for labels in columns["labels"].to_pylist()],
            )
        except (KeyError, TypeError, ValueError) as error:
            raise BadInput(
                f"{self.path} is damaged ({type(error).__name__} in its columns); copy the index again."
            ) from None
