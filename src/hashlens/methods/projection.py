"""Codes without labels: features are projected on directions that come from the features alone."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hashlens.errors import BadInput
from hashlens.methods.parametrized import Parametrized
from hashlens.registry import Registry


@dataclass(frozen=True, kw_only=True, eq=False)
class Projection(Parametrized, ABC):
    """A method that needs no labels: bit k is 1 where a feature lies on the positive side of direction k.

    Features are scaled to length 1 and their mean is subtracted before, so that directions are of the cosines.

    Example:
        >>> features = np.random.default_rng(0).normal(size=(100, 8))
        >>> PROJECTIONS["pca-signs"].directions(features - features.mean(0), 4, seed=0).shape
        (8, 4)
    """

    @abstractmethod
    def directions(self, features: NDArray[np.float64], bits: int, seed: int) -> NDArray[np.float64]:
        """The directions.

        Args:
            features: (N, D), of length 1 before their mean was subtracted.
            bits: K.
            seed: of what is drawn at random.

        Returns:
            (D, K).

        Raises:
            BadInput: features have too few dimensions, or there are too few of them.
        """


PROJECTIONS: Registry[Projection] = Registry("method without labels")
"""Every method that needs no labels, by name."""


def principal_directions(features: NDArray[np.float64], bits: int) -> NDArray[np.float64]:
    """(D, K) orthonormal directions in which centred features (N, D) vary most.

    Raises:
        BadInput: K exceeds D, or the number of directions in which the features vary at all.
    """
    count, dimension = features.shape
    if bits > min(dimension, count - 1):
        what = f"features of length {dimension}" if dimension < count else f"{count} items"
        raise BadInput(f"{what[0].upper()}{what[1:]} give at most {min(dimension, count - 1)} bits, not {bits}.")
    _, vectors = np.linalg.eigh(features.T @ features / count)
    return np.ascontiguousarray(vectors[:, ::-1][:, :bits])
