"""What earlier stages of a network saw, beside the feature of its last layer: which methods learn from it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch

import hashlens as hl
from hashlens.backbones import Backbone, load_backbone
from hashlens.backbones.onnx_runtime import OnnxBackbone, sample_pixels
from hashlens.backbones.stages import features_with_stages, has_stages
from hashlens.methods import HashLens
from hashlens.training import FitOptions

pytestmark = pytest.mark.usefixtures("one_thread")

SIZE, LAST, ALL = 64, 1280, 1280 + 80 + 112 + 192 + 320  # of EfficientNet-Lite0


@pytest.fixture(scope="module")
def staged() -> Backbone:
    return load_backbone(image_size=SIZE, stages=True)


@pytest.mark.parametrize("architecture", ["tf_efficientnet_lite0", "mobilenetv2_035"])
def test_late_stages_stand_behind_the_feature_and_are_as_long_together(architecture: str) -> None:
    torch.manual_seed(0)
    network = timm.create_model(architecture, num_classes=0).double().eval()
    maps: list[torch.Tensor] = []
    for stage in network.blocks:
        stage.register_forward_hook(lambda module, given, output: maps.append(output))
    pixels = torch.rand(3, 3, SIZE, SIZE, dtype=torch.float64)
    with torch.no_grad():
        feature = network(pixels).numpy()
        found = features_with_stages(network, pixels).numpy()
    stages = [one.numpy() for one in maps[: len(maps) // 2]]  # the second half is of the second pass
    for item in range(3):
        wanted = list(feature[item])
        for stage in stages[-4:]:
            mean = [float(np.mean(channel)) for channel in stage[item]]
            ratio = np.sqrt(np.sum(feature[item] ** 2) / 4 / np.sum(np.square(mean)))
            wanted += [ratio * one for one in mean]
        np.testing.assert_allclose(found[item], wanted, rtol=1e-9)


def test_the_feature_of_the_last_layer_comes_first_unchanged(staged: Backbone) -> None:
    pixels = torch.from_numpy(sample_pixels(SIZE, 4))
    plain = load_backbone(image_size=SIZE)
    with torch.inference_mode():
        features, alone = staged(pixels), plain(pixels)
    assert features.shape == (4, ALL) and (staged.dimension, staged.last_dimension) == (ALL, LAST)
    assert (plain.dimension, plain.last_dimension) == (LAST, LAST)
    assert torch.equal(features[:, :LAST], alone)
    np.testing.assert_allclose(OnnxBackbone(staged, 1)(pixels), features, atol=1e-4)


def test_of_networks_whose_stages_are_not_known_the_feature_is_all(tmp_path: Path) -> None:
    network = timm.create_model("resnet10t", num_classes=0)
    assert not has_stages(network)
    torch.save(network.state_dict(), tmp_path / "weights.pth")
    backbone = load_backbone("resnet10t", tmp_path / "weights.pth", SIZE, stages=True)
    assert not backbone.stages and backbone.dimension == backbone.last_dimension == 512


def test_features_with_stages_are_told_from_others_and_rebuilt(staged: Backbone) -> None:
    plain = load_backbone(image_size=SIZE)
    assert staged.fingerprint() != plain.fingerprint()
    rebuilt = Backbone.from_config(staged.config())
    assert (rebuilt.dimension, rebuilt.last_dimension) == (ALL, LAST)
    before = {name: value for name, value in plain.config().items() if name != "stages"}  # as models had it
    assert Backbone.from_config(before).dimension == LAST


@pytest.mark.parametrize(
    ("method", "options", "dimension"),
    [
        ("hashlens", {"epochs": 1}, ALL),
        ("hashlens", {"epochs": 1, "finetune": True}, LAST),
        (HashLens(stages=False), {"epochs": 1}, LAST),
        ("orthohash", {"epochs": 1}, LAST),
        ("itq", {}, LAST),
    ],
)
def test_methods_of_ours_learn_from_stages_and_published_ones_do_not(
    method: Any, options: dict[str, Any], dimension: int, tmp_path: Path
) -> None:
    images = hl.open_source("digits:test").select(np.arange(60))
    model = hl.fit(images, method=method, bits=16, image_size=32, device="cpu", **options)
    assert model.feature_dimension == dimension
    model.save(tmp_path)
    loaded = hl.HashModel.load(tmp_path)
    assert (loaded.encode(images) == model.encode(images)).all()
    with loaded.encoder() as encoder:
        kept = encoder.all(images, features=True).features
    assert kept is not None and kept.shape == (60, LAST)  # what codes are judged against


def test_a_comparison_gives_each_method_what_it_learns_from(tmp_path: Path) -> None:
    train, asked = (hl.open_source("digits:test").select(part) for part in (np.arange(80), np.arange(80, 120)))
    options = FitOptions(epochs=1, image_size=32, device="cpu")
    found = hl.compare(
        train, ["orthohash", "hashlens", "features"], tmp_path, bits=[16], seeds=[0], queries=asked, options=options
    )
    for method in ("orthohash", "hashlens"):
        model = hl.fit(train, method=method, bits=16, epochs=1, image_size=32, device="cpu")
        wanted = hl.evaluate(model.encode(asked), asked.labels, model.encode(train), train.labels)
        assert found.mean(method, 16, "mAP@all") == wanted["mAP@all"]
    sides = [hl.backbones.extract_features(one, load_backbone(image_size=32)).values for one in (asked, train)]
    by_cosine = hl.evaluate(sides[0], asked.labels, sides[1], train.labels, distance="cosine")
    assert found.mean("features", 16, "mAP@all") == pytest.approx(by_cosine["mAP@all"], abs=1e-6)
