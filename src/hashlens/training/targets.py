"""What the items of a source are trained towards: their labels, or vectors that say what they mean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hashlens.errors import BadInput
from hashlens.methods import Method
from hashlens.sources import Source
from hashlens.sources.vectors import read_vectors

VECTORS_NEED = (
    "Vectors of items take the place of labels, so they need a method without classes: "
    "SHREWD(classification_weight=0), or --method shrewd --no-labels."
)


@dataclass(frozen=True)
class Targets:
    """Targets of the items of a source.

    Attributes:
        values: (N,) classes, (N, C) multi-hot, or (N, V) float32 vectors.
        usable: (N,) bool, which items have one.
        class_names: C names; none for vectors.
        noun: what one is called.
        spread: whether items without a target are to have one by what lies near.
    """

    values: NDArray[Any]
    usable: NDArray[np.bool_]
    class_names: tuple[str, ...]
    noun: str
    spread: bool = False

    @property
    def may_spread(self) -> bool:
        """Whether there are classes of which some items have one and others none."""
        return bool(self.class_names) and self.values.ndim == 1 and not self.usable.all()

    def missing_classes(self, items: NDArray[np.int64]) -> list[str]:
        """Names of the classes that none of these items has."""
        if not self.class_names:
            return []
        values = self.values[items]
        members = values.sum(0) if values.ndim == 2 else np.bincount(values, minlength=len(self.class_names))
        return [self.class_names[number] for number in np.flatnonzero(members == 0)]


def targets_of(source: Source, item_vectors: ArrayLike | str | None, method: Method) -> Targets:
    """The targets of a source: its labels, or the vectors in their place.

    Args:
        item_vectors: (N, V), or what :func:`hashlens.sources.vectors.read_vectors` takes; a zero vector is none.

    Raises:
        BadInput: there are no labels, fewer than two classes, or vectors that fit neither source nor method.
    """
    if item_vectors is not None:
        vectors = _check_vectors(item_vectors, source, method)
        return Targets(vectors, np.asarray(vectors.any(1)), (), "vector")
    if source.labels is None:
        raise BadInput(f"{source.name} has no labels to train with; put images in class folders or give a table.")
    if len(source.class_names) < 2:
        names = "', '".join(source.class_names)
        raise BadInput(f"{source.name} has only the class '{names}'; training needs at least two classes.")
    return Targets(source.labels, source.has_label(), source.class_names, "label")


def _check_vectors(item_vectors: ArrayLike | str, source: Source, method: Method) -> NDArray[np.float32]:
    given = read_vectors(item_vectors, source) if isinstance(item_vectors, str) else item_vectors
    vectors = np.asarray(given, np.float32)
    if vectors.ndim != 2 or len(vectors) != len(source):
        raise BadInput(f"{source.name} has {len(source)} items, but their vectors are of shape {vectors.shape}.")
    if not np.isfinite(vectors).all():
        row = np.flatnonzero(~np.isfinite(vectors).all(1))[0]
        raise BadInput(f"Row {row} of the vectors of the items holds NaN or infinity.")
    if method.needs_classes:
        raise BadInput(VECTORS_NEED)
    return vectors
