"""Features that someone else computed, held in memory."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hashlens.sources.labels import Labels
from hashlens.sources.source import EVERYTHING, Source, rows_of


class FeatureArray(Source):
    """Features that someone else computed.

    Args:
        features: (N, D) float32, finite.
        labels, class_names, identity: see :class:`hashlens.sources.Source`.

    Example:
        >>> source = FeatureArray("mine", np.eye(3, dtype=np.float32), np.array([0, 1, -1]), ["cat", "dog"])
        >>> source.feature_dimension, source.features([2]).tolist()
        (3, [[0.0, 0.0, 1.0]])
    """

    def __init__(
        self,
        name: str,
        features: NDArray[np.float32],
        labels: Labels | None = None,
        class_names: Sequence[str] = (),
        identity: str | None = None,
    ) -> None:
        super().__init__(name, labels, class_names, identity)
        self._features = features

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
