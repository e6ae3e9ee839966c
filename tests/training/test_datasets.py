"""Batches of features and pixels: the right items with their targets, and chance that can be repeated."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch.utils.data import DataLoader

from hashlens.backbones import Preprocessing
from hashlens.sources import ImageArray
from hashlens.sources.image_list import ImageList
from hashlens.training import augmentation
from hashlens.training.datasets import FeatureDataset, PixelDataset, ShuffleByEpoch, keep_batch

PREPROCESSING = Preprocessing(32, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
TARGETS = torch.arange(6) * 10


def ramps(count: int = 6, side: int = 256) -> ImageArray:
    """Pictures whose red grows from left to right and green from top to bottom; blue is the item's number."""
    pixels = np.zeros((count, side, side, 3), np.uint8)
    pixels[..., 0] = np.arange(side) * 255 // (side - 1)
    pixels[..., 1] = pixels[..., 0].swapaxes(1, 2)
    pixels[..., 2] = 40 * np.arange(count)[:, None, None]
    return ImageArray("ramps", pixels)


def augmented(seed: int = 0) -> PixelDataset:
    return PixelDataset(ramps(), TARGETS, PREPROCESSING, augmentation="zoom", seed=seed)


def drawn(sampler: ShuffleByEpoch, epoch: int) -> list[int]:
    sampler.set_epoch(epoch)
    return list(sampler)


# Order


