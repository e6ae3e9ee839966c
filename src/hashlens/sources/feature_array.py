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
        BadInput: they are not (N, D) finite real numbers that float32 can hold; ``where`` says what holds them.

    Example:
        >>> check_features([[1, 2]], "mine").dtype
        dtype('float32')
    """
    given = as_array(features)
    if given.ndim != 2 or not given.shape[1] or given.dtype.kind not in "biuf":
        raise BadInput(
            f"{where} must hold (N, D) real numbers, a row for each item, not {given.dtype} of shape {given.shape}."
        )
    with np.errstate(over="ignore"):
        array = np.ascontiguousarray(given, np.float32)
    bad_rows = np.flatnonzero(~np.isfinite(array).all(1))
    if len(bad_rows):
        beyond = np.isfinite(given[bad_rows]).all()
        what = "numbers beyond what float32 can hold" if beyond else "NaN or infinity"
        raise BadInput(f"{where} holds {what} in row {bad_rows[0]} ({len(bad_rows)} such rows).")
    return array


def as_array(numbers: Any) -> NDArray[Any]:
    """An array, a tensor or lists as a NumPy array."""
    return np.asarray(from_tensor(numbers))


def from_tensor(items: Any) -> Any:
    """A tensor, on whatever device, as a NumPy array; what is none, as it is.

    Example:
        >>> import torch
        >>> from_tensor(torch.ones(2, dtype=torch.bfloat16))
        array([1., 1.], dtype=float32)
    """
    if not hasattr(items, "detach"):
        return items
    tensor = items.detach().cpu()
    if tensor.is_floating_point() and tensor.element_size() < 4:  # NumPy has no bfloat16
        tensor = tensor.float()
    return tensor.numpy()
