"""How good codes of held-out items are; these search among each other."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from hashlens.metrics import mean_average_precision
from hashlens.metrics.hierarchical import hierarchical_scores
from hashlens.objectives import DistanceMatching

DEPTH = 250
LARGEST_BY_DISTANCE = 2_000  # held-out items whose distances to each other are kept


class Validation(ABC):
    """A score to choose the best epoch by.

    Attributes:
        figure: its name.
    """

    figure: ClassVar[str]

    @abstractmethod
    def score(self, codes: NDArray[np.uint8], items: NDArray[np.int64], bits: int) -> float:
        """In [0, 1], the higher the better.

        Args:
            codes: (n, ceil(K/8)) packed.
            items: (n,) numbers among the held-out items.
        """


class ByClass(Validation):
    """Mean average precision over all held-out items.

    Args:
        labels: (V,) or (V, C).
    """

    figure = "mAP"

    def __init__(self, labels: NDArray[Any]) -> None:
        self._labels = labels

    def score(self, codes: NDArray[np.uint8], items: NDArray[np.int64], bits: int) -> float:
        labels = self._labels[items]
        return mean_average_precision(codes, labels, codes, labels, bits=bits, leave_one_out=True)


class ByDistance(Validation):
    """Mean average hierarchical precision, for training that knows no classes, only how far items are apart.

    Args:
        targets: (V,) classes, (V, C) multi-hot, or (V, D) vectors.
        class_distance: (C, C); ``None`` for vectors.
    """

    figure = f"mAHP@{DEPTH}"

    def __init__(self, targets: NDArray[Any], class_distance: NDArray[np.float64] | None) -> None:
        if targets.ndim == 1 and class_distance is not None:
            self._numbers, self._similarities = targets, 1 - class_distance[None]
            return
        found, _ = DistanceMatching(class_distance).item_distances(torch.from_numpy(targets))
        self._numbers = np.arange(len(targets))
        self._similarities = 1 - found.double().clamp(max=1).numpy()[None]

    def score(self, codes: NDArray[np.uint8], items: NDArray[np.int64], bits: int) -> float:
        numbers = self._numbers[items]
        depth = np.array([min(DEPTH, len(items))])
        scores = hierarchical_scores(codes, numbers, codes, numbers, bits, self._similarities, depth)
        return float(scores.average_precision[0, 0])
