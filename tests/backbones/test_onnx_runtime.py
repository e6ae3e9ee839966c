"""The device "onnx": features of ONNX Runtime in place of PyTorch's."""

from __future__ import annotations

import importlib.util
import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from hashlens.backbones import Backbone, Preprocessing, extract_features, onnx_runtime
from hashlens.backbones.onnx_runtime import OnnxBackbone, sample_pixels
from hashlens.compute.devices import choose_device
from hashlens.errors import BadInput
from hashlens.sources import ImageArray

SIZE = 32


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HASHLENS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "onnx"


def make_backbone(last: nn.Module | None = None) -> Backbone:
    torch.manual_seed(0)
    layers = nn.Conv2d(3, 16, 5, stride=4), nn.BatchNorm2d(16), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten()
    network = nn.Sequential(*layers, last or nn.Identity())
    return Backbone("small", network, Preprocessing(SIZE, (0.5,) * 3, (0.25,) * 3), 64).eval()


@pytest.fixture
def images() -> ImageArray:
    return ImageArray("photographs", sample_pixels(SIZE, 150).transpose(0, 2, 3, 1))


@pytest.mark.parametrize("cached", [True, False])
def test_features_are_those_of_pytorch(images: ImageArray, cached: bool) -> None:
    backbone = make_backbone()
    expected = extract_features(images, backbone, "cpu", cached=False)
    found = extract_features(images, backbone, "onnx", cached=cached)
    np.testing.assert_array_equal(found.items, np.arange(150))
    np.testing.assert_allclose(found.values, expected.values, rtol=1e-4, atol=1e-5)
    assert found.values.dtype == np.float32
    assert found.digests == expected.digests


def test_the_graph_is_made_once_and_again_where_it_is_damaged(
    images: ImageArray, cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    expected = extract_features(images, make_backbone(), "onnx", cached=False)
    (path,) = cache.glob("*.onnx")
    first = path.stat().st_mtime_ns
    extract_features(images, make_backbone(), "onnx", cached=False)
    assert path.stat().st_mtime_ns == first
    path.write_bytes(path.read_bytes()[:100])
    with caplog.at_level(logging.WARNING, "hashlens"):
        found = extract_features(images, make_backbone(), "onnx", cached=False)
    assert "was damaged" in caplog.text
    np.testing.assert_array_equal(found.values, expected.values)
    (again,) = cache.glob("*.onnx")
    assert again == path


def test_other_features_are_refused_and_their_graph_is_not_kept(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(OnnxBackbone, "__call__", lambda self, pixels: np.zeros((len(pixels), 64), np.float32))
    with pytest.raises(BadInput, match="other features with small"):
        OnnxBackbone(make_backbone())
    assert list(cache.iterdir()) == []


def test_without_the_extra_it_says_how_to_install_it(images: ImageArray, monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "onnxscript" else find(name))
    with pytest.raises(BadInput, match="onnxscript; run: pip install onnxscript"):
        extract_features(images, make_backbone(), "onnx")


def test_training_on_it_is_refused() -> None:
    with pytest.raises(BadInput, match="only encodes"):
        choose_device("onnx")


def test_the_fastest_way_is_onnx_runtime_once_there_are_many_images(
    images: ImageArray, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = extract_features(images, make_backbone(), "cpu", cached=False)
    extract_features(images, make_backbone(), "fastest", cached=False)
    assert not cache.exists()  # 150 images are not worth a graph
    monkeypatch.setattr(onnx_runtime, "MANY", 100)
    found = extract_features(images, make_backbone(), "fastest", cached=False)
    np.testing.assert_allclose(found.values, expected.values, rtol=1e-4, atol=1e-5)
    assert {path.suffix for path in cache.iterdir()} == {".onnx", ".json"}
    with monkeypatch.context() as patch:
        patch.setattr(Backbone, "forward", lambda *_: pytest.fail("PyTorch ran"))
        extract_features(images.select([3]), make_backbone(), "fastest", cached=False)  # now one image is enough


def test_a_backbone_that_onnx_runtime_computes_otherwise_stays_with_pytorch(
    images: ImageArray, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx_runtime, "MANY", 100)
    expected = extract_features(images, make_backbone(), "cpu", cached=False)
    with monkeypatch.context() as patch:
        patch.setattr(OnnxBackbone, "__call__", lambda self, pixels: np.zeros((len(pixels), 64), np.float32))
        found = extract_features(images, make_backbone(), "fastest", cached=False)
    np.testing.assert_array_equal(found.values, expected.values)
    assert [path.suffix for path in cache.iterdir()] == [".refused"]
    with monkeypatch.context() as patch:
        patch.setattr(onnx_runtime, "write_onnx", lambda *_: pytest.fail("tried again"))
        extract_features(images, make_backbone(), "fastest", cached=False)


def test_a_changed_graph_is_not_computed_with(
    images: ImageArray, cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    expected = extract_features(images, make_backbone(), "onnx", cached=False)
    (path,) = cache.glob("*.onnx")
    content = path.read_bytes()
    place = content.index(np.float32(0.5).tobytes())  # of the normalisation: a graph as good as before, but another
    path.write_bytes(content[:place] + np.float32(0.25).tobytes() + content[place + 4 :])
    with caplog.at_level(logging.WARNING, "hashlens"):
        found = extract_features(images, make_backbone(), "onnx", cached=False)
    assert "not those that were written" in caplog.text
    np.testing.assert_array_equal(found.values, expected.values)
