"""What single settings do: mixing, rates by layer, warm starts, the size of the images that are trained on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from torch import Tensor, nn

import hashlens as hl
from hashlens.backbones import Backbone, Preprocessing, load_backbone
from hashlens.methods import Combination, Recipe, TrainingSettings
from hashlens.models import HASH_LAYERS, HashNetwork, HiddenLayers
from hashlens.objectives import CosineSoftmax
from hashlens.sources import FeatureArray, Source
from hashlens.training import loop
from hashlens.training.datasets import ShuffleByEpoch
from hashlens.training.end_to_end import ImageItems, image_items
from hashlens.training.loop import LEAST_OF_LAYER, NetworkLoss, optimizer_for
from hashlens.training.options import FitOptions
from hashlens.training.processors import processors
from hashlens.training.targets import targets_of

pytestmark = pytest.mark.usefixtures("one_thread")

SETTINGS = TrainingSettings(1, 16, 1e-3, 0.0, "cosine", backbone_rate=0.5)
CODEBOOK = torch.tensor([[1] * 8, [1, -1] * 4, [1, 1, -1, -1] * 2])


def by(**changes: Any) -> Combination:
    """OrthoHash by settings of one's own."""
    own = replace(SETTINGS, **changes)
    return Combination(objective="cosine-softmax", centres="bernoulli", recipe=Recipe(own, own))


@pytest.fixture(scope="module")
def images() -> Source:
    """Handwritten digits, of 16 pixels."""
    return hl.open_source("digits").select(np.arange(200))


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "weights.pth"
    torch.save(timm.create_model("lcnet_035", num_classes=0).state_dict(), path)
    return path


def fit(images: Source, weights: Path, method: Combination, **options: Any) -> hl.HashModel:
    given = {"finetune": True, "image_size": 64, "backbone": "lcnet_035", "weights": weights, "device": "cpu"}
    return hl.fit(images, method, 16, validation=0, **(given | options))


# Mixing


def mixed_by_hand(network: HashNetwork, features: Tensor, labels: Tensor, alpha: float) -> float:
    share = torch.distributions.Beta(alpha, alpha).sample().item()
    partners = torch.randperm(len(features))
    rows = [share * features[row] + (1 - share) * features[partner] for row, partner in enumerate(partners)]
    codes = network.codes_of(torch.stack(rows))
    total = 0.0
    for code, own, other in zip(codes, labels, labels[partners], strict=True):
        for weight, label in ((share, own), (1 - share, other)):
            total += weight * CosineSoftmax(CODEBOOK)(code[None], label[None]).item()
    return total / len(features)


def test_the_loss_of_a_mixed_batch_is_that_to_both_targets_in_their_shares() -> None:
    torch.manual_seed(1)
    network = HashNetwork(None, HiddenLayers(6, ()), HASH_LAYERS["linear"](6, 8))
    features, labels = torch.randn(12, 6), torch.arange(12) % 3
    mixing = NetworkLoss(network, CosineSoftmax(CODEBOOK), processors(torch.device("cpu")), mixing=0.7)
    torch.manual_seed(5)
    found = mixing(features, labels).item()
    torch.manual_seed(5)
    assert found == pytest.approx(mixed_by_hand(network, features, labels, 0.7), rel=1e-5)
    plain = CosineSoftmax(CODEBOOK)(network(features), labels).item()
    assert abs(found - plain) > 0.01
    unmixed = NetworkLoss(network, CosineSoftmax(CODEBOOK), processors(torch.device("cpu")))
    assert unmixed(features, labels).item() == pytest.approx(plain)


def test_features_that_are_mixed_in_training_are_encoded_as_they_are() -> None:
    x = np.eye(4, 16)[np.arange(80) % 4].astype(np.float32)
    model = hl.fit(FeatureArray("mine", x, np.arange(80) % 4), by(epochs=20, mixing=1.0), 16, validation=0)
    codes = model.encode(x)
    assert len(np.unique(codes, axis=0)) == 4


# Parts of a batch


def test_a_backbone_sees_a_batch_in_parts_and_learns_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    layers = nn.Conv2d(3, 4, 8, stride=8), nn.BatchNorm2d(4), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    backbone = Backbone("small", nn.Sequential(*layers), Preprocessing(16, (0.5,) * 3, (0.2,) * 3), 4)
    network = HashNetwork(backbone, HiddenLayers(4, ()), HASH_LAYERS["batch-norm"](4, 8))
    seen: list[int] = []
    backbone.register_forward_hook(lambda module, given, output: seen.append(len(output)))
    loss = NetworkLoss(network, CosineSoftmax(CODEBOOK), processors(torch.device("cpu")))
    pixels, labels = torch.randint(0, 256, (10, 3, 16, 16), dtype=torch.uint8), torch.arange(10) % 3
    found = []
    for at_once in (10, 4):
        monkeypatch.setattr(loop, "PIXELS_AT_ONCE", at_once * 16 * 16)
        network.train()
        backbone.eval()  # as in training
        network.zero_grad()
        value = loss(pixels, labels)
        value.backward()
        found.append([value.detach(), *(one.grad for one in network.parameters())])
    assert seen == [10, 4, 4, 2]
    for whole, parts in zip(*found, strict=True):
        torch.testing.assert_close(parts, whole)


