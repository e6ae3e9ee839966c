"""Images or features in a .parquet file, in the convention of Hugging Face datasets."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from hashlens.errors import BadInput, first_line
from hashlens.files import check_growth, parquet_bytes
from hashlens.sources.column_labels import (
    choose_columns,
    declared_features,
    declared_names,
    holds_images,
    holds_vectors,
    labels_of_column,
)
from hashlens.sources.decoding import UnreadableImage
from hashlens.sources.feature_array import FeatureArray
from hashlens.sources.feature_columns import features_of_columns, label_column
from hashlens.sources.image_files import read_file
from hashlens.sources.labels import Labels, number_labels
from hashlens.sources.opener import Opener, is_file_named
from hashlens.sources.source import Source, identity_of

DAMAGE = (pa.ArrowException, OSError, UnicodeDecodeError)  # what damaged files raise
KEPT_BYTES = 1 << 30  # of row groups in memory


class ParquetImages(Source):
    """Rows of a parquet file; groups of rows are read when one of them is needed.

    Args:
        path: the file.
        rows: the rows to use.
        column: of the images: structs of ``bytes`` and ``path``, or the bytes themselves.
        location: what opens the file, where that is not its path.
    """

    def __init__(
        self,
        path: Path,
        rows: NDArray[np.int64],
        labels: Labels | None = None,
        class_names: Sequence[str] = (),
        identity: str | None = None,
        column: str = "image",
        location: str | None = None,
    ) -> None:
        super().__init__(location or str(path), labels, class_names, identity)
        self._path = path
        self._rows = rows
        self._image_column = column
        self._elsewhere = location is not None  # and must not name files of this machine
        self._location = location or str(path.resolve())
        self._open()

    def _open(self) -> None:
        self._file = pq.ParquetFile(self._path)
        sizes = [self._file.metadata.row_group(g).num_rows for g in range(self._file.num_row_groups)]
        self._group_ends = np.cumsum(sizes)
        self._groups: OrderedDict[int, pa.ChunkedArray] = OrderedDict()
        self._lock = threading.Lock()
        status = self._path.stat()
        self._fingerprint = status.st_size, status.st_mtime_ns

    def __len__(self) -> int:
        return len(self._rows)

    def key(self, item: int) -> str:
        return f"{self._path.name}#{self._rows[item]}"

    def fingerprint(self, item: int) -> tuple[int, int]:
        return self._fingerprint

    def read(self, item: int) -> bytes:
        row = int(self._rows[item])
        group = int(np.searchsorted(self._group_ends, row, side="right"))
        first = int(self._group_ends[group - 1]) if group else 0
        try:
            value: Any = self._column(group)[row - first].as_py()
        except DAMAGE as error:
            raise UnreadableImage(f"the row cannot be read ({error})") from None
        if isinstance(value, dict):
            if value.get("bytes") is None and value.get("path"):
                return self._linked(value["path"])
            value = value.get("bytes")
        if value is None:
            raise UnreadableImage("the row has no image")
        return bytes(value)

    def _linked(self, name: str) -> bytes:
        if self._elsewhere:
            raise UnreadableImage("the row names a file instead of holding it")
        try:
            return read_file(self._path.parent / name)
        except UnreadableImage as error:
            raise UnreadableImage(f"{name}: {error}") from None

    def _column(self, group: int) -> pa.ChunkedArray:
        with self._lock:
            if group not in self._groups:
                self._groups[group] = self._file.read_row_group(group, columns=[self._image_column]).column(0)
            self._groups.move_to_end(group)
            while len(self._groups) > 1 and sum(column.nbytes for column in self._groups.values()) > KEPT_BYTES:
                self._groups.popitem(last=False)
            return self._groups[group]

    def location(self, item: int) -> str:
        return f"{self._location}#{self._rows[item]}"

    def vectors(self, column: str) -> NDArray[np.float32]:
        names = self._file.schema_arrow.names
        if column not in names:
            raise BadInput(f"{self._path} has no column '{column}' of vectors; it has {', '.join(names)}.")
        try:
            values = self._file.read(columns=[column]).column(column).to_pylist()
        except DAMAGE as error:
            raise BadInput(f"{self._path} is damaged ({first_line(error)}).") from None
        lengths = {len(value) if isinstance(value, list) else 0 for value in values if value is not None}
        if len(lengths) != 1 or 0 in lengths:
            raise BadInput(f"{self._path} has a column '{column}' that does not hold lists of one length.")
        nothing = [0.0] * lengths.pop()
        try:
            vectors = np.array([nothing if value is None else value for value in values], np.float32)
        except (TypeError, ValueError):
            raise BadInput(f"{self._path} has a column '{column}' that does not hold lists of numbers.") from None
        return vectors[self._rows]

    def __getstate__(self) -> dict[str, Any]:
        opened = ("_file", "_groups", "_lock")
        return {name: value for name, value in self.__dict__.items() if name not in opened}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._open()


def open_parquet(path: str | os.PathLike[str], split: str | None = None, location: str | None = None) -> Source:
    """Open a parquet file of images, or of ready-made features.

    Args:
        path: has a column ``image``, or else one of vectors, which are lists of numbers; and, if there are labels,
            ``label`` or ``labels``: class numbers or names, or lists of them; or other names that
            :func:`hashlens.sources.column_labels.choose_columns` finds. Names of numbered classes come from the
            ClassLabel in the file's metadata.
        split: keep the rows that have this value in the column ``split``.
        location: what opens the file, where that is not its path; its name then, too.

    Raises:
        BadInput: it is not a parquet file, a column is missing or of a wrong type, or no row is left.
    """
    path = Path(path)
    try:
        metadata = pq.read_metadata(path)
        schema = metadata.schema.to_arrow_schema()
    except DAMAGE as error:
        raise BadInput(f"{path} is not a parquet file ({first_line(error)}).") from None
    check_growth(path, parquet_bytes(metadata))
    features = declared_features(schema)
    image, label = choose_columns({field.name: field.type for field in schema}, features)
    if image is None:
        return _features(path, schema, label or label_column(schema.names), split, location)
    kind = schema.field(image).type
    if not holds_images(kind):
        raise BadInput(f"{path} has a column '{image}' of type {kind}; it must hold bytes, or bytes and path.")
    wanted = [name for name in (label, "split") if name in schema.names]
    try:
        table = pq.read_table(path, columns=wanted) if wanted else None
    except DAMAGE as error:
        raise BadInput(f"{path} is damaged ({first_line(error)}).") from None
    if table is not None and len(table) != metadata.num_rows:
        raise BadInput(f"{path} is damaged (it says to hold {metadata.num_rows} rows, and holds {len(table)}).")
    rows = np.arange(metadata.num_rows)
    if split is not None:
        if "split" not in schema.names:
            raise BadInput(f"{path} has no column 'split' to look for '{split}' in.")
        assert table is not None
        rows = np.flatnonzero(np.array(table.column("split").to_pylist()) == split)
    if not len(rows):
        raise BadInput(f"{path} holds no images" + (f" with split '{split}'." if split else "."))
    identity = location or identity_of(path, split)
    labels: Labels | None = None
    class_names: tuple[str, ...] = ()
    if label is not None:
        assert table is not None
        every, class_names = labels_of_column(table.column(label), declared_names(features.get(label)), str(path))
        labels = None if every is None else every[rows]
    return ParquetImages(path, rows, labels, class_names, identity, image, location)


def _features(path: Path, schema: pa.Schema, label: str | None, split: str | None, location: str | None) -> Source:
    """The only column of vectors, with the labels beside it."""
    vectors = [field.name for field in schema if field.name != label and holds_vectors(field.type)]
    if not vectors:
        there = ", ".join(schema.names) or "none"
        raise BadInput(f"{path} needs a column 'image', or one of vectors as lists of numbers; it has {there}.")
    if split is not None and "split" not in schema.names:
        raise BadInput(f"{path} has no column 'split' to look for '{split}' in.")
    wanted = [*vectors, *(name for name in (label, "split") if name in schema.names)]
    try:
        table = pq.read_table(path, columns=wanted)
        columns = {name: table.column(name).to_numpy() for name in wanted}
    except DAMAGE as error:
        raise BadInput(f"{path} is damaged ({first_line(error)}).") from None
    if not len(table):
        raise BadInput(f"{path} holds no features.")
    names = None if label is None else declared_names(declared_features(schema).get(label))
    labels, class_names = number_labels(columns[label], names, str(path)) if label else (None, ())
    source: Source = FeatureArray(
        location or str(path),
        features_of_columns({name: columns[name] for name in vectors}, f"file {path}"),
        labels,
        class_names,
        location or identity_of(path, split),
    )
    if split is not None:
        source = source.select(columns["split"] == split)
    if not len(source):
        raise BadInput(f"{path} holds no features" + (f" with split '{split}'." if split else "."))
    return source


OPENER = Opener("a .parquet file of images or features", is_file_named(".parquet"), open_parquet)
