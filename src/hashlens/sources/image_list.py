"""Images in whatever form a program holds each of them."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hashlens.sources.decoding import upright_rgb
from hashlens.sources.image_files import fingerprint_of, read_file
from hashlens.sources.source import Source

# Pillow loads an opened image when its pixels are asked for; two threads that ask at once spoil it for each other.
LOADING = [threading.Lock() for _ in range(64)]


class ImageList(Source):
    """Images in whatever form a program holds each of them.

    Args:
        images: N of these, mixed at will: paths of image files, bytes of image files, PIL images, (H, W, 3) uint8
            pixels.

    Example:
        >>> images = ImageList([Image.new("L", (6, 4), 7), np.zeros((4, 6, 3), np.uint8), "cat.jpg"])
        >>> [images.key(item) for item in range(3)]
        ['image #0', 'image #1', 'cat.jpg']
        >>> images.image(0).getpixel((0, 0))
        (7, 7, 7)
    """

    def __init__(self, images: Sequence[Any]) -> None:
        self._images = [Path(image) if isinstance(image, str | os.PathLike) else image for image in images]
        name = "paths" if all(isinstance(image, Path) for image in self._images) else "images"
        listed = "\0".join(self.location(item) for item in range(len(self)))
        digest = hashlib.blake2b(os.fsencode(listed), digest_size=16).hexdigest()
        super().__init__(name, identity=f"{name}-{digest}")

    def __len__(self) -> int:
        return len(self._images)

    def read(self, item: int) -> bytes | NDArray[np.uint8]:
        image = self._images[item]
        if isinstance(image, Path):
            return read_file(image)
        if not isinstance(image, Image.Image):
            return image
        with LOADING[id(image) // 16 % len(LOADING)]:
            return np.asarray(upright_rgb(image))

    def key(self, item: int) -> str:
        image = self._images[item]
        return str(image) if isinstance(image, Path) else f"image #{item}"

    def location(self, item: int) -> str:
        image = self._images[item]
        return str(image.absolute()) if isinstance(image, Path) else self.key(item)

    def fingerprint(self, item: int) -> tuple[int, int]:
        image = self._images[item]
        return fingerprint_of(image) if isinstance(image, Path) else super().fingerprint(item)


def is_image(item: Any) -> bool:
    """Whether an :class:`ImageList` takes it."""
    if isinstance(item, np.ndarray):
        return item.dtype == np.uint8 and item.ndim == 3 and item.shape[2] == 3
    return isinstance(item, str | os.PathLike | bytes | Image.Image)
