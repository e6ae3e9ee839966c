"""How alike classes are: matrices (C, C) in [−1, 1], symmetric, 1 on the diagonal."""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hashlens.classes.class_matrix import check_class_matrix
from hashlens.errors import BadInput
from hashlens.files import read_array
from hashlens.sources.feature_array import unit_length

WHAT = "class similarity"
CHUNK = 65_536  # items whose probabilities are in memory at once


def confusion_similarity(logits: ArrayLike, labels: ArrayLike) -> NDArray[np.float64]:
    """What a classifier confuses a class with, the first stage of SHC (Chen et al., 2025).

    For every item of class y the softmax over all classes but y is added to row y; the sums are then
    symmetrised and put on a common scale by :func:`normalize_similarity`. For label sets, an item counts for
    each of its labels, and the softmax leaves all of them out.

    Args:
        logits: (N, C) outputs of the classifier.
        labels: (N,) classes, or (N, C) multi-hot.

    Returns:
        (C, C) float64.

    Raises:
        BadInput: shapes do not go together, logits are not finite, or a class has no item.

    Example:
        >>> logits = [[9, 5, 0], [4, 9, 0], [1, 1, 9]]  # the first two are taken for each other
        >>> confusion_similarity(logits, [0, 1, 2]).round(1).tolist()
        [[1.0, 1.0, 0.1], [1.0, 1.0, 0.1], [0.1, 0.1, 1.0]]
    """
    scores, marks = np.asarray(logits), np.asarray(labels)
    if scores.ndim != 2 or len(marks) != len(scores) or (marks.ndim == 2 and marks.shape != scores.shape):
        raise BadInput(f"Logits of shape {scores.shape} and labels of shape {marks.shape} do not go together.")
    classes = scores.shape[1]
    if classes < 2:
        raise BadInput("One class alone has nothing to be confused with.")
    if marks.ndim == 1 and len(marks) and not 0 <= marks.min() <= marks.max() < classes:
        raise BadInput(f"Labels go from {marks.min()} to {marks.max()}, but the logits are of {classes} classes.")
    confusion = np.zeros((classes, classes))
    members = np.zeros(classes, np.int64)
    for start in range(0, len(scores), CHUNK):
        chunk = scores[start : start + CHUNK].astype(np.float64)
        if not np.isfinite(chunk).all():
            raise BadInput("The logits contain NaN or infinity.")
        here = marks[start : start + CHUNK]
        own = here.astype(bool) if here.ndim == 2 else here[:, None] == np.arange(classes)
        chunk[own] = -np.inf
        highest = chunk.max(1, keepdims=True)
        weights = np.exp(chunk - np.where(np.isfinite(highest), highest, 0))
        sums = weights.sum(1, keepdims=True)
        confusion += own.T.astype(np.float64) @ (weights / np.where(sums > 0, sums, 1))
        members += own.sum(0)
    if not members.all():
        raise BadInput(f"Class {np.flatnonzero(members == 0)[0]} has no items, so nothing is known of it.")
    return normalize_similarity(confusion)


def embedding_similarity(vectors: ArrayLike) -> NDArray[np.float64]:
    """Cosine similarity of class vectors, such as word embeddings of their names or means of their features.

    What all classes have in common says nothing, so the mean vector is subtracted first.

    Args:
        vectors: (C, D), finite.

    Returns:
        (C, C) float64, on the scale of :func:`normalize_similarity`.

    Raises:
        BadInput: the array has another shape or is not finite, or there is only one class.

    Example:
        >>> embedding_similarity([[1, 0.1], [1, -0.1], [-1, 0]]).round(1).tolist()
        [[1.0, 0.5, -0.8], [0.5, 1.0, -0.8], [-0.8, -0.8, 1.0]]
    """
    array = np.asarray(vectors, np.float64)
    if array.ndim != 2 or len(array) < 2 or not np.isfinite(array).all():
        raise BadInput(f"Class vectors must be a finite (C, D) array with C ≥ 2, not one of shape {array.shape}.")
    unit = unit_length(array - array.mean(0))
    return normalize_similarity(unit @ unit.T)


