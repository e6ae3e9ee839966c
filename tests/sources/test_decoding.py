"""Bytes of any kind of image become upright RGB, and bytes of none become a reason."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from hashlens.sources import UnreadableImage, decode

pytestmark = [  # pytest lifts the filter that the module sets for Pillow's warnings
    pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning"),
    pytest.mark.filterwarnings("ignore:Corrupt EXIF data"),
]

WHITE = (255, 255, 255)


def encoded(image: Image.Image, file_format: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def noise(height: int = 40, width: int = 60, channels: int = 3) -> NDArray[np.uint8]:
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, channels), np.uint8)
    return pixels[..., 0] if channels == 1 else pixels


def png_that_declares(width: int, height: int) -> bytes:
    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")
    )


def jpeg_that_declares(width: int, height: int) -> bytes:
    content = bytearray(encoded(Image.new("RGB", (16, 16)), "JPEG"))
    frame = content.index(b"\xff\xc0")  # marker, length, precision, height, width
    content[frame + 5 : frame + 9] = struct.pack(">HH", height, width)
    return bytes(content)


def column_of(image: Image.Image) -> list[tuple[int, ...]]:
    """The pixels of an image that is one pixel high."""
    assert (image.mode, image.height) == ("RGB", 1)
    return [tuple(int(value) for value in pixel) for pixel in np.asarray(image)[0]]


def test_rgb_pixels_are_kept() -> None:
    pixels = noise()
    image = decode(encoded(Image.fromarray(pixels)))
    assert image.mode == "RGB"
    np.testing.assert_array_equal(np.asarray(image), pixels)


def test_gray_becomes_three_equal_channels() -> None:
    pixels = noise(channels=1)
    image = decode(encoded(Image.fromarray(pixels)))
    assert image.mode == "RGB"
    np.testing.assert_array_equal(np.asarray(image), np.stack([pixels] * 3, axis=-1))


def test_one_bit_becomes_black_and_white() -> None:
    image = Image.fromarray(np.array([[True, False, True]]))
    assert image.mode == "1"
    assert column_of(decode(encoded(image))) == [WHITE, (0, 0, 0), WHITE]


def palette_image() -> Image.Image:
    image = Image.new("P", (3, 1))
    image.putpalette([10, 20, 30, 200, 0, 0, 0, 0, 250])
    image.putdata([0, 1, 2])
    return image


@pytest.mark.parametrize("file_format", ["PNG", "GIF", "TIFF"])
def test_palette_colours_are_looked_up(file_format: str) -> None:
    colours = column_of(decode(encoded(palette_image(), file_format)))
    assert colours == [(10, 20, 30), (200, 0, 0), (0, 0, 250)]


@pytest.mark.parametrize("file_format", ["PNG", "GIF"])
def test_the_transparent_colour_of_a_palette_becomes_white(file_format: str) -> None:
    colours = column_of(decode(encoded(palette_image(), file_format, transparency=1)))
    assert colours == [(10, 20, 30), WHITE, (0, 0, 250)]


def test_partly_transparent_palette_colours_are_laid_over_white() -> None:
    solid, half, clear = column_of(decode(encoded(palette_image(), transparency=bytes([255, 51, 0]))))
    assert (solid, clear) == ((10, 20, 30), WHITE)
    assert half == pytest.approx((244, 204, 204), abs=1)  # a fifth of (200, 0, 0) over four fifths of white


@pytest.mark.parametrize("file_format", ["PNG", "TIFF", "WEBP"])
def test_transparent_pixels_become_white_whatever_colour_they_hide(file_format: str) -> None:
    image = Image.new("RGBA", (3, 1))
    image.putdata([(10, 20, 30, 255), (200, 0, 0, 0), (200, 0, 0, 51)])
    options = {"lossless": True, "exact": True} if file_format == "WEBP" else {}
    solid, clear, half = column_of(decode(encoded(image, file_format, **options)))
    assert (solid, clear) == ((10, 20, 30), WHITE)
    assert half == pytest.approx((244, 204, 204), abs=1)


def test_gray_with_transparency_becomes_white_where_it_is_clear() -> None:
    image = Image.new("LA", (3, 1))
    image.putdata([(10, 255), (200, 0), (0, 51)])
    solid, clear, half = column_of(decode(encoded(image)))
    assert (solid, clear) == ((10, 10, 10), WHITE)
    assert half == pytest.approx((204, 204, 204), abs=1)


@pytest.mark.parametrize(
    ("mode", "colours", "transparent"),
    [("L", [10, 200], 200), ("RGB", [(10, 10, 10), (200, 0, 0)], (200, 0, 0)), ("I;16", [2570, 9000], 9000)],
)
def test_the_colour_that_a_file_without_alpha_declares_transparent_becomes_white(
    mode: str, colours: list[Any], transparent: Any
) -> None:
    image = Image.new(mode, (2, 1))
    for place, colour in enumerate(colours):
        image.putpixel((place, 0), colour)
    content = encoded(image, transparency=transparent)
    assert b"tRNS" in content
    assert column_of(decode(content)) == [(10, 10, 10), WHITE]


@pytest.mark.parametrize("file_format", ["PNG", "TIFF"])
def test_16_bit_gray_is_scaled_by_its_depth_not_clipped(file_format: str) -> None:
    samples = np.array([[0, 257, 32_896, 65_535]], np.uint16)
    colours = column_of(decode(encoded(Image.fromarray(samples), file_format)))
    assert colours == [(0, 0, 0), (1, 1, 1), (128, 128, 128), WHITE]


@pytest.mark.parametrize("file_format", ["PNG", "TIFF"])
def test_a_dark_16_bit_image_stays_dark(file_format: str) -> None:
    samples = np.array([[0, 100, 255]], np.uint16)
    colours = column_of(decode(encoded(Image.fromarray(samples), file_format)))
    assert all(max(colour) <= 1 for colour in colours)


def test_16_bit_gray_with_the_bytes_in_the_other_order_looks_the_same() -> None:
    samples = np.array([[0, 257, 32_896, 65_535]], np.uint16)
    image = Image.frombytes("I;16B", (4, 1), samples.astype(">u2").tobytes())
    colours = column_of(decode(encoded(image, "TIFF")))
    assert colours == [(0, 0, 0), (1, 1, 1), (128, 128, 128), WHITE]


@pytest.mark.parametrize(
    ("samples", "grays"),
    [
        ([0.0, 0.2, 1.0], [0, 51, 255]),
        ([0.2, 0.4, 0.6], [51, 102, 153]),  # within [0, 1]: not stretched
        ([0.0, 10.0, 50.0], [0, 51, 255]),
        ([-1.0, 0.0, 4.0], [0, 51, 255]),
        ([7.0, 7.0, 7.0], [0, 0, 0]),
        ([0.2, float("nan"), 1.0], [51, 0, 255]),  # NaN is black and does not spoil the rest
        ([0.0, float("inf"), 50.0, float("-inf")], [0, 255, 255, 0]),
        ([float("nan")] * 2, [0, 0]),
    ],
)
def test_float_samples_are_scaled_from_the_unit_interval_or_else_their_range(
    samples: list[float], grays: list[int]
) -> None:
    content = encoded(Image.fromarray(np.array([samples], np.float32)), "TIFF")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        colours = column_of(decode(content))
    assert colours == [(gray, gray, gray) for gray in grays]


@pytest.mark.parametrize(
    ("ink", "colour"), [((0, 0, 0, 0), WHITE), ((0, 0, 0, 255), (0, 0, 0)), ((0, 255, 255, 0), (255, 0, 0))]
)
def test_cmyk_jpeg_has_the_colours_it_would_be_printed_in(ink: tuple[int, ...], colour: tuple[int, ...]) -> None:
    image = decode(encoded(Image.new("CMYK", (16, 16), ink), "JPEG", quality=95))
    assert image.mode == "RGB"
    assert image.getpixel((8, 8)) == pytest.approx(colour, abs=4)


@pytest.mark.parametrize("shortest_side", [None, 16])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation: int, shortest_side: int | None) -> None:
    upright = np.zeros((64, 96, 3), np.uint8)  # a red corner at the top left, a blue one at the top right
    upright[:32, :32], upright[:32, 64:] = (255, 0, 0), (0, 0, 255)
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.swapaxes(0, 1),
        6: np.rot90(upright),
        7: np.rot90(upright, 2).swapaxes(0, 1),
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = Image.fromarray(np.ascontiguousarray(stored))
    result = decode(encoded(image, "JPEG", exif=exif.tobytes(), quality=95), shortest_side)
    pixels = np.asarray(result.resize((96, 64), Image.Resampling.NEAREST)).astype(int)
    assert result.width * 2 == result.height * 3
    assert np.abs(pixels[16, 16] - (255, 0, 0)).max() < 20
    assert np.abs(pixels[16, 80] - (0, 0, 255)).max() < 20
    assert pixels[48].max() < 20


def test_an_unknown_orientation_or_a_damaged_exif_block_leaves_the_pixels_as_they_are() -> None:
    pixels = noise()
    exif = Image.Exif()
    exif[0x0112] = 77
    for block in (exif.tobytes(), b"Exif\0\0MM\0\x2a\xff\xff\xff\xff", b"Exif\0\0nonsense"):
        np.testing.assert_array_equal(np.asarray(decode(encoded(Image.fromarray(pixels), exif=block))), pixels)


def test_the_first_frame_of_an_animation_is_used() -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    image = decode(encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]))
    assert image.getpixel((4, 4)) == (255, 0, 0)


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 3)])
def test_pixels_are_taken_as_they_are(shape: tuple[int, ...]) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, shape, np.uint8)
    wanted = pixels if len(shape) == 3 else np.stack([pixels] * 3, axis=-1)
    np.testing.assert_array_equal(np.asarray(decode(pixels)), wanted)


def test_a_large_jpeg_is_decoded_at_a_fraction_that_is_at_least_twice_the_side_asked_for() -> None:
    smooth = np.add.outer(np.arange(600), np.arange(800)).astype(np.uint16) // 6
    content = encoded(Image.fromarray(smooth.astype(np.uint8)), "JPEG")
    whole, part = decode(content), decode(content, 64)
    assert whole.size == (800, 600)
    assert 128 <= part.height < 600
    assert part.width * 3 == pytest.approx(part.height * 4, abs=4)
    difference = np.asarray(whole.resize(part.size, Image.Resampling.BOX), int) - np.asarray(part, int)
    assert np.abs(difference).max() <= 3


@pytest.mark.parametrize("shortest_side", [100, 400])
def test_a_jpeg_smaller_than_twice_the_side_asked_for_keeps_its_size(shortest_side: int) -> None:
    assert decode(encoded(Image.fromarray(noise(150, 180)), "JPEG"), shortest_side).size == (180, 150)


@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF"])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.95])
def test_a_truncated_file_is_refused(file_format: str, share: float) -> None:
    content = encoded(Image.fromarray(noise(80, 100)), file_format)
    with pytest.raises(UnreadableImage, match=r"."):
        decode(content[: int(len(content) * share)])


def test_a_damaged_file_is_refused() -> None:
    content = bytearray(encoded(Image.fromarray(noise())))
    middle = len(content) // 2
    content[middle : middle + 50] = bytes(50)
    with pytest.raises(UnreadableImage, match="damaged"):
        decode(bytes(content))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"these are words, not a picture\n", "not an image"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not an image"),
        (bytes(1000), "not an image"),
    ],
)
def test_what_is_no_image_is_refused_with_the_reason(content: bytes, reason: str) -> None:
    with pytest.raises(UnreadableImage, match=reason):
        decode(content)


@pytest.mark.parametrize("size", [(10_001, 10_000), (1_000_000, 101), (20_000, 20_000), (2_000_000_000, 2)])
@pytest.mark.parametrize("shortest_side", [None, 32])
def test_over_100_megapixels_are_refused_before_they_are_decoded(
    size: tuple[int, int], shortest_side: int | None
) -> None:
    content = png_that_declares(*size)
    assert len(content) < 200
    with pytest.raises(UnreadableImage, match="megapixels"):
        decode(content, shortest_side)


@pytest.mark.parametrize("size", [(10_001, 10_000), (65_000, 65_000)])
def test_a_huge_jpeg_is_refused_even_where_a_small_part_would_do(size: tuple[int, int]) -> None:
    with pytest.raises(UnreadableImage, match="megapixels"):
        decode(jpeg_that_declares(*size), 32)


def test_100_megapixels_are_allowed() -> None:
    row = Image.new("1", (100_000, 1000))
    assert decode(encoded(row, compress_level=1)).size == row.size


def test_a_reason_does_not_grow_into_a_traceback_or_a_warning() -> None:
    with warnings.catch_warnings(), pytest.raises(UnreadableImage) as refusal:
        warnings.simplefilter("error")
        decode(png_that_declares(13_000, 13_000))  # Pillow warns of this size
    assert "\n" not in str(refusal.value)
