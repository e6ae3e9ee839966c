"""Views of pictures: which they are, that they are the same every time, and how their features travel."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from hashlens.backbones import Backbone, FeatureExtractor, Preprocessing, extract_features
from hashlens.backbones.views import MIRRORED, PLAIN, view_digest, view_of
from hashlens.sources import ImageArray
from hashlens.sources.content import content_digest

FIRST, SECOND = content_digest(b"first"), content_digest(b"second")

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HASHLENS_CACHE", str(tmp_path / "cache"))


class Counting(nn.Module):
    seen = 0

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        self.seen += len(pixels)
        return torch.cat([pixels[..., :8].mean((2, 3)), pixels[..., 8:].mean((2, 3))], 1)  # left and right half


def make_backbone() -> tuple[Backbone, Counting]:
    network = Counting()
    return Backbone("halves", network, Preprocessing(16, (0, 0, 0), (1, 1, 1)), 6).eval(), network


def pictures(count: int = 9) -> ImageArray:
    return ImageArray("noise", np.random.default_rng(0).integers(0, 256, (count, 40, 30, 3), np.uint8))


def test_a_mirrored_picture_has_its_halves_exchanged() -> None:
    features = extract_features(pictures(), make_backbone()[0], views=(PLAIN, MIRRORED)).views
    assert features.shape == (9, 2, 6)
    np.testing.assert_allclose(features[:, 1], features[:, 0][:, [3, 4, 5, 0, 1, 2]], atol=1e-6)


def test_each_view_is_what_a_picture_made_so_by_hand_gives() -> None:
    source = pictures()
    found = extract_features(source, make_backbone()[0], views=range(4)).views
    for item in range(len(source)):
        digest = content_digest(source.read(item))
        for number in range(4):
            by_hand = ImageArray("one", np.array(view_of(source.image(item), number, digest))[None])
            expected = extract_features(by_hand, make_backbone()[0], cached=False).values[0]
            np.testing.assert_allclose(found[item, number], expected, atol=1e-6)


def test_crops_differ_by_number_and_content_are_large_enough_and_often_mirrored() -> None:
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (60, 90, 3), np.uint8))
    crops = [view_of(picture, number, FIRST) for number in range(2, 102)]
    assert len({crop.tobytes() for crop in crops}) > 95
    assert all(0.28 * 60 * 90 <= crop.width * crop.height <= 60 * 90 for crop in crops)
    assert view_of(picture, 2, FIRST).tobytes() == crops[0].tobytes() != view_of(picture, 2, SECOND).tobytes()
    gradient = Image.fromarray(np.tile(np.arange(90, dtype=np.uint8), (60, 1)))
    falling = [np.array(view_of(gradient, number, FIRST))[0, 0] > 40 for number in range(2, 102)]
    assert 25 < sum(falling) < 75


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (3, 2)])
def test_crops_of_tiny_and_long_pictures(size: tuple[int, int]) -> None:
    for number in range(12):
        crop = view_of(Image.new("RGB", size), number, b"")
        assert 1 <= crop.width <= size[0] and 1 <= crop.height <= size[1]


def test_views_share_the_cache_and_only_missing_ones_are_computed() -> None:
    backbone, network = make_backbone()
    plain = extract_features(pictures(), backbone)
    assert network.seen == 9
    both = extract_features(pictures(), backbone, views=(PLAIN, MIRRORED))
    assert network.seen == 18 and both.digests == plain.digests
    np.testing.assert_array_equal(both.values, plain.values)
    turned = extract_features(pictures(), backbone, views=(MIRRORED,))
    assert network.seen == 18
    np.testing.assert_array_equal(turned.values, both.views[:, 1])


def test_an_unreadable_picture_among_several_views_is_skipped_whole(tmp_path: Path) -> None:
    from hashlens.sources import open_source

    for item in range(4):
        pictures().image(item).save(tmp_path / f"{item}.png")
    (tmp_path / "1.png").write_bytes(b"no picture")
    found = extract_features(open_source(tmp_path), make_backbone()[0], views=range(3))
    assert found.items.tolist() == [0, 2, 3] and found.views.shape == (3, 3, 6) and len(found.skipped) == 1


def test_no_items_have_no_views() -> None:
    with FeatureExtractor(make_backbone()[0], views=range(3)) as extractor:
        assert len(extractor.extract(pictures().select([])).items) == 0


def test_digests_of_views_differ() -> None:
    digest = content_digest(b"a picture")
    assert len({view_digest(digest, number) for number in range(50)}) == 50
