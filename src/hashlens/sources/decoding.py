"""Turning bytes that someone calls an image into an upright RGB image, or a reason why not."""

from __future__ import annotations

import io
import warnings

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from hashlens.sources.file_types import PIP_LINE, is_heif, reads_avif, reads_heif

MAXIMUM_PIXELS = 100_000_000
TOO_MANY = f"are more than the {MAXIMUM_PIXELS // 10**6} megapixels that are allowed"

# What Pillow only warns of, we either refuse or accept. The filter is set once, as images are decoded in threads
# and threads that each set and restore the filters leave them in disorder.
warnings.filterwarnings("ignore", module=r"PIL\.")

# Others that Pillow knows start programs (EPS runs Ghostscript), or are no pictures that people have.
FORMATS = (
    *(
        "AVIF",
        "BMP",
        "DIB",
        "GIF",
        "HEIF",
        "ICO",
        "JPEG",
        "JPEG2000",
        "MPO",
        "PCX",
        "PNG",
        "PPM",
        "QOI",
        "SGI",
        "TGA",
    ),
    *("TIFF", "WEBP"),
)

Raw = bytes | NDArray[np.uint8]


class UnreadableImage(Exception):
    """An image that cannot be used; its text is the reason, without the file's name.

    Example:
        >>> decode(b"words")
        Traceback (most recent call last):
        ...
        hashlens.sources.decoding.UnreadableImage: not an image in a format that can be read
    """


def decode(raw: Raw, shortest_side: int | None = None) -> Image.Image:
    """Decode an image.

    EXIF orientation is applied. Transparent pixels become white. 16-bit and floating-point images are scaled
    to 8 bits: integers by their bit depth, floats from [0, 1] where they lie in it, else from their range;
    NaN becomes black.

    Args:
        raw: the bytes of an image file, or pixels, (H, W) gray or (H, W, 3) RGB uint8.
        shortest_side: a JPEG may be decoded at a fraction of its size (a power of two, at least twice this
            many pixels on its shorter side), which is several times faster for photographs.

    Returns:
        An RGB image.

    Raises:
        UnreadableImage: the bytes are empty, not an image, damaged or truncated, or there are over 100 million
            pixels.

    Example:
        >>> decode(np.full((2, 3), 255, np.uint8)).getpixel((0, 0))
        (255, 255, 255)
    """
    if not isinstance(raw, bytes):
        check_size(raw.shape[1], raw.shape[0])
        return Image.fromarray(raw).convert("RGB")
    if not raw:
        raise UnreadableImage("the file is empty")
    if is_heif(raw) and not reads_heif() and not (reads_avif() and raw[8:11] == b"avi"):
        raise UnreadableImage(f"a HEIC or AVIF image; to read it: {PIP_LINE}")
    try:
        image = opened(raw)
        check_size(*image.size)
        if shortest_side is not None:
            image.draft(None, (2 * shortest_side, 2 * shortest_side))
        return upright_rgb(image)
    except UnreadableImage:
        raise
    except UnidentifiedImageError:
        raise UnreadableImage("not an image in a format that can be read") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):  # Pillow's own limit, without the size
        raise UnreadableImage(f"its pixels {TOO_MANY}") from None
    except Exception as error:  # decoders raise OSError, SyntaxError, ValueError, struct.error, … on bad data
        raise UnreadableImage(f"damaged or truncated ({error})") from None


def opened(raw: bytes) -> Image.Image:
    """An image file of a kind that we read, its pixels not decoded yet; raises whatever Pillow raises.

    Example:
        >>> file = io.BytesIO()
        >>> Image.new("RGB", (4, 3)).save(file, "png")
        >>> opened(file.getvalue()).size
        (4, 3)
    """
    Image.init()
    return Image.open(io.BytesIO(raw), formats=[name for name in FORMATS if name in Image.OPEN])


def check_size(width: int, height: int) -> None:
    """Stop an image that would take too much memory, before it does.

    Raises:
        UnreadableImage: it has over 100 million pixels.
    """
    if width * height > MAXIMUM_PIXELS:
        raise UnreadableImage(f"{width} × {height} pixels {TOO_MANY}")


def upright_rgb(image: Image.Image) -> Image.Image:
    """An opened image of any mode, made what :func:`decode` returns.

    Raises:
        UnreadableImage: its file is damaged or truncated, or it has over 100 million pixels.
    """
    check_size(*image.size)
    try:
        image.load()
        return _to_rgb(_upright(image))
    except Exception as error:
        raise UnreadableImage(f"damaged or truncated ({error})") from None


def _upright(image: Image.Image) -> Image.Image:
    try:
        if image.getexif().get(ExifTags.Base.Orientation, 1) == 1:
            return image  # without the copy that Pillow would make
        return ImageOps.exif_transpose(image)
    except Exception:  # a damaged EXIF block does not make the pixels unusable
        return image


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith(("I", "F")):
        samples = np.asarray(image)
        pixels = _to_8_bits(samples)
        if isinstance(image.info.get("transparency"), int):  # the one gray that a PNG declares to be clear
            pixels[samples == image.info["transparency"]] = 255
        return Image.fromarray(pixels).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


def _to_8_bits(pixels: NDArray[np.generic]) -> NDArray[np.uint8]:
    values = pixels.astype(np.float64)
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    if np.issubdtype(pixels.dtype, np.integer):
        # Mode "I" holds 8- or 16-bit samples of files that declare either; only the values can tell.
        depth = 255.0 if high <= 255 and pixels.dtype.itemsize > 2 else 65_535.0
        low, high = (0.0, depth) if low >= 0 and high <= depth else (low, high)
    elif low >= 0 and high <= 1:
        low, high = 0.0, 1.0
    scaled = (values - low) * (255.0 / max(high - low, 1e-12))
    return np.nan_to_num(scaled, posinf=255.0).clip(0, 255).round().astype(np.uint8)
