"""A ``datasets.Dataset`` of Hugging Face: rows with a column of images or of vectors, and perhaps one of labels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hashlens.errors import BadInput
from hashlens.sources.column_labels import choose_columns, declared_names, holds_lists, labels_of_column
from hashlens.sources.decoding import UnreadableImage
from hashlens.sources.feature_array import FeatureArray
from hashlens.sources.image_files import read_file
from hashlens.sources.labels import Labels
from hashlens.sources.source import Source


class DatasetImages(Source):
    """Images in a column of a ``datasets.Dataset``; each is read when it is needed.

    Args:
        rows: the data set, whose only column, ``image``, is not decoded.
        labels, class_names, identity: see :class:`hashlens.sources.Source`.
    """

    def __init__(
        self, name: str, rows: Any, labels: Labels | None, class_names: Sequence[str], identity: str
    ) -> None:
        super().__init__(name, labels, class_names, identity)
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    def read(self, item: int) -> bytes:
        value = self._rows[item]["image"]
        if value is not None and value["bytes"] is None and value["path"]:
            return read_file(Path(value["path"]))
        if value is None or value["bytes"] is None:
            raise UnreadableImage("the row has no image")
        return bytes(value["bytes"])

    def location(self, item: int) -> str:
        return f"{self.identity}#{item}"


def is_arrow_dataset(items: Any) -> bool:
    """Whether these are rows of Hugging Face's library ``datasets``, which need not be installed.

    Example:
        >>> is_arrow_dataset({"image": []})
        False
    """
    return type(items).__module__.partition(".")[0] == "datasets" and hasattr(items, "column_names")


def of_arrow_dataset(rows: Any) -> Source:
    """The images, or ready-made features, of its rows, and their labels.

    Args:
        rows: a ``datasets.Dataset``. Its images are in the column ``image`` or ``img``, or in the only one of
            images; its labels in ``label`` or ``labels``, or the only column of ``ClassLabel``. Where there are no
            images, the only column of lists of numbers holds the features.

    Raises:
        BadInput: it is a dictionary of splits or a stream, or has no such column or several.

    Example:
        >>> import datasets
        >>> names = datasets.ClassLabel(names=["cat", "dog"])
        >>> features = datasets.Features({"embedding": datasets.List(datasets.Value("float32")), "animal": names})
        >>> rows = datasets.Dataset.from_dict({"embedding": [[0.5, 1.0], [1.0, 0.0]], "animal": [1, 0]}, features)
        >>> of_arrow_dataset(rows), of_arrow_dataset(rows).label_names(0)
        (FeatureArray('data set', 2 items, 2 classes), ['dog'])
    """
    if isinstance(rows, dict):
        raise BadInput(f"The data set has the splits {', '.join(map(str, rows))}; give one of them.")
    if not hasattr(rows, "__len__"):
        raise BadInput("The data set is a stream, whose items have no numbers; load it without streaming.")
    import pyarrow as pa
    from datasets import Image

    plain = rows.with_format(None)
    features = plain.features.to_dict()
    types = {field.name: field.type for field in plain.features.arrow_schema}
    image, label = choose_columns(types, features)
    where = "data set" if plain.split is None else f"data set:{plain.split}"
    identity = f"data set {plain._fingerprint}"
    labels: Labels | None = None
    names: tuple[str, ...] = ()
    if label is not None:
        column = plain.select_columns([label]).with_format("arrow")[:].column(0)
        labels, names = labels_of_column(column, declared_names(features[label]), where)
    if image is not None:
        # Rows that a program decoded or drew are encoded again by the library, without loss, when they are cast.
        undecoded = plain.select_columns([image]).rename_columns({image: "image"} if image != "image" else {})
        return DatasetImages(where, undecoded.cast_column("image", Image(decode=False)), labels, names, identity)
    vectors = [
        name
        for name, kind in types.items()
        if name != label and holds_lists(kind) and pa.types.is_floating(kind.value_type)
    ]
    if len(vectors) != 1:
        told = f"{len(vectors)} columns of vectors" if vectors else "no column of images"
        raise BadInput(f"The data set has {told}; it has {', '.join(types) or 'no columns'}: select one.")
    values = plain.select_columns(vectors).with_format("arrow")[:].column(0).to_pylist()
    if len({None if value is None else len(value) for value in values}) > 1 or None in values:
        raise BadInput(f"The vectors of the column {vectors[0]} are not of one length.")
    return FeatureArray(where, np.array(values, np.float32), labels, names, identity)
