"""What an objective and a hash layer are made for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Problem:
    """What is known of codes and targets before training begins.

    Attributes:
        bits: K.
        classes: C; 0 where items have no classes.
        seed: of what the objective draws at random.
        codebook: (C, K) hash centres in {−1, +1}, for objectives that pull codes to them.
        class_distance: (C, C) in [0, 1], for objectives that use it; ``None`` where targets are vectors of items.
        label_sets: whether items may have several classes.

    Example:
        >>> Problem(bits=64, classes=10).label_sets
        False
    """

    bits: int
    classes: int
    seed: int = 0
    codebook: NDArray[np.int8] | None = None
    class_distance: NDArray[np.float64] | None = None
    label_sets: bool = False
