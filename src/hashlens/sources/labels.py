"""Class numbers and label sets."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hashlens.errors import BadInput

NO_LABEL = -1
MOST_CLASSES = 1_000_000  # that are named by their numbers

Labels = NDArray[np.int64] | NDArray[np.bool_]  # (N,) class numbers, or (N, C) multi-hot


def number_labels(
    labels: ArrayLike, class_names: Sequence[str] | None, where: str
) -> tuple[Labels | None, tuple[str, ...]]:
    """Labels in any of the forms in which arrays hold them.

    Args:
        labels: (N,) integers, −1 for none; (N,) whole numbers as floats, NaN for none; (N,) strings or other
            objects, "" or ``None`` for none; or (N, C) of 0 and 1 for label sets.
        class_names: C names for integers or label sets, in their order, or none, which makes names of the numbers.
        where: what holds the labels, for messages.

    Returns:
        (N,) int64 class numbers or (N, C) bool, and the C class names; ``None`` and () if all strings are empty.

    Raises:
        BadInput: they are none of these, or do not fit the names.

    Example:
        >>> number_labels(["dog", "cat", ""], None, "mine")
        (array([ 1,  0, -1]), ('cat', 'dog'))
        >>> number_labels([0, 2], None, "mine")
        (array([0, 2]), ('0', '1', '2'))
    """
    array = _plain(np.asarray(labels))
    if array.ndim == 2 and (array.dtype == bool or np.isin(array, (0, 1)).all()):
        if class_names is not None and len(class_names) != array.shape[1]:
            raise BadInput(f"{where} has {array.shape[1]} label columns, but {len(class_names)} class names.")
        return array.astype(bool, copy=False), tuple(map(str, class_names or range(array.shape[1])))
    if array.ndim == 1 and np.issubdtype(array.dtype, np.integer):
        return array.astype(np.int64, copy=False), class_names_from(array, class_names, where)
    if array.ndim == 1 and array.dtype.kind in "US":
        return number_classes([str(name) for name in array.astype(str)])
    raise BadInput(
        f"{where} must hold labels as (N,) integers or strings or as (N, C) of 0 and 1, not {array.dtype} of shape "
        f"{array.shape}."
    )


def _plain(labels: NDArray[np.generic]) -> NDArray[np.generic]:
    """Labels as data frames and scikit-learn hold them, real numbers or objects, as integers or strings."""
    if labels.dtype.kind == "f" and labels.ndim == 1:
        filled = np.where(np.isnan(labels), NO_LABEL, labels)
        if np.array_equal(filled, np.trunc(filled)) and (np.abs(filled) < 2**53).all():
            return filled.astype(np.int64)
    if labels.dtype.kind == "O" and labels.ndim == 1:
        return np.array(["" if one is None or one != one else str(one) for one in labels], np.str_)
    return labels


def number_classes(names: Sequence[str | None]) -> tuple[NDArray[np.int64] | None, tuple[str, ...]]:
    """Number class names in sorted order.

    Args:
        names: one per item, ``None`` or "" for none.

    Returns:
        (N,) int64 class numbers, −1 for none, and the C class names; ``None`` and () if no item has a label.

    Example:
        >>> number_classes(["dog", "cat", None, "dog"])
        (array([ 1,  0, -1,  1]), ('cat', 'dog'))
    """
    class_names = sorted({name for name in names if name})
    if not class_names:
        return None, ()
    number = {name: index for index, name in enumerate(class_names)}
    return np.array([number[name] if name else NO_LABEL for name in names], np.int64), tuple(class_names)


def multi_hot(label_sets: Sequence[Sequence[int]], classes: int) -> NDArray[np.bool_]:
    """(N, C) bool from N lists of class numbers.

    Example:
        >>> multi_hot([[0, 2], []], classes=3).astype(int).tolist()
        [[1, 0, 1], [0, 0, 0]]
    """
    labels = np.zeros((len(label_sets), classes), bool)
    for row, numbers in enumerate(label_sets):
        labels[row, list(numbers)] = True
    return labels


def number_label_sets(label_sets: Sequence[Sequence[str]]) -> tuple[NDArray[np.bool_], tuple[str, ...]]:
    """(N, C) bool from N lists of class names, and the C names in sorted order.

    Example:
        >>> marks, names = number_label_sets([["sea", "sky"], ["sea"]])
        >>> marks.astype(int).tolist(), names
        ([[1, 1], [1, 0]], ('sea', 'sky'))
    """
    class_names = tuple(sorted({name for names in label_sets for name in names}))
    number = {name: index for index, name in enumerate(class_names)}
    return multi_hot([[number[name] for name in names] for names in label_sets], len(class_names)), class_names


def share_numbering(
    first: Labels, first_names: Sequence[str], second: Labels, second_names: Sequence[str]
) -> tuple[Labels, Labels, tuple[str, ...]]:
    """Renumber the labels of two sources so that equal class names have equal numbers.

    Where one source has label sets and the other single labels, both become multi-hot.

    Returns:
        The two label arrays and the names in their common numbering.

    Example:
        >>> share_numbering(np.array([0, 1]), ["cat", "dog"], np.array([0, -1]), ["dog"])
        (array([0, 1]), array([ 1, -1]), ('cat', 'dog'))
    """
    names = tuple(dict.fromkeys([*first_names, *second_names]))
    number = {name: index for index, name in enumerate(names)}

    def renumber(labels: Labels, old_names: Sequence[str]) -> Labels:
        new = np.array([*(number[name] for name in old_names), NO_LABEL], np.int64)
        if labels.ndim == 1:
            return new[labels]  # −1 picks the last entry, which is −1
        wide = np.zeros((len(labels), len(names)), bool)
        wide[:, new[:-1]] = labels
        return wide

    one, two = renumber(first, first_names), renumber(second, second_names)
    if one.ndim != two.ndim:
        one, two = as_multi_hot(one, len(names)), as_multi_hot(two, len(names))
    return one, two, names


def as_multi_hot(labels: Labels, classes: int) -> NDArray[np.bool_]:
    """(N, C) bool from labels of either kind; −1 becomes a row without labels.

    Example:
        >>> as_multi_hot(np.array([1, -1]), classes=2).astype(int).tolist()
        [[0, 1], [0, 0]]
    """
    if labels.ndim == 2:
        return labels.astype(bool)
    wide = np.zeros((len(labels), classes), bool)
    known = np.flatnonzero(labels != NO_LABEL)
    wide[known, labels[known]] = True
    return wide


def class_names_from(values: NDArray[np.generic], names: Sequence[str] | None, where: str) -> tuple[str, ...]:
    """Check that integer labels fit the names given for them, and make up names where there are none.

    Args:
        values: class numbers, −1 for none.
        names: C names, in the order of the numbers, or none.
        where: the labels come from, for the message.

    Example:
        >>> class_names_from(np.array([0, 2]), None, "a.npz")
        ('0', '1', '2')

    Raises:
        BadInput: a label is below −1 or beyond the names.
    """
    low, high = (int(values.min()), int(values.max())) if values.size else (0, NO_LABEL)
    if names is None and high >= MOST_CLASSES:
        raise BadInput(
            f"{where} has the label {high}; number classes from 0 on, without gaps, or give their names."
        )
    if names is None:
        names = [str(number) for number in range(high + 1)]
    if low < NO_LABEL or high >= len(names):
        raise BadInput(f"{where} has labels from {low} to {high}, but names for {len(names)} classes.")
    return tuple(str(name) for name in names)
