"""Random planes (Charikar, STOC 2002), known as locality-sensitive hashing: as many bits as one likes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hashlens.methods.projection import PROJECTIONS, Projection


@dataclass(frozen=True, kw_only=True, eq=False)
class RandomPlanes(Projection):
    """Directions with independent Gaussian entries: two features differ in a bit with probability angle/π.

    Deviation: the planes go through the mean of the features, so that bits balance.

    Example:
        >>> RandomPlanes().directions(np.zeros((10, 4)), 64, seed=0).shape
        (4, 64)
    """

    def directions(self, features: NDArray[np.float64], bits: int, seed: int) -> NDArray[np.float64]:
        return np.random.default_rng(seed).standard_normal((features.shape[1], bits))


PROJECTIONS.register("lsh")(RandomPlanes())
