"""Labels from a column of values, as tables hold them, and the class names that Hugging Face data sets declare."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from hashlens.errors import BadInput
from hashlens.sources.labels import (
    Labels,
    number_classes,
    number_integers,
    number_label_sets,
)

LABEL_COLUMNS = ("label", "labels")


def labels_of_column(
    column: pa.ChunkedArray, declared: Sequence[str] | None, where: str
) -> tuple[Labels | None, tuple[str, ...]]:
    """Labels of N rows, and the names of their C classes.

    Args:
        column: (N,) integers or strings, or lists of either; null for none.
        declared: the names of integers, or none.
        where: what holds the column, for messages.

    Returns:
        (N,) int64 class numbers, −1 for none, or (N, C) bool; ``None`` if all are strings that are empty.

    Raises:
        BadInput: it is of another type, or does not fit the names.

    Example:
        >>> labels_of_column(pa.chunked_array([["cat", None, "dog"]]), None, "mine")
        (array([ 0, -1,  1]), ('cat', 'dog'))
    """
    kind = column.type
    values = column.to_pylist()
    if pa.types.is_integer(kind):
        numbers = np.array([-1 if value is None else value for value in values], np.int64)
        return number_integers(numbers, declared, where)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return number_classes(values)
    if holds_lists(kind):
        one_label = kind.value_type
        if pa.types.is_integer(one_label) or pa.types.is_string(one_label) or pa.types.is_large_string(one_label):
            sets = [[one for one in value or [] if one is not None] for value in values]
            return number_label_sets(sets, declared, where)
    raise BadInput(f"{where} has labels of type {kind}; use integers, strings, or lists of either.")


def labels_of_values(
    values: Sequence[Any], declared: Sequence[str] | None, where: str
) -> tuple[Labels | None, tuple[str, ...]]:
    """The same of values that stand alone: numbers, names, lists of either, ``None``.

    Example:
        >>> labels_of_values([1, "cat", None], None, "mine")
        (array([ 0,  1, -1]), ('1', 'cat'))
        >>> labels_of_values([None, None], None, "mine")
        (None, ())
    """
    if all(value is None for value in values):
        return None, ()
    alone = [value for value in values if value is not None and not isinstance(value, list)]
    if any(isinstance(value, str) for value in alone):
        values = [str(value) if isinstance(value, int) else value for value in values]
    try:
        column = pa.chunked_array([pa.array(values)])
    except (pa.ArrowException, OverflowError):
        raise BadInput(f"{where} has labels of different kinds; use numbers, names, or lists of either.") from None
    return labels_of_column(column, declared, where)


def declared_features(schema: pa.Schema) -> dict[str, Any]:
    """What the metadata that Hugging Face datasets writes says of each column, as far as it says anything.

    Example:
        >>> declared_features(pa.schema([("label", pa.int64())]))
        {}
    """
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
    except (KeyError, ValueError, TypeError, RecursionError):
        return {}
    return features if isinstance(features, dict) else {}


def declared_names(feature: Any) -> list[str] | None:
    """Names of a ClassLabel, alone or in a sequence.

    Example:
        >>> declared_names({"_type": "Sequence", "feature": {"_type": "ClassLabel", "names": ["cat", "dog"]}})
        ['cat', 'dog']
    """
    while feature is not None:
        if isinstance(feature, list):
            feature = feature[0] if feature else None
        elif isinstance(feature, Mapping):
            if isinstance(feature.get("names"), list):
                return [str(name) for name in feature["names"]]
            feature = feature.get("feature")
        else:
            return None
    return None


def choose_columns(kinds: Mapping[str, pa.DataType], features: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """The column of the images and that of the labels, of a table.

    The images are called ``image`` or ``img``, or are the only column that is declared as images or holds bytes and
    paths. The labels are called ``label`` or ``labels``, or are the only column that is declared as classes.

    Example:
        >>> names = {"_type": "ClassLabel", "names": ["cat"]}
        >>> choose_columns({"photo": pa.binary(), "animal": pa.int64()}, {"animal": names})
        ('photo', 'animal')
    """
    declared = [name for name in kinds if isinstance(features.get(name), Mapping)]
    images = [name for name in declared if features[name].get("_type") == "Image"]
    images = images or [name for name, kind in kinds.items() if holds_images(kind)]
    classes = [name for name in declared if declared_names(features[name]) is not None]
    return (
        next((name for name in ("image", "img") if name in kinds), images[0] if len(images) == 1 else None),
        next((name for name in LABEL_COLUMNS if name in kinds), classes[0] if len(classes) == 1 else None),
    )


def holds_lists(kind: pa.DataType) -> bool:
    """Whether a column of this type holds lists, of any length or all of one.

    Example:
        >>> holds_lists(pa.list_(pa.float32())), holds_lists(pa.list_(pa.int8(), 3)), holds_lists(pa.int8())
        (True, True, False)
    """
    return pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)


def holds_vectors(kind: pa.DataType) -> bool:
    """Whether a column of this type holds lists of numbers.

    Example:
        >>> holds_vectors(pa.list_(pa.float32())), holds_vectors(pa.list_(pa.string()))
        (True, False)
    """
    return holds_lists(kind) and (pa.types.is_floating(kind.value_type) or pa.types.is_integer(kind.value_type))


def holds_images(kind: pa.DataType) -> bool:
    """Whether a column of this type may hold images: bytes, or structs of bytes and path.

    Example:
        >>> holds_images(pa.binary()), holds_images(pa.string())
        (True, False)
    """
    if pa.types.is_struct(kind):
        return not {"bytes", "path"}.isdisjoint(kind.field(number).name for number in range(kind.num_fields))
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind)
