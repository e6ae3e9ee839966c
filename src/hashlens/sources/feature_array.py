"""Features that someone else computed, held in memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hashlens.errors import BadInput
from hashlens.sources.source import EVERYTHING, Source, rows_of


class FeatureArray(Source):
    """Features that someone else computed.

    Args:
        features: (N, D) finite numbers; they are kept as float32.
        labels, class_names, identity: see :class:`hashlens.sources.Source`.

    Raises:
        BadInput: they are no such features, or the labels are no labels of N items.

    Example:
        >>> source = FeatureArray("mine", np.eye(3, dtype=np.float32), np.array([0, 1, -1]), ["cat", "dog"])
        >>> source.feature_dimension, source.features([2]).tolist()
        (3, [[0.0, 0.0, 1.0]])
    """

    def __init__(
        self,
        name: str,
        features: ArrayLike,
        labels: ArrayLike | None = None,
        class_names: Sequence[str] = (),
        identity: str | None = None,
    ) -> None:
        super().__init__(name, labels, class_names, identity)
        self._features = check_features(features, name)
        self.check_label_count()

    def __len__(self) -> int:
        return len(self._features)

    @property
    def feature_dimension(self) -> int:
        return self._features.shape[1]

    def read(self, item: int) -> NDArray[np.float32]:
        return self._features[item]

    def features(self, items: slice | ArrayLike = EVERYTHING) -> NDArray[np.float32]:
        return self._features[rows_of(items, len(self))]

    def location(self, item: int) -> str:
        return f"{self.identity}#{item}"


def unit_length(vectors: NDArray[Any]) -> NDArray[Any]:
    """(N, D) vectors scaled to length 1, whose products are cosines; one of length 0 stays.

    Example:
        >>> unit_length(np.array([[3.0, 4.0], [0.0, 0.0]])).tolist()
        [[0.6, 0.8], [0.0, 0.0]]
    """
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)


def check_features(features: ArrayLike, where: str) -> NDArray[np.float32]:
    """Features as (N, D) float32.

    Raises:
        BadInput: they are not (N, D) finite real numbers; ``where`` says what holds them.

    Example:
        >>> check_features([[1, 2]], "mine").dtype
        dtype('float32')
    """
    array = np.asarray(features)
    if array.ndim != 2 or not array.shape[1] or array.dtype.kind not in "iuf":
        raise BadInput(f"{where} must hold features as (N, D) numbers, not {array.dtype} of shape {array.shape}.")
    array = np.ascontiguousarray(array, np.float32)
    bad_rows = np.flatnonzero(~np.isfinite(array).all(1))
    if len(bad_rows):
        raise BadInput(f"{where} holds NaN or infinity in row {bad_rows[0]} ({len(bad_rows)} such rows).")
    return array
