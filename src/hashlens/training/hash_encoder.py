"""Hashing as a step of scikit-learn."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from hashlens.methods import Method, Projection
from hashlens.models import HashModel
from hashlens.sources import FeatureArray
from hashlens.sources.feature_array import from_tensor
from hashlens.training.fit import fit


class HashEncoder(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Learns binary codes from features, with labels or without, as scikit-learn's transformers do.

    Parameters:
        bits: code length K; by default 64 with labels, and without 256 or as many as there are features.
        method: as for :func:`hashlens.fit`.
        epochs: instead of the method's; of no effect without labels.
        random_state: the seed, a whole number.

    Attributes:
        model_: the :class:`hashlens.HashModel`.
        n_features_in_: D.

    Example:
        >>> from sklearn.datasets import load_digits
        >>> from sklearn.pipeline import make_pipeline
        >>> from sklearn.preprocessing import StandardScaler
        >>> x, y = load_digits(return_X_y=True)
        >>> pipeline = make_pipeline(StandardScaler(), HashEncoder(bits=32, epochs=2)).fit(x, y)
        >>> pipeline.transform(x).shape, HashEncoder(bits=16).fit_transform(x).shape
        ((1797, 4), (1797, 2))
    """

    def __init__(
        self,
        bits: int | None = None,
        method: str | Method | Projection | None = None,
        epochs: int | None = None,
        random_state: int = 0,
    ) -> None:
        self.bits = bits
        self.method = method
        self.epochs = epochs
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: ArrayLike | None = None) -> Self:
        """Learn from features and, if there are any, labels.

        Args:
            X: (N, D) numbers.
            y: (N,) classes of any kind, −1 for no label; (N, C) of 0 and 1, or N lists, for label sets.

        Raises:
            ValueError: they are no such arrays, or too few to learn from.
        """
        x = validate_data(self, from_tensor(X), dtype=np.float32, ensure_min_samples=2)
        source = FeatureArray("X", x, y)
        self.model_: HashModel = fit(
            source,
            method=self.method,
            bits=self.bits,
            epochs=self.epochs,
            seed=self.random_state,
            device="cpu",
        )
        return self

    def transform(self, X: ArrayLike) -> NDArray[np.uint8]:
        """(N, ceil(K/8)) packed codes of (N, D) features."""
        check_is_fitted(self)
        return self.model_.encode(validate_data(self, from_tensor(X), dtype=np.float32, reset=False))

    @property
    def _n_features_out(self) -> int:
        """Bytes of a code, from which scikit-learn makes their names."""
        return -(-self.model_.bits // 8)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        tags.transformer_tags.preserves_dtype = []
        return tags
