"""Features in a data frame: a column of vectors, or columns of numbers, and perhaps one of labels."""

from __future__ import annotations

from typing import Any

from hashlens.sources.feature_array import FeatureArray
from hashlens.sources.feature_columns import features_of_columns, label_column


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
            the labels, which is called ``label``, ``labels`` or ``class``; see
            :func:`hashlens.sources.feature_columns.features_of_columns`.

    Raises:
        BadInput: there are several columns of vectors, or none and a column that holds no numbers.

    Example:
        >>> import pandas
        >>> frame = pandas.DataFrame({"embedding": [[0.5, 1.0], [1.0, 0.0]], "label": ["x", "y"]})
        >>> of_data_frame(frame), of_data_frame(frame).feature_dimension
        (FeatureArray('data frame', 2 items, 2 classes), 2)
    """
    labels = label_column(frame.columns)
    columns = {name: frame[name].to_numpy() for name in frame.columns if name is not labels}
    features = features_of_columns(columns, "data frame")
    return FeatureArray("data frame", features, None if labels is None else frame[labels].to_numpy())
