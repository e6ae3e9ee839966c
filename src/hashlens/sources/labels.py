"""Class numbers and label sets."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hashlens.errors import BadInput

NO_LABEL = -1
MOST_CLASSES = 1_000_000  # that are named by their numbers
SETS = (list, tuple, set, frozenset, np.ndarray)  # what holds the labels of one item

Labels = NDArray[np.int64] | NDArray[np.bool_]  # (N,) class numbers, or (N, C) multi-hot


def number_labels(
    labels: ArrayLike, class_names: Sequence[str] | None, where: str
) -> tuple[Labels | None, tuple[str, ...]]:
    """Labels in any of the forms in which arrays hold them.

    Args:
        labels: (N,) integers, −1 for none; (N,) whole numbers as floats, NaN for none; (N,) strings or other
            objects, "" or ``None`` for none; or, for label sets, (N, C) of 0 and 1, or N lists of names or of
            integers.
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
    array = _as_array(labels)
    if array.ndim == 2 and array.dtype.kind in "biufO" and np.isin(array, (0, 1)).all():
        if class_names is not None and len(class_names) != array.shape[1]:
            raise BadInput(f"{where} has {array.shape[1]} label columns, but {len(class_names)} class names.")
        return array.astype(bool, copy=False), tuple(map(str, class_names or range(array.shape[1])))
    if array.dtype.kind in "UO" and (array.ndim == 2 or any(isinstance(one, SETS) for one in array.ravel())):
        return number_label_sets([_label_set(one) for one in array], class_names, where)
    array = _plain(array)
    if array.ndim == 1 and np.issubdtype(array.dtype, np.integer):
        return number_integers(array, class_names, where)
    if array.ndim == 1 and array.dtype.kind in "US":
        return number_classes([str(name) for name in array.astype(str)])
    raise BadInput(
        f"{where} must hold labels as (N,) integers or strings, or as (N, C) of 0 and 1 or N lists for label sets, "
        f"not {array.dtype} of shape {array.shape}."
    )


def _as_array(labels: ArrayLike) -> NDArray[np.generic]:
    """Labels as NumPy makes an array of them; lists of different lengths become (N,) objects."""
    try:
        return np.asarray(labels)
    except ValueError:
        return np.fromiter(labels, object)  # type: ignore[arg-type]


def _label_set(one: Any) -> list[Any]:
    """The labels of one item, of which there may be several, one or none."""
    several = one if isinstance(one, SETS) else [one]
    return [label for label in several if not _is_missing(label) and label != ""]


def _is_missing(label: Any) -> bool:
    """Whether this is ``None``, NaN or what pandas has in their place."""
    try:
        return label is None or bool(label != label)
    except TypeError:  # pandas.NA is neither equal nor unequal to anything
        return True


def _plain(labels: NDArray[np.generic]) -> NDArray[np.generic]:
    """Labels as data frames and scikit-learn hold them, real numbers or objects, as integers or strings."""
    if labels.dtype.kind == "f" and labels.ndim == 1:
        filled = np.where(np.isnan(labels), NO_LABEL, labels)
        if np.array_equal(filled, np.trunc(filled)) and (np.abs(filled) < 2**53).all():
            return filled.astype(np.int64)
    if labels.dtype.kind == "O" and labels.ndim == 1:
        known = [None if _is_missing(one) else one for one in labels]
        if all(one is None or (isinstance(one, int | np.integer) and not isinstance(one, bool)) for one in known):
            return np.array([NO_LABEL if one is None else one for one in known], np.int64)
        return np.array(["" if one is None else str(one) for one in known], np.str_)
    return labels


def number_integers(
    values: NDArray[np.generic], class_names: Sequence[str] | None, where: str
) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Class numbers from integers, which are places among the names.

    Args:
        values: (N,) integers, −1 for none.
        class_names: C names, in the order of the numbers, or none, which makes names of the numbers up to the
            largest, so that a number means the same in every source.
        where: the labels come from, for the message.

    Returns:
        (N,) int64 class numbers, −1 for none, and the C class names.

    Raises:
        BadInput: an integer is below −1 or beyond the names, or a million or more without any.

    Example:
        >>> number_integers(np.array([2, -1]), None, "a.npz")
        (array([ 2, -1]), ('0', '1', '2'))
        >>> number_integers(np.array([1, -1]), ["cat", "dog"], "a.npz")
        (array([ 1, -1]), ('cat', 'dog'))
    """
    low, high = (int(values.min()), int(values.max())) if values.size else (NO_LABEL, NO_LABEL)
    if low < NO_LABEL:
        raise BadInput(f"{where} has the label {low}; number classes from 0 up, and give -1 where there is none.")
    if class_names is None:
        if high >= MOST_CLASSES:
            raise BadInput(f"{where} has the label {high}; number classes below {MOST_CLASSES:,}, or give names.")
        class_names = [str(number) for number in range(high + 1)]
    if high >= len(class_names):
        raise BadInput(f"{where} has labels from {low} to {high}, but names for {len(class_names)} classes.")
    return values.astype(np.int64, copy=False), tuple(map(str, class_names))


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


def number_label_sets(
    label_sets: Sequence[Sequence[str] | Sequence[int]], class_names: Sequence[str] | None = None, where: str = "It"
) -> tuple[NDArray[np.bool_], tuple[str, ...]]:
    """(N, C) bool from N lists of class names or of integers, and the C names in their order.

    Args:
        class_names, where: of integers, as :func:`number_integers` takes them.

    Raises:
        BadInput: as :func:`number_integers`, or names and integers are mixed, or they are neither.

    Example:
        >>> marks, names = number_label_sets([["sea", "sky"], ["sea"]])
        >>> marks.astype(int).tolist(), names
        ([[1, 1], [1, 0]], ('sea', 'sky'))
        >>> number_label_sets([[2], [], [0, 2]])[1]
        ('0', '1', '2')
    """
    every = list(chain(*label_sets))
    numbers: NDArray[np.int64] | None
    if all(isinstance(one, int | np.integer) for one in every):
        numbers, names = number_integers(np.array(every, np.int64), class_names, where)
    elif all(isinstance(one, str) for one in every):
        numbers, names = number_classes([str(one) for one in every])
    else:
        raise BadInput(f"{where} has sets of labels of different kinds; use names, or whole numbers.")
    marks = np.zeros((len(label_sets), len(names)), bool)
    if numbers is not None:
        items = np.repeat(np.arange(len(label_sets)), [len(one) for one in label_sets])
        known = numbers != NO_LABEL
        marks[items[known], numbers[known]] = True
    return marks, names


def common_names(*several: Sequence[str]) -> tuple[str, ...]:
    """The names of the classes of several sources together, each once, in the order of the first that has it.

    Example:
        >>> common_names(["cat", "emu"], ["ant", "cat"])
        ('cat', 'emu', 'ant')
    """
    return tuple(dict.fromkeys(chain(*several)))


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
    names = common_names(first_names, second_names)
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
