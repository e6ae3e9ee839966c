"""Codes in a NumPy file, which ``np.load`` reads: ``codes.npy``.

A structured array with the fields ``id`` (int64), ``code`` (ceil(K/8) uint8, bits as in a Parquet file), ``path``
(UTF-8 bytes) and ``labels`` (a JSON list of names, UTF-8 bytes). NumPy's format has no place for remarks, so what
the file says of itself is the title of the field ``id``.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xxhash
from numpy.typing import NDArray

from hashlens.codes.packing import bytes_per_code
from hashlens.engines.engine import ENGINES
from hashlens.engines.file_table import FileTable
from hashlens.engines.table import Facts, Rows
from hashlens.errors import BadInput
from hashlens.files import as_shown, read_array

CHECKSUM = "checksum"  # of what it says and all rows, XXH3


@ENGINES.register("npy")
class NpyFile(FileTable):
    """A table in a NumPy file.

    Example:
        >>> import tempfile, hashlens as hl
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     table = hl.engines.open(f"{folder}/codes.npy", bits=8)
        ...     _ = table.add(np.array([[170], [171]], np.uint8), [7, 9])
        ...     table.flush()
        ...     written = np.load(f"{folder}/codes.npy")
        ...     again = hl.engines.open(f"{folder}/codes.npy")
        >>> written["id"].tolist(), written["code"].tolist(), len(again)
        ([7, 9], [[170], [171]], 2)
    """

    def write(self, temporary: Path, facts: Facts) -> None:
        """As :meth:`FileTable.write`."""
        paths = [as_shown(path).encode() for rows in self.every_row() for path in rows.paths]
        labels = [_as_json(names) for rows in self.every_row() for names in rows.labels]
        fields: list[Any] = [
            ("id", "<i8"),
            ("code", "u1", (bytes_per_code(facts.bits),)),
            ("path", f"S{max(map(len, paths), default=0) or 1}"),
            ("labels", f"S{max(map(len, labels), default=0) or 1}"),
        ]
        array = np.zeros(len(self), fields)
        array["path"], array["labels"] = paths, labels
        start = 0
        for rows in self.every_row():
            array["id"][start : start + len(rows)] = rows.ids
            array["code"][start : start + len(rows)] = rows.codes
            start += len(rows)
        said = json.dumps({**json.loads(facts.written()), CHECKSUM: _checksum(facts, array)})
        with temporary.open("wb") as file:
            np.save(file, array.view([((said, "id"), "<i8"), *fields[1:]]), allow_pickle=False)

    def read(self) -> tuple[Facts, Rows]:
        """As :meth:`FileTable.read`."""
        array = read_array(self.path, "codes", kinds="V")
        said = _title(array)
        facts = Facts.read(said, str(self.path))
        width = bytes_per_code(facts.bits)
        kinds = {name: array.dtype[name].base.kind for name in array.dtype.names or ()}
        if kinds != {"id": "i", "code": "u", "path": "S", "labels": "S"} or array.ndim != 1:
            raise BadInput(f"{self.path} is damaged: its fields are not id, code, path and labels.")
        if array.dtype["code"] != np.dtype(("u1", (width,))):
            raise BadInput(f"{self.path} is damaged: its codes are not of {facts.bits} bits.")
        if json.loads(said).get(CHECKSUM) != _checksum(facts, array):
            raise BadInput(f"{self.path} is damaged: what it holds is not what was written; copy the index again.")
        return facts, Rows(
            array["id"].astype(np.int64),
            np.ascontiguousarray(array["code"]),
            [path.decode() for path in array["path"].tolist()],
            [tuple(json.loads(names or b"[]")) for names in array["labels"].tolist()],
        )


def _as_json(names: Sequence[str]) -> bytes:
    return json.dumps([as_shown(name) for name in names], ensure_ascii=False).encode()


def _title(array: NDArray[Any]) -> str:
    """Title of the field ``id``; empty where it has none."""
    field: tuple[Any, ...] = dict(array.dtype.fields or {}).get("id", ())
    return field[2] if len(field) > 2 and isinstance(field[2], str) else ""


def _checksum(facts: Facts, array: NDArray[Any]) -> str:
    checksum = xxhash.xxh3_64(facts.written().encode())
    if array.size:
        checksum.update(np.ascontiguousarray(array).view(np.uint8).data)
    return checksum.hexdigest()
