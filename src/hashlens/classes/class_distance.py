"""How far apart classes are: matrices (C, C) in [0, 1], symmetric, 0 on the diagonal."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hashlens.classes.similarity import normalize_similarity
from hashlens.classes.taxonomy import Taxonomy, open_taxonomy
from hashlens.errors import BadInput


def class_distances(
    taxonomy: Taxonomy | ArrayLike | str | os.PathLike[str], class_names: Sequence[str]
) -> NDArray[np.float64]:
    """Distances between classes, from whatever says how they are related.

    Args:
        taxonomy: a taxonomy, whose distance is the height of the lowest common subsumer; what
            :func:`hashlens.classes.open_taxonomy` takes; or a (C, C) array of distances, or a ``.npy`` file of
            one, in the order of ``class_names``.
        class_names: C names.

    Returns:
        (C, C) float64 in [0, 1], symmetric, 0 on the diagonal.

    Raises:
        BadInput: a class is not in the taxonomy, or the array is not of this form.
    """
    relations = open_relations(taxonomy, class_names)
    return relations.distance_matrix(class_names) if isinstance(relations, Taxonomy) else relations


def open_relations(
    taxonomy: Taxonomy | ArrayLike | str | os.PathLike[str], class_names: Sequence[str]
) -> Taxonomy | NDArray[np.float64]:
    """What :func:`class_distances` takes, as a taxonomy or as (C, C) distances."""
    if isinstance(taxonomy, str | os.PathLike) and os.fspath(taxonomy).endswith(".npy"):
        try:
            taxonomy = np.load(taxonomy, allow_pickle=False)
        except (OSError, ValueError) as error:
            raise BadInput(f"{taxonomy} is not a .npy file of class distances ({error}).") from None
    if isinstance(taxonomy, str | os.PathLike):
        return open_taxonomy(taxonomy, class_names)
    if isinstance(taxonomy, Taxonomy):
        return taxonomy
    distances = check_class_distances(taxonomy)
    if len(distances) != len(class_names):
        raise BadInput(f"There are distances for {len(distances)} classes, but there are {len(class_names)}.")
    return distances


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
    """
    return normalize_similarity(1 - 2 * class_distances(taxonomy, class_names))


def check_class_distances(class_distances: ArrayLike) -> NDArray[np.float64]:
    """(C, C) float64 distances between classes.

    Raises:
        BadInput: the array is not square, symmetric, in [0, 1] and 0 on the diagonal.
    """
    distances = np.asarray(class_distances, np.float64)
    if distances.ndim != 2 or distances.shape[0] != distances.shape[1]:
        raise BadInput(f"Class distances must be a (C, C) array, not one of shape {distances.shape}.")
    if not np.isfinite(distances).all() or distances.min(initial=0) < 0 or distances.max(initial=0) > 1:
        raise BadInput("Class distances must lie between 0 (the same) and 1 (unrelated), without NaN.")
    if np.diag(distances).any() or not np.allclose(distances, distances.T):
        raise BadInput("Class distances must be symmetric and 0 on the diagonal.")
    return distances
