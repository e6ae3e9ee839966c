"""Other views of a picture: its mirror image, and crops drawn at random."""

from __future__ import annotations

import hashlib

import numpy as np
from PIL import Image

from hashlens.sources.content import DIGEST_BYTES

PLAIN, MIRRORED = 0, 1  # numbers of views; those that follow are crops
LEAST_AREA = 0.3  # of the picture, in a crop
ASPECT = 4 / 3  # of a crop is at most this, and at least its inverse
TRIES = 10


def view_digest(digest: bytes, number: int) -> bytes:
    """A digest of one view of the picture with a content digest.

    Example:
        >>> view_digest(b"0123456789abcdef", PLAIN), len(view_digest(b"0123456789abcdef", MIRRORED))
        (b'0123456789abcdef', 16)
    """
    if number == PLAIN:
        return digest
    return hashlib.blake2b(digest + number.to_bytes(4, "big"), digest_size=DIGEST_BYTES).digest()


def view_of(image: Image.Image, number: int, digest: bytes) -> Image.Image:
    """A view of a picture: the same for the same content and number.

    Args:
        number: 0 is the picture, 1 its mirror image, and each from 2 on another crop, of 30 to 100 % of the area
            and with sides as 3:4 to 4:3, mirrored or not.
        digest: of the picture's content.

    Example:
        >>> picture = Image.new("RGB", (40, 30))
        >>> picture.putpixel((0, 0), (255, 255, 255))
        >>> view_of(picture, MIRRORED, b"").getpixel((39, 0)), view_of(picture, 2, b"").size
        ((255, 255, 255), (22, 22))
    """
    if number == PLAIN:
        return image
    if number == MIRRORED:
        return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    random = np.random.default_rng(list(view_digest(digest, number)))
    crop = image.crop(_box(image.size, random))
    return crop.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if random.random() < 0.5 else crop


def _box(size: tuple[int, int], random: np.random.Generator) -> tuple[int, int, int, int]:
    width, height = size
    for _ in range(TRIES):
        area = random.uniform(LEAST_AREA, 1.0) * width * height
        aspect = np.exp(random.uniform(-np.log(ASPECT), np.log(ASPECT)))
        wide, high = max(1, round((area * aspect) ** 0.5)), max(1, round((area / aspect) ** 0.5))
        if wide <= width and high <= height:
            left, top = int(random.integers(width - wide + 1)), int(random.integers(height - high + 1))
            return left, top, left + wide, top + high
    return 0, 0, width, height
