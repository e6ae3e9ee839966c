"""Features in a data frame: a column of vectors, or columns of numbers, and perhaps one of labels."""

from __future__ import annotations

from typing import Any

import numpy as np

from hashlens.errors import BadInput
from hashlens.sources.feature_array import FeatureArray

LABELS = ("label", "labels", "class")


def is_data_frame(items: Any) -> bool:
    """Whether these are the rows of pandas, polars or the like, which need not be installed.

    Example:
        >>> is_data_frame({"columns": 2})
        False
    """
    return hasattr(items, "columns") and hasattr(items, "to_numpy") and hasattr(items, "shape")


def of_data_frame(frame: Any) -> FeatureArray:
    """The features of its rows, and their labels.

    Args:
        frame: with one column of vectors (lists or arrays of numbers), or else numbers in all columns but that of
            the labels, which is called ``label``, ``labels`` or ``class``; any other column beside a column of
            vectors is passed over.

    Raises:
        BadInput: there are several columns of vectors, or none and a column that holds no numbers.

    Example:
        >>> import pandas
        >>> frame = pandas.DataFrame({"embedding": [[0.5, 1.0], [1.0, 0.0]], "label": ["x", "y"]})
        >>> of_data_frame(frame), of_data_frame(frame).feature_dimension
        (FeatureArray('data frame', 2 items, 2 classes), 2)
    """
    labels = next((name for name in frame.columns if str(name) in LABELS), None)
    others = [name for name in frame.columns if name is not labels]
    vectors = [name for name in others if len(frame) and np.ndim(frame[name].to_numpy()[0]) == 1]
    if len(vectors) > 1:
        raise BadInput(f"The data frame has {len(vectors)} columns of vectors, such as {vectors[0]}; select one.")
    if vectors:
        rows = [np.asarray(row, np.float32) for row in frame[vectors[0]].to_numpy()]
        lengths = {row.shape for row in rows}
        if len(lengths) > 1:
            raise BadInput(f"The vectors of the column {vectors[0]} are not of one length.")
        features = np.stack(rows)
    else:
        columns = [frame[name].to_numpy() for name in others]
        for name, column in zip(others, columns, strict=True):
            if column.dtype.kind not in "biuf":
                raise BadInput(f"The column {name} of the data frame holds no numbers; leave it out.")
        features = np.stack(columns, axis=1)
    return FeatureArray("data frame", features, None if labels is None else frame[labels].to_numpy())
