"""Images of one size, held in memory as pixels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hashlens.sources.labels import Labels
from hashlens.sources.source import Source


class ImageArray(Source):
    """Images held in memory as pixels.

    Args:
        pixels: (N, H, W) gray or (N, H, W, 3) RGB uint8.
        labels, class_names: see :class:`hashlens.sources.Source`.

    Example:
        >>> pixels = np.zeros((2, 4, 6, 3), np.uint8)
        >>> ImageArray("night", pixels).image(1).size
        (6, 4)
    """

    def __init__(
        self,
        name: str,
        pixels: NDArray[np.uint8],
        labels: Labels | None = None,
        class_names: Sequence[str] = (),
    ) -> None:
        super().__init__(name, labels, class_names)
        self._pixels = pixels

    def __len__(self) -> int:
        return len(self._pixels)

    def read(self, item: int) -> NDArray[np.uint8]:
        return self._pixels[item]
