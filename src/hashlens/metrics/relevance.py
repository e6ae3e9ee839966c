"""The one owner of relevance: which database items are right answers to which query.

Single label: same class. Multi-label: at least one label in common. Items without a label are relevant to
nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hashlens.errors import BadInput


@dataclass(frozen=True)
class SameClass:
    """Relevance of single labels, as ranges of a database that is sorted by class.

    Attributes:
        order: (N,) int64, database rows sorted by class.
        classes: (N,) int64, numbers of the classes in that order.
        starts, stops: (Q,) int64; what is relevant to query q stands at ``order[starts[q]:stops[q]]``.

    Example:
        >>> found = relevance([1], [0, 1, 1])
        >>> found.order[found.starts[0] : found.stops[0]]
        array([1, 2])
    """

    order: NDArray[np.int64]
    classes: NDArray[np.int64]
    starts: NDArray[np.int64]
    stops: NDArray[np.int64]


@dataclass(frozen=True)
class SharedLabel:
    """Relevance of label sets, as bit masks.

    Attributes:
        query_masks: (Q, M) uint64, M = ceil(C/64).
        database_masks: (N, M) uint64; an item is relevant where the masks have a bit in common.

    Example:
        >>> found = relevance([[1, 0]], [[1, 1], [0, 1]])
        >>> (found.query_masks & found.database_masks).any(1)
        array([ True, False])
    """

    query_masks: NDArray[np.uint64]
    database_masks: NDArray[np.uint64]


Relevance = SameClass | SharedLabel


def relevance(query_labels: ArrayLike, database_labels: ArrayLike) -> Relevance:
    """Work out relevance once, in a form that can be counted fast.

    Args:
        query_labels, database_labels: both (N,) labels (integers, where −1 is "no label", or strings), or
            both (N, C) multi-hot.

    Raises:
        BadInput: the two are of different kinds, or disagree on the number of classes.

    Example:
        >>> found = relevance(["cat", "fish"], ["dog", "cat", "cat"])
        >>> [found.order[start:stop].tolist() for start, stop in zip(found.starts, found.stops)]
        [[1, 2], []]
    """
    queries, database = np.asarray(query_labels), np.asarray(database_labels)
    if queries.ndim != database.ndim or queries.ndim not in (1, 2):
        raise BadInput(
            f"Query labels of shape {queries.shape} and database labels of shape {database.shape} do not go "
            "together; give (N,) class numbers for both or (N, C) multi-hot labels for both."
        )
    if queries.ndim == 2:
        if queries.shape[1] != database.shape[1]:
            raise BadInput(
                f"Queries have {queries.shape[1]} label columns, but the database has {database.shape[1]}."
            )
        return SharedLabel(_masks(queries), _masks(database))
    if np.issubdtype(queries.dtype, np.floating) or np.issubdtype(database.dtype, np.floating):
        raise BadInput("Class labels must be integers or strings, not real numbers.")
    if (queries.dtype.kind in "US") != (database.dtype.kind in "US"):
        raise BadInput("Query labels and database labels must both be class numbers or both be names.")

    order = stable_order(database)
    in_order = database[order]
    starts = np.searchsorted(in_order, queries, side="left")
    stops = np.searchsorted(in_order, queries, side="right")
    if np.issubdtype(queries.dtype, np.signedinteger):
        stops = np.where(queries == -1, starts, stops)
    classes = np.zeros(len(in_order), np.int64)
    classes[1:] = np.cumsum(in_order[1:] != in_order[:-1])
    return SameClass(order, classes, starts, stops)


def relevant_results(query_labels: NDArray[Any], result_labels: NDArray[Any]) -> NDArray[np.bool_]:
    """Which of a few results of each query are relevant.

    Args:
        query_labels: (Q,) class numbers, −1 for none, or (Q, C) multi-hot.
        result_labels: (Q, m) or (Q, m, C), likewise.

    Returns:
        (Q, m).

    Example:
        >>> relevant_results(np.array([3, -1]), np.array([[3, 5], [-1, 3]]))
        array([[ True, False],
               [False, False]])
    """
    if query_labels.ndim == 2:
        return np.asarray((query_labels[:, None] & result_labels).any(2))
    return np.asarray((query_labels[:, None] == result_labels) & (query_labels[:, None] != -1))


def relevant_items(query_labels: NDArray[Any], database_labels: NDArray[Any]) -> NDArray[np.bool_]:
    """Which items of a database are relevant to which of a few queries.

    Args:
        query_labels, database_labels: (Q,) and (N,) class numbers, −1 for none, or (Q, C) and (N, C) multi-hot.

    Returns:
        (Q, N).

    Example:
        >>> relevant_items(np.array([[True, False]]), np.array([[True, True], [False, True]]))
        array([[ True, False]])
    """
    if query_labels.ndim == 2:  # as a product of matrices, since (Q, N, C) would be too large
        return np.asarray(query_labels.astype(np.float32) @ database_labels.astype(np.float32).T > 0)
    return relevant_results(query_labels, database_labels[None])


def stable_order(labels: NDArray[Any]) -> NDArray[np.int64]:
    """Like a stable argsort, which numpy does far faster for numbers of 16 bits.

    Args:
        labels: (N,) integers or strings.

    Example:
        >>> stable_order(np.array([2, -1, 2, 0]))
        array([1, 3, 0, 2])
    """
    if labels.dtype.kind in "iu" and len(labels) and int(labels.max()) - int(labels.min()) < 1 << 16:
        labels = labels.astype(np.uint64) - labels.min().astype(np.uint64)  # modulo 2⁶⁴: nothing overflows
        labels = labels.astype(np.uint16)
    return np.argsort(labels, kind="stable")


def _masks(multi_hot: NDArray[np.generic]) -> NDArray[np.uint64]:
    packed = np.packbits(multi_hot != 0, axis=1)
    width = max(1, -(-packed.shape[1] // 8))
    padded = np.zeros((len(packed), 8 * width), np.uint8)
    padded[:, : packed.shape[1]] = packed
    return padded.view(np.uint64)
