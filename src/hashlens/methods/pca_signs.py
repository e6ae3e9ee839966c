"""Signs of the principal components: what ITQ starts from, as a baseline."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hashlens.methods.projection import PROJECTIONS, Projection, principal_directions


@dataclass(frozen=True, kw_only=True, eq=False)
class PCASigns(Projection):
    """The directions in which features vary most, without a rotation.

    Example:
        >>> features = np.random.default_rng(0).normal(size=(300, 16)) * 2.0 ** np.arange(16)
        >>> int(np.abs(PCASigns().directions(features - features.mean(0), 8, seed=0)[:, 0]).argmax())
        15
    """

    def directions(self, features: NDArray[np.float64], bits: int, seed: int) -> NDArray[np.float64]:
        return principal_directions(features, bits)


PROJECTIONS.register("pca-signs")(PCASigns())
