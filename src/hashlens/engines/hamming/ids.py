"""Which id stands at which position of a segment. Ids ascend with positions, so both orders are the same."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hashlens.errors import BadInput

Ids = range | NDArray[np.int64]  # a range where ids follow each other without a gap


def listed(ids: Ids) -> NDArray[np.int64]:
    """All ids as an array.

    Example:
        >>> listed(range(3, 6))
        array([3, 4, 5])
    """
    return np.arange(ids.start, ids.stop) if isinstance(ids, range) else np.asarray(ids)


def at(ids: Ids, positions: NDArray[np.int64]) -> NDArray[np.int64]:
    """The ids at positions of any shape.

    Example:
        >>> at(range(3, 6), np.array([0, 2])), at(np.array([3, 7, 9]), np.array([0, 2]))
        (array([3, 5]), array([3, 9]))
    """
    return positions + ids.start if isinstance(ids, range) else ids[positions]


def find(ids: Ids, wanted: NDArray[np.int64]) -> NDArray[np.int64]:
    """(n,) positions of (n,) ids, −1 where an id is not there.

    Example:
        >>> find(range(3, 6), np.array([5, 6])), find(np.array([3, 7, 9]), np.array([7, 8]))
        (array([ 2, -1]), array([ 1, -1]))
    """
    if isinstance(ids, range):
        return np.where((wanted >= ids.start) & (wanted < ids.stop), wanted - ids.start, -1)
    if not len(ids):
        return np.full(len(wanted), -1, np.int64)
    positions = np.minimum(np.searchsorted(ids, wanted), len(ids) - 1)
    return np.where(ids[positions] == wanted, positions, -1)


def compact(ids: NDArray[np.int64]) -> Ids:
    """Strictly ascending ids, as a range where they are one.

    Example:
        >>> compact(np.array([3, 4, 5])), compact(np.array([3, 5]))
        (range(3, 6), array([3, 5]))
    """
    first, last = (int(ids[0]), int(ids[-1])) if len(ids) else (0, -1)
    return range(first, last + 1) if last - first + 1 == len(ids) else ids


def ascending(ids: NDArray[np.int64]) -> NDArray[np.intp] | None:
    """The order that sorts ids, ``None`` where they ascend.

    Raises:
        BadInput: an id stands twice.

    Example:
        >>> ascending(np.array([7, 3, 5])), ascending(np.array([3, 5, 7]))
        (array([1, 2, 0]), None)
    """
    steps = np.diff(ids)
    if (steps > 0).all():
        return None
    order = np.argsort(ids, kind="stable")
    twice = np.flatnonzero(np.diff(ids[order]) == 0)
    if len(twice):
        raise BadInput(f"The id {ids[order][twice[0]]} is given to two codes; give every code an id of its own.")
    return order
