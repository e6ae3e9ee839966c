"""What a network gets to see of an image."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from hashlens.backbones import Preprocessing

HALVES = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


@pytest.mark.parametrize("size", [(64, 64), (96, 64), (64, 100), (7, 500), (1000, 5), (3, 3), (1, 1)])
def test_any_image_becomes_its_centre_square(size: tuple[int, int]) -> None:
    width, height = size
    side = min(size)
    image = Image.new("RGB", size, "black")
    left, top = (width - side) // 2, (height - side) // 2
    image.paste((200, 100, 50), (left, top, left + side, top + side))
    pixels = Preprocessing(32, *HALVES)(image)
    assert pixels.shape == (3, 32, 32)
    assert pixels.dtype == torch.uint8
    middle = pixels[:, 8:24, 8:24].float().mean((1, 2))
    torch.testing.assert_close(middle, torch.tensor([200.0, 100.0, 50.0]), atol=12, rtol=0)


def test_a_square_of_the_right_size_is_not_changed() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (48, 48, 3), np.uint8)
    np.testing.assert_array_equal(Preprocessing(48, *HALVES)(Image.fromarray(pixels)).permute(1, 2, 0), pixels)


@pytest.mark.parametrize("size", [(64, 64), (97, 64), (50, 333)])
def test_the_middle_of_a_wider_image(size: tuple[int, int]) -> None:
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (*size[::-1], 3), np.uint8))
    wider = Preprocessing(28, *HALVES).of_wider()
    assert (wider.resized, Preprocessing(224, *HALVES).of_wider().resized) == (32, 256)
    whole = image.resize(tuple(32 * side // min(size) for side in size), Image.Resampling.BICUBIC)
    left, top = (round((side - 28) / 2) for side in whole.size)
    found = wider(image).permute(1, 2, 0)
    np.testing.assert_array_equal(found, np.array(whole.crop((left, top, left + 28, top + 28))))


@pytest.mark.parametrize("upright", [True, False])
def test_a_line_of_millions_of_pixels_is_not_blown_up(upright: bool) -> None:
    long = (1 << 31) // 128  # resized as a whole it would have more rows or columns than Pillow can count
    image = Image.new("RGB", (1, long) if upright else (long, 1), (10, 20, 30))
    pixels = Preprocessing(128, *HALVES)(image)
    assert pixels.shape == (3, 128, 128)
    assert pixels.amin((1, 2)).tolist() == pixels.amax((1, 2)).tolist() == [10, 20, 30]


def test_normalising_is_arithmetic_on_each_channel() -> None:
    preprocessing = Preprocessing(32, (0.1, 0.2, 0.3), (0.5, 0.25, 2.0))
    pixels = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    found = preprocessing.normalize(pixels)
    assert found.dtype == torch.float32
    for channel, (mean, std) in enumerate(zip((0.1, 0.2, 0.3), (0.5, 0.25, 2.0), strict=True)):
        torch.testing.assert_close(found[:, channel], (pixels[:, channel] / 255 - mean) / std)
