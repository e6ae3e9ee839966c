"""Features in the columns of a table: one of vectors, or many of numbers."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashlens.errors import BadInput

LABELS = ("label", "labels", "class")


def label_column(names: Iterable[Any]) -> Any:
    """The name of the column of labels, or ``None``.

    Example:
        >>> label_column(["path", "embedding", "label"])
        'label'
    """
    return next((name for name in names if str(name) in LABELS), None)


def features_of_columns(columns: Mapping[Hashable, NDArray[Any]], where: str) -> NDArray[Any]:
    """The features of the rows of a table.

    Args:
        columns: by their names, without that of the labels: one of vectors, which are lists or arrays of numbers,
            beside which all others are passed over; or else numbers in all of them.
        where: what holds them, for messages.

    Returns:
        (N, D) numbers.

    Raises:
        BadInput: there are several columns of vectors, or none and a column that holds no numbers.

    Example:
        >>> rows = np.fromiter([[0.5, 1.0], [1.0, 0.0]], object)
        >>> features_of_columns({"path": np.array(["a.jpg", "b.jpg"]), "embedding": rows}, "mine").tolist()
        [[0.5, 1.0], [1.0, 0.0]]
    """
    vectors = [name for name, column in columns.items() if _holds_vectors(column)]
    if len(vectors) > 1:
        names = " and ".join(map(str, vectors[:2]))
        raise BadInput(f"The {where} has {len(vectors)} columns of vectors, such as {names}; keep one of them.")
    if vectors:
        rows = [np.asarray(row) for row in columns[vectors[0]]]
        if len({row.shape for row in rows}) > 1:
            raise BadInput(f"The vectors of the column {vectors[0]} of the {where} are not of one length.")
        return np.stack(rows)
    for name, column in columns.items():
        if column.dtype.kind not in "biuf":
            raise BadInput(f"The column {name} of the {where} holds no numbers; leave it out.")
    return np.stack(list(columns.values()), axis=1)


def _holds_vectors(column: NDArray[Any]) -> bool:
    first = next((np.asarray(row) for row in column if row is not None), None)
    return first is not None and first.ndim == 1 and first.dtype.kind in "iuf"