# Rates by layer


def rates_of(network: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, float]:
    rates = {id(one): group["lr"] for group in optimizer.param_groups for one in group["params"]}
    return {name: rates.get(id(one), 0.0) for name, one in network.named_parameters()}


@pytest.mark.parametrize("architecture", ["lcnet_035", "vit_tiny_patch16_224", "resnet18", "alexnet"])
def test_early_layers_learn_more_slowly_and_the_first_not_at_all(architecture: str) -> None:
    made = timm.create_model(architecture, num_classes=0)
    backbone = Backbone(architecture, made, load_backbone(image_size=224).preprocessing, 8)
    network = HashNetwork(backbone, HiddenLayers(8, ()), HASH_LAYERS["linear"](8, 16))
    settings = replace(SETTINGS, layer_decay=0.6)
    rates = rates_of(network, optimizer_for(network, nn.Identity(), settings))
    head, own = rates["hash_layer.linear.weight"], [rate for name, rate in rates.items() if "backbone" in name]
    last = settings.learning_rate * settings.backbone_rate
    assert head == settings.learning_rate
    assert own == sorted(own)
    assert max(own) == pytest.approx(last)
    assert min(rate for rate in own if rate) >= LEAST_OF_LAYER * last * (1 - 1e-9)
    if architecture != "alexnet":  # which has few layers
        assert own[0] == 0
    frozen = {name for name, parameter in network.named_parameters() if not parameter.requires_grad}
    assert frozen == {name for name, rate in rates.items() if rate == 0}


def test_frozen_layers_stay_as_they_were(images: Source, weights: Path) -> None:
    model = fit(images, weights, by(layer_decay=0.5), image_size=32)
    before = load_backbone("lcnet_035", weights, 32).network.state_dict()
    assert model.network.backbone is not None
    after = model.network.backbone.network.state_dict()
    assert torch.equal(before["conv_stem.weight"], after["conv_stem.weight"])
    assert not torch.equal(before["conv_head.weight"], after["conv_head.weight"])


# Warm start


def test_a_warm_start_is_a_hash_layer_that_has_learnt_before_the_first_step(images: Source) -> None:
    still = {"epochs": 1, "learning_rate": 1e-30}
    warm, cold = (
        hl.fit(images, by(**still, warm_start=warm), 16, finetune=True, image_size=64, validation=0, device="cpu")
        for warm in (True, False)
    )
    labels = np.asarray(images.labels)

    def figure(model: hl.HashModel) -> float:
        codes = model.encode(images)
        return hl.evaluate(codes, labels, codes, labels, at=(None,), bits=16, leave_one_out=True)["mAP@all"]

    assert figure(warm) > figure(cold) + 0.2


# Size of the images that are trained on


def items_of(images: Source, backbone: Backbone, share: float) -> ImageItems:
    method = by(training_size=share)
    options = FitOptions(bits=16, device="cpu", validation=0.3)
    return image_items(
        images, targets_of(images, None, method), backbone, torch.device("cpu"), options,
        method.settings(True, False), 100, hl.progress.silence,
    )  # fmt: skip


@pytest.mark.parametrize(("share", "side"), [(1.0, 96), (0.7, 64), (0.5, 64), (0.3, 32), (0.1, 96)])
def test_images_are_trained_on_in_a_smaller_size_and_judged_in_the_full_one(
    images: Source, weights: Path, share: float, side: int
) -> None:
    items = items_of(images, load_backbone("lcnet_035", weights, 96), share)
    pixels, *_ = next(iter(items.training_batches(ShuffleByEpoch(len(items.training), 0), 16)))
    assert pixels.shape[1:] == (3, side, side)
    judged, *_ = next(iter(items.batches(items.held_out)))
    assert judged.shape[1:] == (3, 96, 96)


def test_a_transformer_is_trained_at_its_own_size(images: Source) -> None:
    made = timm.create_model("vit_tiny_patch16_224", num_classes=0, img_size=64)
    backbone = Backbone("vit_tiny_patch16_224", made, load_backbone(image_size=64).preprocessing, made.num_features)
    assert not backbone.takes(32)
    assert items_of(images, backbone, 0.5).training_size == 64