@settings(deadline=None, max_examples=60)
@given(count=st.integers(1, 200), seed=st.integers(0, 2**40), epoch=st.integers(0, 1000))
def test_every_epoch_draws_every_item_once(count: int, seed: int, epoch: int) -> None:
    sampler = ShuffleByEpoch(count, seed)
    numbers = drawn(sampler, epoch)
    assert len(sampler) == count
    assert sorted(number % count for number in numbers) == list(range(count))
    assert {number // count for number in numbers} == {epoch}


def test_the_order_depends_on_seed_and_epoch_alone() -> None:
    sampler = ShuffleByEpoch(50, seed=3)
    epochs = [drawn(sampler, epoch) for epoch in range(4)]
    torch.manual_seed(9)
    assert drawn(ShuffleByEpoch(50, seed=3), 2) == epochs[2]
    assert drawn(sampler, 1) == epochs[1]
    orders = {tuple(number % 50 for number in numbers) for numbers in epochs}
    assert len(orders) == 4
    assert drawn(ShuffleByEpoch(50, seed=4), 0) != epochs[0]


@pytest.mark.parametrize(("count", "parts"), [(12, 3), (13, 3), (5, 2), (7, 7)])
def test_processes_share_the_items_of_an_epoch_evenly(count: int, parts: int) -> None:
    whole = drawn(ShuffleByEpoch(count, seed=1), 2)
    shares = [drawn(ShuffleByEpoch(count, 1, part, parts), 2) for part in range(parts)]
    assert {len(share) for share in shares} == {count // parts} == {len(ShuffleByEpoch(count, 1, 0, parts))}
    assert [number for together in zip(*shares, strict=True) for number in together] == whole[
        : parts * (count // parts)
    ]


# Features


@pytest.mark.parametrize("multi_label", [False, True])
@pytest.mark.parametrize("epoch", [0, 3])
def test_features_come_with_their_own_targets(multi_label: bool, epoch: int) -> None:
    features = torch.arange(14.0).reshape(7, 2)
    targets = torch.eye(7, dtype=torch.bool) if multi_label else 100 + torch.arange(7)
    dataset = FeatureDataset(features[:, None], targets)
    sampler = ShuffleByEpoch(7, seed=1)
    sampler.set_epoch(epoch)
    seen = []
    for values, marks, items in DataLoader(dataset, batch_size=3, sampler=sampler, collate_fn=keep_batch):
        torch.testing.assert_close(values, features[items])
        torch.testing.assert_close(marks, targets[items])
        seen += items.tolist()
    assert len(dataset) == 7
    assert sorted(seen) == list(range(7))


def test_features_in_order_are_numbered_from_zero() -> None:
    loader = DataLoader(FeatureDataset(torch.rand(5, 1, 2), torch.arange(5)), batch_size=2, collate_fn=keep_batch)
    assert [items.tolist() for _, _, items in loader] == [[0, 1], [2, 3], [4]]


def test_each_epoch_draws_views_anew_and_the_same_seed_draws_the_same() -> None:
    views = torch.arange(60.0).reshape(20, 3, 1)

    def drawn(seed: int, epoch: int) -> list[int]:
        sampler = ShuffleByEpoch(20, seed=0)
        sampler.set_epoch(epoch)
        loader = DataLoader(
            FeatureDataset(views, torch.arange(20), seed), batch_size=6, sampler=sampler, collate_fn=keep_batch
        )
        found = [0] * 20
        for values, marks, items in loader:
            assert torch.equal(marks, items) and torch.equal(values[:, 0].long() // 3, items)
            for item, value in zip(items.tolist(), values[:, 0].tolist(), strict=True):
                found[item] = int(value) % 3
        return found

    epochs = [drawn(0, epoch) for epoch in range(30)]
    assert drawn(0, 4) == epochs[4] != drawn(1, 4)
    assert all({epoch[item] for epoch in epochs} == {0, 1, 2} for item in range(20))


# Pixels


@pytest.mark.parametrize("size", [(64, 64), (40, 90), (200, 33)])
def test_pixels_that_are_not_augmented_are_those_that_the_backbone_sees(size: tuple[int, int]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (3, *size, 3), dtype=np.uint8)
    source = ImageArray("noise", pixels)
    dataset = PixelDataset(source, torch.arange(3), PREPROCESSING, augmentation=None)
    for number in range(9):
        found, target, item = dataset[number]
        assert int(item) == int(target) == number % 3
        assert found.dtype == torch.uint8
        assert found.shape == (3, 32, 32)
        torch.testing.assert_close(found, PREPROCESSING(source.image(number % 3)), rtol=0, atol=0)


def test_augmented_pixels_come_with_their_own_targets() -> None:
    dataset = augmented()
    assert len(dataset) == 6
    for number in range(18):
        found, target, item = dataset[number]
        assert int(item) == number % 6
        assert int(target) == 10 * int(item)
        assert found.dtype == torch.uint8
        assert found.shape == (3, 32, 32)
        assert (found[2] == 40 * int(item)).all()


def test_crops_are_between_a_quarter_and_all_of_the_picture_and_half_are_mirrored() -> None:
    dataset, areas, mirrored = augmented(), [], 0
    for number in range(400):
        pixels = dataset[number][0].float()
        rows, columns = pixels[1].mean(1), pixels[0].mean(0)
        # 31 of 32 steps lie between the centres of the first and the last pixel.
        height, width = (rows[-1] - rows[0]).abs() * 32 / 31, (columns[-1] - columns[0]).abs() * 32 / 31
        areas.append(float(height * width) / 256**2)
        mirrored += int(columns[-1] < columns[0])
    assert 0.2 < min(areas) < 0.35
    assert 0.8 < max(areas) < 1.05
    assert 150 < mirrored < 250


def test_augmentation_depends_on_seed_epoch_and_item_alone() -> None:
    torch.manual_seed(1)
    first = [augmented()[number][0] for number in range(12)]
    torch.manual_seed(2)
    again = augmented()
    for number in (7, 2, 11, 2):
        torch.testing.assert_close(again[number][0], first[number], rtol=0, atol=0)
    other = augmented(seed=1)
    assert all((other[number][0] != first[number]).any() for number in range(6))
    assert all((first[number][:2] != first[number + 6][:2]).any() for number in range(6)), "epochs repeat"
    assert all((first[number][:2] != first[number + 1][:2]).any() for number in range(5)), "items share crops"


def test_augmentation_leaves_the_random_numbers_of_its_caller_alone() -> None:
    dataset = augmented()
    torch.manual_seed(3)
    wanted = torch.rand(3)
    torch.manual_seed(3)
    dataset[0]
    torch.testing.assert_close(torch.rand(3), wanted, rtol=0, atol=0)


@pytest.mark.parametrize("workers", [1, 2])
def test_the_number_of_workers_changes_no_pixel(workers: int) -> None:
    def batches(**options: Any) -> list[torch.Tensor]:
        sampler = ShuffleByEpoch(6, seed=2)
        loader = DataLoader(augmented(seed=2), batch_size=4, sampler=sampler, **options)
        found = []
        for epoch in range(2):
            sampler.set_epoch(epoch)
            found += [pixels for pixels, _, _ in loader]
        return found

    wanted = batches()
    for found, alone in zip(batches(num_workers=workers, persistent_workers=True), wanted, strict=True):
        torch.testing.assert_close(found, alone, rtol=0, atol=0)


def picture(size: tuple[int, int]) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), np.uint8))


def test_a_crop_is_a_square_of_the_resized_picture_or_its_mirror_image() -> None:
    image = picture((80, 60))
    whole = Preprocessing(round(PREPROCESSING.image_size * 8 / 7), PREPROCESSING.mean, PREPROCESSING.std)(image)
    side, spare = PREPROCESSING.image_size, whole.shape[1] - PREPROCESSING.image_size
    squares = {
        (place, mirrored): square.flip(2) if mirrored else square
        for place in itertools.product(range(spare + 1), repeat=2)
        for square in [whole[:, place[0] : place[0] + side, place[1] : place[1] + side]]
        for mirrored in (False, True)
    }
    seen = set()
    for seed in range(40):
        torch.manual_seed(seed)
        found = augmentation.augmented(image, "crop", PREPROCESSING)
        seen |= {key for key, square in squares.items() if torch.equal(found, square)}
    assert len({place for place, _ in seen}) > 5 and {mirrored for _, mirrored in seen} == {False, True}


def test_colour_is_changed_by_a_twentieth_and_nothing_is_cropped() -> None:
    image = picture((40, 40))
    plain = PREPROCESSING(image).float()
    kept = changed = 0
    for seed in range(30):
        torch.manual_seed(seed)
        found = augmentation.augmented(image, "colour", PREPROCESSING).float()
        mirrored = (found - plain.flip(2)).abs().mean() < (found - plain).abs().mean()
        difference = (found - (plain.flip(2) if mirrored else plain)).abs()
        assert difference.max() <= 255 * (0.05 + 0.05 * 1.05) + 2
        kept += int(mirrored)
        changed += int(difference.max() > 1)
    assert 5 < kept < 25 and changed > 25


def test_resized_crops_have_the_range_of_torchvision() -> None:
    from torchvision.transforms import v2

    assert augmentation.ZOOM["resized-crop"] == tuple(v2.RandomResizedCrop(8).scale)


def test_augmentation_follows_the_data_as_in_the_paper_of_orthohash() -> None:
    small, large = ImageList([picture((32, 32))]), ImageList([b"", picture((320, 240))])
    assert augmentation.augmentation_for(small, label_sets=False) == "colour"
    assert augmentation.augmentation_for(large, label_sets=False) == "resized-crop"
    assert augmentation.augmentation_for(large, label_sets=True) == "crop"
