"""Images of one size, held in memory as pixels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hashlens.errors import BadInput
from hashlens.sources.source import Source


class ImageArray(Source):
    """Images held in memory as pixels.

    Args:
        pixels: (N, H, W) gray or (N, H, W, 3) RGB uint8.
        labels, class_names: see :class:`hashlens.sources.Source`.

    Raises:
        BadInput: they are no such pixels, or the labels are no labels of N items.

    Example:
        >>> pixels = np.zeros((2, 4, 6, 3), np.uint8)
        >>> ImageArray("night", pixels).image(1).size
        (6, 4)
    """

    def __init__(
        self,
        name: str,
        pixels: NDArray[np.uint8],
        labels: ArrayLike | None = None,
        class_names: Sequence[str] = (),
    ) -> None:
        super().__init__(name, labels, class_names)
        if pixels.dtype != np.uint8 or pixels.ndim not in (3, 4) or pixels.shape[3:] not in ((), (3,)):
            raise BadInput(
                f"{name} must hold pixels as (N, H, W) or (N, H, W, 3) uint8, not {pixels.dtype} of shape "
                f"{pixels.shape}."
            )
        self._pixels = pixels
        self.check_label_count()

    def __len__(self) -> int:
        return len(self._pixels)

    def read(self, item: int) -> NDArray[np.uint8]:
        return self._pixels[item]
