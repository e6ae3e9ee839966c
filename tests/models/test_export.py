"""ONNX files give the codes of the models that they were made from."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import timm
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from hashlens.backbones import Backbone, Preprocessing, onnx_runtime
from hashlens.backbones.onnx_runtime import sample_pixels
from hashlens.codes import unpack
from hashlens.engines import HammingIndex
from hashlens.errors import BadInput
from hashlens.models import HASH_LAYERS, HashModel, HashNetwork, HiddenLayers, export, export_onnx
from hashlens.sources import ImageArray

DIMENSION, SIZE = 12, 32

pytestmark = pytest.mark.usefixtures("one_thread")


def make_model(
    layer: str = "batch-norm",
    bits: int = 20,
    hidden: tuple[int, ...] = (),
    backbone: Backbone | None = None,
    mirrored: bool = False,
) -> HashModel:
    """A model in which no parameter has its initial value."""
    torch.manual_seed(bits)
    layers = HiddenLayers(backbone.dimension if backbone else DIMENSION, hidden, dropout=0.5)
    network = HashNetwork(
        backbone, layers, HASH_LAYERS[layer](layers.out_features, bits), feature_dropout=0.5, mirrored=mirrored
    )
    for module in [*network.hidden_layers.modules(), *network.hash_layer.modules()]:
        if isinstance(module, nn.BatchNorm1d):
            module.running_mean.normal_(0, 0.1)  # type: ignore[union-attr]
            module.running_var.uniform_(0.5, 2)  # type: ignore[union-attr]
            nn.init.uniform_(module.weight, 0.5, 2)
            nn.init.normal_(module.bias, 0, 0.1)
        elif isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=module.in_features**-0.5)  # or many layers would multiply rounding
    method = {"name": "OrthoHash", "parameters": {"margin": 0.2}}
    return HashModel(network, bits, layer, method, ("ant", "bée", "蛇"))


def make_backbone(name: str = "") -> Backbone:
    torch.manual_seed(0)
    preprocessing = Preprocessing(SIZE, (0.4, 0.5, 0.6), (0.2, 0.25, 0.3))
    if not name:
        layers = nn.Conv2d(3, 16, 5, stride=4), nn.BatchNorm2d(16), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten()
        return Backbone("small", nn.Sequential(*layers), preprocessing, 64).eval()
    try:
        network = timm.create_model(name, num_classes=0, img_size=SIZE)
    except TypeError:
        network = timm.create_model(name, num_classes=0)
    backbone = Backbone(name, network, preprocessing, network.num_features).train()
    with torch.no_grad():
        for _ in range(30):  # random weights, but statistics of batch norms that keep features apart
            backbone(torch.from_numpy(sample_pixels(SIZE)))
    return backbone.eval()


def images(count: int) -> ImageArray:
    random = np.random.default_rng(5)
    blocks = random.integers(0, 256, (count, 2, 3, 3), np.uint8)
    pictures = [Image.fromarray(block).resize((48, 40), Image.Resampling.BILINEAR) for block in blocks]
    return ImageArray("blocks", np.stack([np.asarray(picture) for picture in pictures]))


def pixels_of(source: ImageArray) -> NDArray[np.uint8]:
    """What the documentation says, with nothing of ours."""
    made = []
    for item in range(len(source)):
        picture = Image.fromarray(source.read(item))
        width, height = (SIZE * length // min(picture.size) for length in picture.size)
        left, top = round((width - SIZE) / 2), round((height - SIZE) / 2)
        resized = picture.resize((width, height), Image.Resampling.BICUBIC)
        made.append(np.asarray(resized.crop((left, top, left + SIZE, top + SIZE))).transpose(2, 0, 1))
    return np.stack(made)


def run(path: Path, items: NDArray[np.generic]) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    name = "pixels" if items.dtype == np.uint8 else "features"
    codes, continuous = session.run(["codes", "continuous"], {name: items})
    return codes, continuous


@pytest.mark.parametrize("bits", [8, 20, 64, 129])
@pytest.mark.parametrize("hidden", [(), (16, 14)])
@pytest.mark.parametrize("layer", HASH_LAYERS)
def test_codes_of_features_are_those_of_the_model(
    tmp_path: Path, layer: str, hidden: tuple[int, ...], bits: int
) -> None:
    model = make_model(layer, bits, hidden)
    agreement = export_onnx(model, tmp_path / "model.onnx")
    assert (agreement.items, agreement.equal_bits) == (128, 1)
    assert agreement.largest_difference < 1e-3
    features = np.random.default_rng(1).normal(size=(37, DIMENSION)).astype(np.float32)
    codes, continuous = run(tmp_path / "model.onnx", features)
    assert (codes.dtype, continuous.dtype) == (np.uint8, np.float32)
    np.testing.assert_array_equal(codes, model.encode(features))
    np.testing.assert_allclose(continuous, model.continuous_codes(features), rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(unpack(codes, bits) > 0, continuous > model.network.hash_layer.threshold)
    assert 0.2 < np.mean(unpack(codes, bits) > 0) < 0.8


@pytest.mark.parametrize("count", [1, 2, 9])
def test_codes_of_images_are_those_of_the_model(tmp_path: Path, count: int) -> None:
    model = make_model(bits=20, backbone=make_backbone())
    assert export_onnx(model, tmp_path / "model.onnx").equal_bits == 1
    source = images(count)
    codes, continuous = run(tmp_path / "model.onnx", pixels_of(source))
    np.testing.assert_array_equal(codes, model.encode(source))
    np.testing.assert_allclose(continuous, model.continuous_codes(source), rtol=1e-4, atol=1e-4)


def test_codes_of_pictures_and_their_mirror_images_are_in_the_graph(tmp_path: Path) -> None:
    model, plain = (make_model(backbone=make_backbone(), mirrored=mirrored) for mirrored in (True, False))
    assert export_onnx(model, tmp_path / "model.onnx").equal_bits == 1
    pixels = pixels_of(images(8))
    codes, continuous = run(tmp_path / "model.onnx", pixels)
    turned = ImageArray("turned", np.ascontiguousarray(pixels[..., ::-1].transpose(0, 2, 3, 1)))
    both = (plain.continuous_codes(images(8)) + plain.continuous_codes(turned)) / 2
    np.testing.assert_allclose(continuous, both, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(model.continuous_codes(images(8)), both, rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(codes, model.encode(images(8)))
    np.testing.assert_array_equal(model.encode(turned), model.encode(images(8)))


@pytest.mark.parametrize("name", ["test_efficientnet", "test_vit"])
def test_backbones_of_timm(tmp_path: Path, name: str) -> None:
    model = make_model("tanh", 64, backbone=make_backbone(name))
    assert export_onnx(model, tmp_path / "model.onnx").equal_bits == 1
    source = images(8)
    codes, _ = run(tmp_path / "model.onnx", pixels_of(source))
    np.testing.assert_array_equal(codes, model.encode(source))
    distances, _ = HammingIndex.build(model.encode(source)).search(codes, k=1)
    assert distances.max() == 0


def test_the_file_says_what_it_is_and_nothing_of_this_machine(tmp_path: Path) -> None:
    model = make_model(backbone=make_backbone())
    export_onnx(model, tmp_path / "model.onnx")
    content = (tmp_path / "model.onnx").read_bytes()
    assert b"hashlens/" not in content
    assert str(Path(onnx_runtime.__file__).parent).encode() not in content
    onnx.checker.check_model(onnx.load_from_string(content), full_check=True)
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    (pixels,) = session.get_inputs()
    assert (pixels.name, pixels.type, pixels.shape[1:]) == ("pixels", "tensor(uint8)", [3, SIZE, SIZE])
    assert [output.name for output in session.get_outputs()] == ["codes", "continuous"]
    about = session.get_modelmeta().custom_metadata_map
    assert (about["format"], about["bits"], about["image_size"]) == ("hashlens-onnx", "20", "32")
    assert about["interpolation"] == "bicubic"
    assert "32 x 32" in about["preprocessing"]
    assert json.loads(about["class_names"]) == ["ant", "bée", "蛇"]
    assert json.loads(about["method"])["name"] == "OrthoHash"
    assert about["fingerprint"] == model.fingerprint()


def test_a_model_of_features_says_how_long_they_are(tmp_path: Path) -> None:
    export_onnx(make_model("sigmoid"), tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    about = session.get_modelmeta().custom_metadata_map
    assert (about["feature_dimension"], about["threshold"]) == (str(DIMENSION), "0.5")
    assert "image_size" not in about


def refused(call: Callable[[], object]) -> str:
    with pytest.raises(BadInput) as error:
        call()
    text = str(error.value)
    assert "\n" not in text
    return text


def test_a_file_with_other_codes_is_not_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Inverting(export.PackingNetwork):
        def forward(self, items: Tensor) -> tuple[Tensor, Tensor]:
            codes, continuous = super().forward(items)
            return 255 - codes, continuous

    (tmp_path / "model.onnx").write_bytes(b"the one before")
    monkeypatch.setattr(export, "PackingNetwork", Inverting)
    assert "0.00% of the bits" in refused(lambda: export_onnx(make_model(bits=24), tmp_path / "model.onnx"))
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]
    assert (tmp_path / "model.onnx").read_bytes() == b"the one before"


def test_a_network_that_onnx_cannot_express_is_refused(tmp_path: Path) -> None:
    class Odd(nn.Module):
        def forward(self, pixels: Tensor) -> Tensor:
            return pixels.flatten(1)[:, :64] if pixels.mean() > 0 else pixels.flatten(1)[:, 64:128]

    backbone = Backbone("odd", Odd(), Preprocessing(SIZE, (0.5,) * 3, (0.2,) * 3), 64).eval()
    model = make_model(backbone=backbone)
    said = refused(lambda: export_onnx(model, tmp_path / "model.onnx"))
    assert "cannot express" in said
    assert list(tmp_path.iterdir()) == []


def test_refusals_that_say_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "is a folder" in refused(lambda: export_onnx(make_model(), tmp_path))
    with monkeypatch.context() as patch:
        patch.setattr(onnx_runtime, "LARGEST_GRAPH", 10)
        assert "at most 2 GiB" in refused(lambda: export_onnx(make_model(), tmp_path / "model.onnx"))
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "onnxruntime" else find(name))
    said = refused(lambda: export_onnx(make_model(), tmp_path / "model.onnx"))
    assert said == "ONNX needs onnxruntime; run: pip install onnxruntime"
    assert list(tmp_path.iterdir()) == []
