"""A fingerprint is equal exactly where features are computed equally."""

from __future__ import annotations

from typing import Any

import pytest
import timm
import torch

from hashlens.backbones import DEFAULT_BACKBONE, Backbone
from hashlens.backbones.backbone import EMBEDDED

SMALL = "test_resnet"


def config(name: str = SMALL, size: int = 32, mean: float = 0.5, std: float = 0.5) -> dict[str, Any]:
    return {"name": name, "preprocessing": {"image_size": size, "mean": [mean, 0.5, 0.5], "std": [0.5, std, 0.5]}}


def backbone(name: str = SMALL, seed: int = 0, **preprocessing: Any) -> Backbone:
    torch.manual_seed(seed)
    return Backbone.from_config(config(name, **preprocessing)).eval()


def test_equal_backbones_have_equal_fingerprints_whatever_mode_they_are_in() -> None:
    assert backbone().fingerprint() == backbone().fingerprint() == backbone().train().fingerprint()


@pytest.mark.parametrize("change", [{"size": 48}, {"mean": 0.4}, {"std": 0.4}, {"seed": 1}])
def test_another_preprocessing_or_other_weights_have_another_fingerprint(change: dict[str, Any]) -> None:
    assert backbone(**change).fingerprint() != backbone().fingerprint()


def test_the_smallest_change_of_any_weight_or_statistic_changes_the_fingerprint() -> None:
    changing = backbone()
    before = changing.fingerprint()
    for name, tensor in changing.network.state_dict().items():
        last = (-1,) * tensor.ndim
        kept = tensor[last].clone()
        tensor[last] = kept.nextafter(torch.tensor(9.0)) if tensor.is_floating_point() else kept + 1
        assert changing.fingerprint() != before, name
        tensor[last] = kept
    assert changing.fingerprint() == before


def test_architectures_that_differ_in_padding_alone_have_different_fingerprints() -> None:
    one, other = backbone("mobilenetv3_small_075"), backbone("tf_mobilenetv3_small_075")
    other.load_state_dict(one.state_dict())
    pixels = torch.randint(0, 256, (1, 3, 32, 32), dtype=torch.uint8)
    with torch.inference_mode():
        assert not torch.allclose(one(pixels), other(pixels), rtol=0.1)
    assert one.fingerprint() != other.fingerprint()


def test_two_names_of_one_architecture_make_no_difference() -> None:
    one, other = backbone(DEFAULT_BACKBONE), backbone(EMBEDDED[DEFAULT_BACKBONE].architecture)
    other.load_state_dict(one.state_dict())
    assert one.fingerprint() == other.fingerprint()


@pytest.mark.parametrize("name", [SMALL, "test_vit", "test_convnext"])
def test_a_backbone_rebuilt_from_its_config_and_weights_is_the_same(name: str) -> None:
    before = backbone(name, size=64)
    after = Backbone.from_config(before.config())
    after.load_state_dict(before.state_dict())
    assert after.config() == before.config()
    assert after.dimension == before.dimension == timm.create_model(name).num_features
    assert after.fingerprint() == before.fingerprint()
    pixels = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    with torch.inference_mode():
        torch.testing.assert_close(after.eval()(pixels), before(pixels))