def normalize_similarity(similarity: ArrayLike) -> NDArray[np.float64]:
    """Put a matrix on the scale that semantic centres are made for (SHC, stage 1).

    S ← (S + Sᵀ)/2; every row S_i ← (S_i − mean)/max(|max − mean|, |min − mean|); symmetrised once more, since
    the rows have different scales; 1 on the diagonal.

    Args:
        similarity: (C, C), larger is more alike. Its diagonal takes part in the mean and range of its row: 0
            for confusions, 1 for cosines.

    Raises:
        BadInput: it is not a finite (C, C) matrix with C ≥ 2.

    Example:
        >>> normalize_similarity([[0, 8, 1], [6, 0, 1], [2, 1, 0]]).round(2).tolist()
        [[1.0, 1.0, 0.24], [1.0, 1.0, -0.09], [0.24, -0.09, 1.0]]
    """
    matrix = check_class_matrix(similarity, WHAT)
    if len(matrix) < 2:
        raise BadInput(f"A class similarity is between two classes at least, not {len(matrix)}.")
    matrix = (matrix + matrix.T) / 2
    deviations = matrix - matrix.mean(1, keepdims=True)
    scales = np.abs(deviations).max(1, keepdims=True)
    scaled = deviations / np.where(scales > 1e-12, scales, 1)
    scaled = (scaled + scaled.T) / 2
    np.fill_diagonal(scaled, 1)
    return scaled


def check_similarity(similarity: ArrayLike, classes: int | None = None) -> NDArray[np.float64]:
    """A user's own class similarity as (C, C) float64.

    Args:
        similarity: (C, C) in [−1, 1], 1 where two classes are the same.
        classes: C, if it is known.

    Raises:
        BadInput: it is not square, symmetric, finite, in [−1, 1] with 1 on the diagonal, or not for
            ``classes`` classes.

    Example:
        >>> check_similarity([[1, 0.5], [0.5, 0]])
        Traceback (most recent call last):
        ...
        hashlens.errors.BadInput: A class similarity must be symmetric and 1 on the diagonal.
    """
    return check_class_matrix(similarity, WHAT, least=-1, most=1, diagonal=1, classes=classes)


def read_similarity(path: str | os.PathLike[str], class_names: Sequence[str]) -> NDArray[np.float64]:
    """A class similarity from a file.

    Args:
        path: ``.npy`` with a (C, C) array in the order of ``class_names``, or ``.csv`` whose first line and
            first column are class names, in any order.
        class_names: C names.

    Returns:
        (C, C) float64, in the order of ``class_names``.

    Raises:
        BadInput: the file cannot be read, lacks a class, or does not hold a class similarity.

    Example:
        >>> import tempfile
        >>> with tempfile.NamedTemporaryFile("w", suffix=".csv") as file:
        ...     print(",cat,dog", "cat,1,0.5", "dog,0.5,1", sep="\\n", file=file, flush=True)
        ...     similarity_class_names(file.name), read_similarity(file.name, ["dog", "cat"]).tolist()
        (('cat', 'dog'), [[1.0, 0.5], [0.5, 1.0]])
    """
    path = Path(path)
    if path.suffix == ".npy":
        return check_similarity(read_array(path, f"a {WHAT}"), len(class_names))
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            header, *rows = [row for row in csv.reader(file) if row]
        columns = {name: number for number, name in enumerate(header[1:], start=1)}
        lines = {row[0]: row for row in rows}
        missing = [name for name in class_names if name not in columns or name not in lines]
        if missing:
            raise BadInput(f"{path} has no row and column for the class '{missing[0]}'.")
        values = [[float(lines[a][columns[b]]) for b in class_names] for a in class_names]
    except BadInput:
        raise
    except (OSError, ValueError, IndexError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise BadInput(f"{path} is not a .npy or .csv file of a class similarity ({reason}).") from None
    return check_similarity(values, len(class_names))


def similarity_class_names(path: str | os.PathLike[str]) -> tuple[str, ...]:
    """The class names in the first line of a ``.csv`` file for :func:`read_similarity`.

    Raises:
        BadInput: the file cannot be read, or has no such line.

    Example:
        >>> similarity_class_names("nowhere.csv")
        Traceback (most recent call last):
        ...
        hashlens.errors.BadInput: nowhere.csv is not a .csv file of a class similarity (No such file or directory).
    """
    path = Path(path)
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            names = tuple(next(filter(None, csv.reader(file)), [])[1:])
    except (OSError, ValueError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise BadInput(f"{path} is not a .csv file of a class similarity ({reason}).") from None
    if not names:
        raise BadInput(f"{path} needs the names of the classes in its first line, behind an empty cell.")
    return names
