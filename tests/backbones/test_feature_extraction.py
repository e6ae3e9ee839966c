"""Features of a source: each image goes through a backbone once, whatever happens in between."""

from __future__ import annotations

import threading
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from hashlens.backbones import Backbone, Features, Preprocessing, extract_features, extraction, iterate_features
from hashlens.errors import BadInput
from hashlens.sources import FeatureArray, ImageArray, Source, open_source

pytestmark = pytest.mark.usefixtures("one_thread")  # so that calls of the network have an order


class Network(nn.Module):
    """Something small that counts the images it sees."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.convolution = nn.Conv2d(3, 4, 8, stride=8)
        self.seen = 0
        self.calls = 0
        self.dies_in_call = 0

    def forward(self, pixels: Tensor) -> Tensor:
        self.calls += 1
        if self.calls == self.dies_in_call:
            raise KeyboardInterrupt
        self.seen += len(pixels)
        return self.convolution(pixels).mean((2, 3))


def make_backbone(seed: int = 0, image_size: int = 16) -> tuple[Backbone, Network]:
    network = Network(seed)
    return Backbone("small", network, Preprocessing(image_size, (0.5,) * 3, (0.2,) * 3), 4).eval(), network


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HASHLENS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(extraction, "BATCH_SIZE", 4)
    return tmp_path / "cache" / "features"


@pytest.fixture
def pixels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (18, 20, 24, 3), np.uint8)


@pytest.fixture
def images(pixels: np.ndarray) -> ImageArray:
    return ImageArray("noise", pixels)


def write(folder: Path, pixels: np.ndarray) -> Source:
    folder.mkdir(exist_ok=True)
    for number, one in enumerate(pixels):
        Image.fromarray(one).save(folder / f"{number:02}.png")
    source = open_source(folder)
    return source


def expected(backbone: Backbone, pixels: np.ndarray) -> np.ndarray:
    """One image at a time, without any of the machinery."""
    with torch.inference_mode():
        return np.concatenate([backbone(backbone.preprocessing(Image.fromarray(one))[None]) for one in pixels])


def check(features: Features, backbone: Backbone, pixels: np.ndarray, items: list[int] | None = None) -> None:
    items = list(range(len(pixels))) if items is None else items
    assert features.items.tolist() == items
    assert features.values.dtype == np.float32
    np.testing.assert_allclose(features.values, expected(backbone, pixels[items]), rtol=1e-4, atol=1e-5)
    assert len(features.digests) == len(items)


@pytest.mark.parametrize("cached", [True, False])
@pytest.mark.parametrize("count", [1, 4, 5, 18])
def test_features_are_those_of_the_backbone_in_the_order_of_the_source(
    images: ImageArray, pixels: np.ndarray, count: int, cached: bool
) -> None:
    backbone, _ = make_backbone()
    features = extract_features(images.select(range(count)), backbone, cached=cached)
    check(features, backbone, pixels[:count])
    assert features.skipped == []
    assert len(set(features.digests)) == count


def test_parts_of_batches_that_run_side_by_side_keep_their_order(
    images: ImageArray, pixels: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extraction, "PIXELS_AT_ONCE", 3 * 16**2)
    threads: dict[str, int] = {}

    class Watching(Network):
        def forward(self, pixels: Tensor) -> Tensor:
            assert len(pixels) <= 3
            threads[threading.current_thread().name] = torch.get_num_threads()
            return super().forward(pixels)

    backbone = Backbone("small", Watching(0), Preprocessing(16, (0.5,) * 3, (0.2,) * 3), 4).eval()
    torch.set_num_threads(4)
    try:
        features = extract_features(images, backbone, cached=False)
        assert torch.get_num_threads() == 4
    finally:
        torch.set_num_threads(1)
    assert set(threads.values()) == {1}
    check(features, make_backbone()[0], pixels)


def test_a_second_extraction_does_not_run_the_backbone(images: ImageArray, pixels: np.ndarray, cache: Path) -> None:
    backbone, network = make_backbone()
    first = extract_features(images, backbone)
    assert network.seen == 18
    calls = network.calls
    check(extract_features(images, backbone), backbone, pixels)
    again, other = make_backbone()  # as another process would load it
    second = extract_features(images, again)
    assert (network.seen - 18, other.calls, calls) == (18, 0, 5)  # the 18 are those that check() asked for
    np.testing.assert_array_equal(second.values, first.values)
    assert second.digests == first.digests
    assert len(list(cache.glob("*.sqlite"))) == 1


def test_without_the_cache_the_backbone_runs_and_nothing_is_written(images: ImageArray, cache: Path) -> None:
    backbone, network = make_backbone()
    extract_features(images, backbone, cached=False)
    extract_features(images, backbone, cached=False)
    assert network.seen == 36
    assert not cache.exists()


def test_only_new_images_go_through_the_backbone_wherever_they_stand(
    images: ImageArray, pixels: np.ndarray
) -> None:
    backbone, network = make_backbone()
    extract_features(images.select([1, 2, 9, 17]), backbone)
    network.seen = 0
    features = extract_features(images, backbone)
    assert network.seen == 14
    check(features, backbone, pixels)


def test_images_are_known_by_their_content_not_by_their_names(tmp_path: Path, pixels: np.ndarray) -> None:
    backbone, network = make_backbone()
    extract_features(write(tmp_path / "here", pixels), backbone)
    (tmp_path / "here").rename(tmp_path / "there")
    Image.fromarray(255 - pixels[3]).save(tmp_path / "there" / "03.png")
    pixels[3] = 255 - pixels[3]
    network.seen = 0
    features = extract_features(open_source(tmp_path / "there"), backbone)
    assert network.seen == 1
    check(features, backbone, pixels)


def test_pixels_of_the_same_bytes_but_another_shape_are_another_image(pixels: np.ndarray) -> None:
    backbone, network = make_backbone()
    turned = pixels.reshape(18, 24, 20, 3)
    extract_features(ImageArray("noise", pixels), backbone)
    features = extract_features(ImageArray("noise", turned), backbone)
    assert network.seen == 36
    check(features, backbone, turned)


@pytest.mark.parametrize("how", ["in the network", "between batches"])
def test_an_interrupted_extraction_resumes_where_it_was(images: ImageArray, pixels: np.ndarray, how: str) -> None:
    backbone, network = make_backbone()
    if how == "in the network":
        network.dies_in_call = 4
        with pytest.raises(KeyboardInterrupt):
            extract_features(images, backbone)
        network.dies_in_call = 0
    else:
        batches = iterate_features(images, backbone)
        for _ in range(3):
            next(batches)
        batches.close()  # type: ignore[attr-defined]
    network.seen = 0
    features = extract_features(images, backbone)
    assert network.seen == 6
    check(features, backbone, pixels)


@pytest.mark.parametrize("damage", ["words", "empty", "first page", "cut"])
def test_a_damaged_cache_is_made_again(images: ImageArray, pixels: np.ndarray, cache: Path, damage: str) -> None:
    backbone, network = make_backbone()
    extract_features(images, backbone)
    (path,) = cache.glob("*.sqlite")
    content = path.read_bytes()
    damaged = {
        "words": b"these are some words, not a database" * 100,
        "empty": b"",
        "first page": b"x" * 4096 + content[4096:],
        "cut": content[: len(content) // 3],
    }[damage]
    path.write_bytes(damaged)
    network.seen = 0
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        features = extract_features(images, backbone)
    told = [str(one.message) for one in caught if "damaged" in str(one.message)]
    assert len(told) == (damage != "empty")  # an empty file is a fresh database
    assert all(str(path) in text and "rebuilt" in text for text in told)
    assert network.seen == 18
    check(features, backbone, pixels)
    network.seen = 0
    extract_features(images, backbone)
    assert network.seen == 0


@pytest.mark.parametrize("other", [{"image_size": 24}, {"seed": 1}])
def test_another_image_size_or_other_weights_share_no_entries(
    images: ImageArray, pixels: np.ndarray, other: dict[str, int]
) -> None:
    backbone, _ = make_backbone()
    extract_features(images, backbone)
    changed, network = make_backbone(**other)
    features = extract_features(images, changed)
    assert network.seen == 18
    check(features, changed, pixels)
    check(extract_features(images, backbone), backbone, pixels)


def test_unreadable_images_are_listed_and_the_others_keep_their_order(tmp_path: Path, pixels: np.ndarray) -> None:
    source = write(tmp_path / "photos", pixels)
    folder = tmp_path / "photos"
    (folder / "00.png").write_bytes(b"")
    (folder / "06.png").write_text("no picture")
    (folder / "17.png").write_bytes((folder / "17.png").read_bytes()[:200])
    (folder / "10.png").unlink()
    backbone, network = make_backbone()
    bad = [0, 6, 10, 17]
    good = [item for item in range(18) if item not in bad]
    for seen in (14, 14):  # a second time from the cache
        features = extract_features(source, backbone)
        assert network.seen == seen
        assert [(one.item, one.key) for one in features.skipped] == [(item, f"{item:02}.png") for item in bad]
        assert all(one.reason for one in features.skipped)
        before, network.seen = network.seen, 0
        check(features, backbone, pixels, good)
        network.seen = before


def test_a_batch_in_which_nothing_is_readable_is_passed_over(tmp_path: Path, pixels: np.ndarray) -> None:
    source = write(tmp_path / "photos", pixels[:10])
    for item in range(4, 8):
        (tmp_path / "photos" / f"{item:02}.png").write_bytes(b"")
    backbone, _ = make_backbone()
    batches = list(iterate_features(source, backbone))
    assert [len(batch.items) for batch in batches] == [4, 0, 2]
    assert all(batch.values.shape == (len(batch.items), 4) for batch in batches)
    assert [one.item for one in batches[1].skipped] == [4, 5, 6, 7]
    check(extract_features(source, backbone), backbone, pixels, [0, 1, 2, 3, 8, 9])


def test_a_source_in_which_nothing_is_readable_gives_no_features(tmp_path: Path, pixels: np.ndarray) -> None:
    source = write(tmp_path / "photos", pixels[:6])
    for path in (tmp_path / "photos").iterdir():
        path.write_bytes(b"")
    backbone, network = make_backbone()
    features = extract_features(source, backbone)
    assert features.values.shape == (0, 4)
    assert (len(features.items), len(features.digests), network.calls) == (0, 0, 0)
    assert [one.item for one in features.skipped] == list(range(6))


def test_equal_images_have_equal_features_and_digests(pixels: np.ndarray) -> None:
    backbone, network = make_backbone()
    features = extract_features(ImageArray("twins", pixels[[0, 1, 0, 2, 3, 4, 0]]), backbone)
    assert features.digests[0] == features.digests[2] == features.digests[6]
    np.testing.assert_array_equal(features.values[6], features.values[0])
    assert network.seen <= 7


def test_features_are_passed_on(images: ImageArray) -> None:
    values = np.random.default_rng(0).random((150, 3)).astype(np.float32)
    features = extract_features(FeatureArray("given", values), None)
    np.testing.assert_array_equal(features.values, values)
    assert features.items.tolist() == list(range(150))
    assert len(set(features.digests)) == 150


def test_images_need_a_backbone_and_features_need_none(images: ImageArray) -> None:
    backbone, _ = make_backbone()
    with pytest.raises(BadInput, match="noise holds images"):
        extract_features(images, None)
    with pytest.raises(BadInput, match="given holds features"):
        extract_features(FeatureArray("given", np.ones((2, 3), np.float32)), backbone)
