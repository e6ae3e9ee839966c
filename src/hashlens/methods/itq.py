"""ITQ (Gong and Lazebnik, CVPR 2011): principal directions, turned so that rounding loses little."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hashlens.methods.projection import PROJECTIONS, Projection, principal_directions

MOST_ITEMS = 100_000  # that the rotation is fitted to


@dataclass(frozen=True, kw_only=True, eq=False)
class ITQ(Projection):
    """Iterative quantisation.

    V are the features in the principal directions. From a random rotation R on, the codes B = sign(VR) that are
    nearest to VR and the rotation that brings V nearest to B in turn lower ‖B − VR‖² (section 2.2; the rotation
    solves an orthogonal Procrustes problem).

    Deviation: the rotation is fitted to a random sample where there are more than 100,000 items.

    Attributes:
        iterations: of the two steps; 50 in the paper.

    Example:
        >>> features = np.random.default_rng(0).normal(size=(300, 16))
        >>> directions = ITQ().directions(features - features.mean(0), 8, seed=0)
        >>> bool(np.allclose(directions.T @ directions, np.eye(8)))
        True
    """

    iterations: int = 50

    def directions(self, features: NDArray[np.float64], bits: int, seed: int) -> NDArray[np.float64]:
        principal = principal_directions(features, bits)
        random = np.random.default_rng(seed)
        if len(features) > MOST_ITEMS:
            features = features[np.sort(random.permutation(len(features))[:MOST_ITEMS])]
        projected = features @ principal
        rotation, _ = np.linalg.qr(random.standard_normal((bits, bits)))
        for _ in range(self.iterations):
            codes = np.where(projected @ rotation > 0, 1.0, -1.0)
            left, _, right = np.linalg.svd(projected.T @ codes)
            rotation = left @ right
        return principal @ rotation


PROJECTIONS.register("itq")(ITQ())
