"""How far apart classes are: matrices (C, C) in [0, 1], symmetric, 0 on the diagonal."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hashlens.classes.class_matrix import check_class_matrix
from hashlens.classes.opening import open_taxonomy
from hashlens.classes.similarity import normalize_similarity
from hashlens.classes.taxonomy import Taxonomy
from hashlens.files import read_array


def class_distances(
    taxonomy: Taxonomy | ArrayLike | str | os.PathLike[str], class_names: Sequence[str]
) -> NDArray[np.float64]:
    """Distances between classes, from whatever says how they are related.

    Args:
        taxonomy: a taxonomy, whose distance is the height of the lowest common subsumer, and whose roots above none
            of the classes do not count; what :func:`hashlens.classes.open_taxonomy` takes; or a (C, C) array of
            distances, or a ``.npy`` file of one, in the order of ``class_names``. Where these are numbers it may be
            of more classes, whose numbers are its rows.
        class_names: C names.

    Returns:
        (C, C) float64 in [0, 1], symmetric, 0 on the diagonal.

    Raises:
        BadInput: a class is not in the taxonomy, or the array is not of this form.

    Example:
        >>> class_distances("folders", ["animals/cat", "animals/dog", "car"]).tolist()
        [[0.0, 0.5, 1.0], [0.5, 0.0, 1.0], [1.0, 1.0, 0.0]]
    """
    relations = open_relations(taxonomy, class_names)
    return relations.distance_matrix(class_names) if isinstance(relations, Taxonomy) else relations


def open_relations(
    taxonomy: Taxonomy | ArrayLike | str | os.PathLike[str], class_names: Sequence[str]
) -> Taxonomy | NDArray[np.float64]:
    """What :func:`class_distances` takes, as a taxonomy or as (C, C) float64 distances.

    Raises:
        BadInput: a class is not in the taxonomy, or the array is not one of distances between C classes.

    Example:
        >>> open_relations([[0, 1], [1, 0]], ["cat", "dog"]).tolist()
        [[0.0, 1.0], [1.0, 0.0]]
    """
    if isinstance(taxonomy, str | os.PathLike) and os.fspath(taxonomy).endswith(".npy"):
        taxonomy = read_array(taxonomy, "class distances")
    if isinstance(taxonomy, str | os.PathLike):
        return open_taxonomy(taxonomy, class_names)
    if isinstance(taxonomy, Taxonomy):
        return taxonomy.without_stray_roots(class_names)
    distances = check_class_distances(taxonomy)
    if len(distances) > len(class_names) and all(name.isdecimal() for name in class_names):
        rows = [int(name) for name in class_names]
        if max(rows, default=0) < len(distances):
            return distances[np.ix_(rows, rows)]
    return check_class_distances(distances, classes=len(class_names))


def taxonomy_similarity(
    taxonomy: Taxonomy | ArrayLike | str | os.PathLike[str], class_names: Sequence[str]
) -> NDArray[np.float64]:
    """How alike classes are by a taxonomy, as a matrix of the kind that :func:`confusion_similarity` gives.

    It is 1 − 2·d, put on a common scale by :func:`normalize_similarity`.

    Args:
        taxonomy, class_names: as :func:`class_distances`, which gives d, takes them; at least two classes.

    Returns:
        (C, C) float64 in [−1, 1], symmetric, 1 on the diagonal.

    Raises:
        BadInput: as :func:`class_distances`, or there is only one class.

    Example:
        >>> taxonomy_similarity("folders", ["animals/cat", "animals/dog", "car"]).round(2).tolist()
        [[1.0, 0.0, -0.75], [0.0, 1.0, -0.75], [-0.75, -0.75, 1.0]]
    """
    return normalize_similarity(1 - 2 * class_distances(taxonomy, class_names))


def check_class_distances(
    class_distances: ArrayLike, most: float = 1.0, classes: int | None = None
) -> NDArray[np.float64]:
    """A user's own distances between classes as (C, C) float64.

    Args:
        class_distances: (C, C), 0 where two classes are the same.
        most: the distance of unrelated classes; infinity where only ratios of distances count.
        classes: C, if it is known.

    Raises:
        BadInput: the array is not square, symmetric, finite, from 0 to ``most`` and 0 on the diagonal, or not for
            ``classes`` classes.

    Example:
        >>> check_class_distances([[0, 1], [1, 0]]).tolist()
        [[0.0, 1.0], [1.0, 0.0]]
    """
    return check_class_matrix(class_distances, "class distance", least=0, most=most, diagonal=0, classes=classes)
