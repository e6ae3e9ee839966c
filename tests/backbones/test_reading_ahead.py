"""Images are read ahead of the network, but not far, and not after it has stopped."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from sklearn.datasets import load_sample_image
from torch import nn

from hashlens.backbones import Backbone, Preprocessing, extract_features, iterate_features
from hashlens.backbones.extraction import BATCH_SIZE, BATCHES_AHEAD
from hashlens.sources import ImageArray, as_source, open_source

DIMENSION = 64


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HASHLENS_CACHE", str(tmp_path / "cache"))


def make_backbone(size: int = 32) -> Backbone:
    """A network of one layer, as what is tested does not depend on how good the features are."""
    torch.manual_seed(0)
    layers = nn.Conv2d(3, 16, 5, stride=4), nn.BatchNorm2d(16), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten()
    preprocessing = Preprocessing(size, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
    return Backbone("tiny", nn.Sequential(*layers), preprocessing, DIMENSION).eval()


def noise(count: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (count, 16, 16, 3), np.uint8)


class Watched(ImageArray):
    """Knows how many images were read and which was the last; slow after the first batch while it is told to be."""

    def __init__(self, count: int, slow: bool = False) -> None:
        super().__init__("noise", noise(count))
        self.reads = 0
        self.last = 0
        self.hurry = threading.Event()
        self._lock = threading.Lock()
        if not slow:
            self.hurry.set()

    def read(self, item: int) -> NDArray[np.uint8]:
        with self._lock:
            self.reads += 1
            self.last = max(self.last, item)
        if item >= BATCH_SIZE:
            self.hurry.wait(0.05)
        return super().read(item)


@pytest.mark.usefixtures("one_thread")
def test_few_images_are_read_ahead_of_the_network() -> None:
    source = Watched(BATCH_SIZE * (BATCHES_AHEAD + 4))
    for number, _ in enumerate(iterate_features(source, make_backbone(), cached=False)):
        assert source.last < BATCH_SIZE * (number + 2 + BATCHES_AHEAD)
    assert source.reads == len(source)


@pytest.mark.parametrize("cached", [True, False])
def test_a_run_that_is_stopped_does_not_go_on_reading_what_it_had_asked_for(cached: bool) -> None:
    source = Watched(BATCH_SIZE * (BATCHES_AHEAD + 4), slow=True)
    running = iterate_features(source, make_backbone(), cached=cached)
    next(running)
    running.close()
    assert source.reads < BATCH_SIZE * BATCHES_AHEAD


def test_a_backbone_left_in_training_mode_still_gives_the_features_of_each_image_alone() -> None:
    backbone = make_backbone()
    source = ImageArray("noise", noise(8))
    with torch.inference_mode():
        alone = [backbone(backbone.preprocessing(source.image(item))[None])[0] for item in range(8)]
    found = extract_features(source, backbone.train(), cached=False)
    np.testing.assert_allclose(found.values, torch.stack(alone).numpy(), rtol=1e-4, atol=1e-5)


def test_a_file_of_other_content_but_the_same_size_and_time_is_read_afresh(tmp_path: Path) -> None:
    folder, backbone = tmp_path / "photos", make_backbone()
    folder.mkdir()
    for number, image in enumerate(noise(5)):
        Image.fromarray(image).save(folder / f"{number}.bmp")
    before = extract_features(open_source(folder), backbone)
    old = (folder / "2.bmp").stat()
    Image.fromarray(noise(1, seed=9)[0]).save(folder / "2.bmp")
    os.utime(folder / "2.bmp", ns=(old.st_atime_ns, old.st_mtime_ns))
    assert (folder / "2.bmp").stat().st_size == old.st_size
    after = extract_features(open_source(folder), backbone)
    assert (before.values != after.values).any(1).tolist() == [False, False, True, False, False]


def test_a_large_photograph_decoded_in_part_has_nearly_the_feature_of_the_whole(tmp_path: Path) -> None:
    Image.fromarray(load_sample_image("china.jpg")).save(tmp_path / "china.jpg", quality=95)
    source, backbone = as_source([tmp_path / "china.jpg"]), make_backbone(size=64)
    (part,) = extract_features(source, backbone).values
    with torch.inference_mode():
        whole = backbone(backbone.preprocessing(source.image(0))[None])[0].numpy()
    assert part @ whole / np.sqrt((part @ part) * (whole @ whole)) > 0.98
