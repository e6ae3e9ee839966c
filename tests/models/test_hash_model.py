"""Models on disk, and what they make of images and features."""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import nn

from hashlens.backbones import Backbone, Preprocessing
from hashlens.backbones import backbone as backbone_module
from hashlens.centres import bernoulli
from hashlens.codes import pack, unpack
from hashlens.errors import BadInput
from hashlens.models import HASH_LAYERS, HashModel, HashNetwork, HiddenLayers, SkippedImagesWarning, read_config
from hashlens.sources import FeatureArray, open_source
from refusals import is_one_sentence

DIMENSION, CLASSES, BITS = 12, 5, 20


pytestmark = pytest.mark.usefixtures("one_thread")


def hash_layer(dimension: int, bits: int, seed: int) -> nn.Module:
    """A hash layer that looks trained: nothing in it is at its initial value."""
    torch.manual_seed(seed)
    layer = HASH_LAYERS["batch-norm"](dimension, bits)
    with torch.no_grad():
        layer.norm.weight.uniform_(0.5, 2)
        layer.norm.bias.normal_(0, 0.1)
        layer.norm.running_mean.normal_(0, 0.01)
        layer.norm.running_var.uniform_(0.0001, 0.001)
    return layer


def make_model(backbone: Backbone | None = None, bits: int = BITS, seed: int = 0, **changes: Any) -> HashModel:
    layer = hash_layer(backbone.dimension if backbone else DIMENSION, bits, seed)
    fields: dict[str, Any] = {
        "network": HashNetwork(backbone, HiddenLayers(layer.linear.in_features, ()), layer),
        "bits": bits,
        "hash_layer": "batch-norm",
        "method": {"name": "OrthoHash", "parameters": {"margin": 0.2}},
        "class_names": ("ant", "bée", "cat", "dog", "蛇"),
        "codebook": bernoulli(CLASSES, bits, seed),
        "training": {"images": 3, "history": [{"epoch": 1, "loss": 0.5}]},
    }
    return HashModel(**(fields | changes))


def features(count: int = 50, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=(count, DIMENSION)).astype(np.float32)


def tiny_backbone() -> Backbone:
    """A small network with random weights, and batch-norm statistics that keep its features apart."""
    torch.manual_seed(0)
    network = timm.create_model("lcnet_035", num_classes=0)
    preprocessing = Preprocessing(32, (0.4, 0.5, 0.6), (0.2, 0.25, 0.3))
    backbone = Backbone("lcnet_035", network, preprocessing, 1280).train()
    pixels = torch.stack([preprocessing(picture) for picture in pictures(32)])
    with torch.no_grad():
        for _ in range(30):
            backbone(pixels)
    return backbone.eval()


def pictures(count: int = 6, size: tuple[int, int] = (40, 36)) -> list[Image.Image]:
    """Random colours in blocks of a quarter of the picture."""
    random = np.random.default_rng(5)
    blocks = random.integers(0, 256, (count, 2, 2, 3), dtype=np.uint8)
    return [Image.fromarray(block).resize(size, Image.Resampling.NEAREST) for block in blocks]


@pytest.fixture(scope="module")
def image_model() -> HashModel:
    return make_model(tiny_backbone()).adapt(pictures())


@pytest.fixture()
def saved(tmp_path: Path) -> Path:
    make_model().save(tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture()
def folder(tmp_path: Path) -> Path:
    """Six images, and between them three files that are none."""
    place = tmp_path / "photos"
    (place / "a").mkdir(parents=True)
    for number, picture in enumerate(pictures()):
        picture.save(place / "a" / f"{number}.png")
    whole = (place / "a" / "3.png").read_bytes()
    (place / "a" / "1-truncated.png").write_bytes(whole[: len(whole) // 2])
    (place / "a" / "2-notes.jpg").write_text("not an image")
    (place / "a" / "4-empty.jpg").touch()
    return place


def edit_config(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    path = folder / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    change(config)
    path.write_text(json.dumps(config), encoding="utf-8")


def replace_weights(folder: Path, content: bytes) -> None:
    """Weights whose checksum agrees with the configuration."""
    (folder / "model.safetensors").write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    edit_config(folder, lambda config: config.update(weights_sha256=digest))


# Saving and loading


@pytest.mark.parametrize("bits", [8, 9, 64, 200])
def test_a_loaded_model_of_features_is_the_saved_one(tmp_path: Path, bits: int) -> None:
    model = make_model(bits=bits)
    model.save(tmp_path)
    loaded = HashModel.load(tmp_path)
    np.testing.assert_array_equal(loaded.encode(features()), model.encode(features()))
    np.testing.assert_array_equal(loaded.continuous_codes(features()), model.continuous_codes(features()))
    np.testing.assert_array_equal(loaded.codebook, model.codebook)
    assert loaded.codebook.dtype == np.int8
    assert loaded.fingerprint() == model.fingerprint()
    assert loaded.backbone is None
    for name in ("bits", "hash_layer", "method", "class_names", "finetuned", "training", "feature_dimension"):
        assert getattr(loaded, name) == getattr(model, name)


def test_a_model_of_images_needs_nothing_but_its_folder(
    image_model: HashModel, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [folder / "a" / f"{number}.png" for number in range(6)]
    wanted = image_model.continuous_codes(files)
    image_model.save(tmp_path / "here")
    shutil.copytree(tmp_path / "here", tmp_path / "elsewhere")
    shutil.rmtree(tmp_path / "here")
    monkeypatch.setenv("HASHLENS_CACHE", str(tmp_path / "empty cache"))
    monkeypatch.setattr(backbone_module, "embedded_weights", lambda *_: pytest.fail("looked for the package"))
    loaded = HashModel.load(tmp_path / "elsewhere")
    np.testing.assert_array_equal(loaded.continuous_codes(files), wanted)
    assert loaded.fingerprint() == image_model.fingerprint()
    assert loaded.backbone is not None
    assert loaded.backbone.preprocessing == Preprocessing(32, (0.4, 0.5, 0.6), (0.2, 0.25, 0.3))


def test_fingerprints_tell_models_apart() -> None:
    model = make_model()
    prints = {make_model(seed=1).fingerprint(), make_model(bits=24).fingerprint(), model.fingerprint()}
    assert len(prints) == 3
    assert model.adapt(features()).fingerprint() not in prints


def test_a_model_is_saved_as_two_plain_files(tmp_path: Path) -> None:
    make_model().save(tmp_path / "new" / "model")
    files = sorted(path.name for path in (tmp_path / "new" / "model").iterdir())
    assert files == ["config.json", "model.safetensors"]
    config = json.loads((tmp_path / "new" / "model" / "config.json").read_text(encoding="utf-8"))
    assert config["bits"] == BITS
    assert config["class_names"] == ["ant", "bée", "cat", "dog", "蛇"]
    tensors = load_tensors((tmp_path / "new" / "model" / "model.safetensors").read_bytes())
    assert tensors["codebook"].shape == (CLASSES, BITS)


def test_saving_again_replaces_the_model(saved: Path) -> None:
    other = make_model(seed=7)
    other.save(saved)
    assert HashModel.load(saved).fingerprint() == other.fingerprint()
    assert len(list(saved.iterdir())) == 2


def test_nothing_is_pickled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = make_model(tiny_backbone())

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("pickle was used")

    for name in ("dump", "dumps", "load", "loads", "Pickler", "Unpickler"):
        monkeypatch.setattr(pickle, name, refuse)
    monkeypatch.setattr(torch, "load", refuse)
    monkeypatch.setattr(torch, "save", refuse)
    model.save(tmp_path)
    assert HashModel.load(tmp_path).fingerprint() == model.fingerprint()


class Trap:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_code_in_a_file_of_weights_is_refused_and_not_run(saved: Path, tmp_path: Path) -> None:
    content = io.BytesIO()
    torch.save({"linear.weight": Trap(tmp_path / "sprung")}, content)
    for weights in (content.getvalue(), pickle.dumps(Trap(tmp_path / "sprung"))):
        replace_weights(saved, weights)
        with pytest.raises(BadInput) as error:
            HashModel.load(saved)
        assert is_one_sentence(error)
    assert not (tmp_path / "sprung").exists()


def drop(name: str) -> Callable[[Path], None]:
    return lambda folder: edit_config(folder, lambda config: config.pop(name))


def put(name: str, value: Any) -> Callable[[Path], None]:
    return lambda folder: edit_config(folder, lambda config: config.update({name: value}))


def damage(folder: Path) -> None:
    content = bytearray((folder / "model.safetensors").read_bytes())
    content[-1] ^= 1
    (folder / "model.safetensors").write_bytes(content)


def truncate(folder: Path) -> None:
    content = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(content[:-100])


def swap(folder: Path) -> None:
    make_model(seed=8).save(folder.parent / "other")
    shutil.copy(folder.parent / "other" / "model.safetensors", folder)


def without_tensor(name: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        tensors = load_tensors((folder / "model.safetensors").read_bytes())
        del tensors[name]
        replace_weights(folder, save_tensors(tensors))

    return change


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        pytest.param(shutil.rmtree, "no model at", id="missing folder"),
        pytest.param(lambda f: (f / "config.json").unlink(), "config.json is missing", id="missing config"),
        pytest.param(lambda f: (f / "model.safetensors").unlink(), "no model.safetensors", id="missing weights"),
        pytest.param(damage, "damaged", id="one bit of the weights flipped"),
        pytest.param(truncate, "damaged", id="weights cut short"),
        pytest.param(lambda f: (f / "model.safetensors").write_bytes(b""), "damaged", id="empty weights"),
        pytest.param(swap, "another model", id="weights of another model"),
        pytest.param(lambda f: replace_weights(f, b"scribble"), "", id="weights of no format"),
        pytest.param(without_tensor("hash_layer.linear.weight"), "", id="no hash layer in the weights"),
        pytest.param(lambda f: (f / "config.json").write_text("{bits: 8"), "not valid JSON", id="no JSON"),
        pytest.param(lambda f: (f / "config.json").write_bytes(b"\xff\xfe{"), "not valid JSON", id="no UTF-8"),
        pytest.param(lambda f: (f / "config.json").write_text(""), "not valid JSON", id="empty config"),
        pytest.param(lambda f: (f / "config.json").write_text("[1]"), "does not describe", id="a JSON list"),
        pytest.param(lambda f: (f / "config.json").write_text("{}"), "does not describe", id="empty object"),
        pytest.param(put("format", "bert"), "does not describe", id="another format"),
        pytest.param(drop("format"), "does not describe", id="no format"),
        pytest.param(put("version", 4), "version 4", id="a later version"),
        pytest.param(put("version", "1"), "version", id="a version in quotes"),
        pytest.param(drop("version"), "version", id="no version"),
        pytest.param(put("hash_layer", "conv"), "conv", id="an unknown hash layer"),
        pytest.param(put("backbone", {"name": "lcnet_035"}), "preprocessing", id="half a backbone"),
        pytest.param(put("bits", 21), "", id="other bits than the weights"),
        pytest.param(put("feature_dimension", 13), "", id="another dimension than the weights"),
        pytest.param(put("class_names", ["ant"]), "class_names", id="too few class names"),
    ],
)
def test_a_spoilt_folder_is_refused_in_a_sentence(saved: Path, spoil: Callable[[Path], Any], says: str) -> None:
    spoil(saved)
    with pytest.raises(BadInput) as error:
        HashModel.load(saved)
    assert says in str(error.value)
    assert str(saved) in str(error.value)
    assert is_one_sentence(error)


FIELDS = ["bits", "hash_layer", "feature_dimension", "backbone", "finetuned", "method", "class_names", "training"]


@pytest.mark.parametrize("field", [*FIELDS, "weights_sha256"])
def test_a_config_without_one_of_its_fields_is_refused(saved: Path, field: str) -> None:
    drop(field)(saved)
    with pytest.raises(BadInput) as error:
        HashModel.load(saved)
    assert str(saved) in str(error.value)
    assert is_one_sentence(error)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *[(field, value) for field in FIELDS if field != "backbone" for value in (None, [["x"]], 1.5)],
        *[(field, "yes") for field in ("bits", "feature_dimension", "finetuned", "method", "training")],
        *[("backbone", value) for value in (3, "lcnet_035", [], {"name": 5, "preprocessing": 7})],
        ("backbone", {"name": 5, "preprocessing": {"image_size": 32, "mean": [0, 0, 0], "std": [1, 1, 1]}}),
        ("backbone", {"name": "lcnet_035", "preprocessing": {"image_size": "32", "mean": [0], "std": [1]}}),
        ("backbone", {"name": "lcnet_035", "preprocessing": {"image_size": 32, "mean": None, "std": [1]}}),
        ("bits", -20),
        ("bits", True),
        ("feature_dimension", -1),
        ("class_names", "ants!"),
        ("class_names", {"ant": 1}),
        ("class_names", [1, 2, 3, 4, 5]),
        ("method", {}),
        ("method", []),
        ("weights_sha256", 5),
    ],
)
def test_a_config_field_of_the_wrong_type_is_refused(saved: Path, field: str, value: Any) -> None:
    put(field, value)(saved)
    with pytest.raises(BadInput) as error:
        HashModel.load(saved)
    assert str(saved) in str(error.value)
    assert is_one_sentence(error)


def test_an_unknown_backbone_is_refused(saved: Path) -> None:
    preprocessing = {"image_size": 32, "mean": [0, 0, 0], "std": [1, 1, 1]}
    put("backbone", {"name": "no_such_net", "preprocessing": preprocessing})(saved)
    with pytest.raises(BadInput, match="no_such_net"):
        HashModel.load(saved)


def test_a_config_can_be_read_without_the_weights(saved: Path) -> None:
    (saved / "model.safetensors").unlink()
    config = read_config(saved)
    assert config["method"] == {"name": "OrthoHash", "parameters": {"margin": 0.2}}
    assert config["feature_dimension"] == DIMENSION


# Encoding


def test_features_are_encoded_as_the_layer_says() -> None:
    model = make_model()
    layer = model.network.hash_layer
    x = features().astype(np.float64)
    projected = x @ layer.linear.weight.detach().double().numpy().T
    mean, variance = layer.norm.running_mean.double().numpy(), layer.norm.running_var.double().numpy()
    scale, shift = layer.norm.weight.detach().double().numpy(), layer.norm.bias.detach().double().numpy()
    wanted = (projected - mean) / np.sqrt(variance + layer.norm.eps) * scale + shift
    found = model.continuous_codes(features())
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("bits", [8, 13, 64])
def test_signs_of_the_continuous_codes_are_the_packed_codes(bits: int) -> None:
    model = make_model(bits=bits)
    continuous, codes = model.continuous_codes(features()), model.encode(features())
    assert continuous.shape == (50, bits)
    assert codes.shape == (50, (bits + 7) // 8)
    assert codes.dtype == np.uint8
    np.testing.assert_array_equal(codes, pack(continuous))
    np.testing.assert_array_equal(unpack(codes, bits), np.where(continuous > 0, 1, -1))


@pytest.mark.parametrize(
    "form",
    [
        pytest.param(lambda x: x, id="float32"),
        pytest.param(lambda x: x.astype(np.float64), id="float64"),
        pytest.param(lambda x: x.tolist(), id="lists"),
        pytest.param(lambda x: torch.from_numpy(x), id="a tensor"),
        pytest.param(lambda x: FeatureArray("mine", x), id="a source"),
        pytest.param(np.asfortranarray, id="columns first"),
    ],
)
def test_features_come_in_every_form(form: Callable[[Any], Any]) -> None:
    model = make_model()
    np.testing.assert_array_equal(model.encode(form(features())), model.encode(features()))


def test_features_in_a_file_are_encoded(tmp_path: Path) -> None:
    np.savez(tmp_path / "mine.npz", x=features())
    model = make_model()
    np.testing.assert_array_equal(model.encode(tmp_path / "mine.npz"), model.encode(features()))


def test_more_features_than_a_batch_are_encoded_in_order() -> None:
    model = make_model()
    many = features(3000)
    codes, items = model.encode(many, return_items=True)
    np.testing.assert_array_equal(items, np.arange(3000))
    for row in (0, 1023, 1024, 2999):
        np.testing.assert_allclose(
            model.continuous_codes(many[row])[0], model.continuous_codes(many)[row], rtol=1e-4, atol=1e-4
        )
    assert len(codes) == 3000


def test_no_features_have_no_codes() -> None:
    codes, items = make_model().encode(features(0), return_items=True)
    assert codes.shape == (0, 3)
    assert items.shape == (0,)


@pytest.mark.parametrize(
    ("items", "says"),
    [
        pytest.param(np.zeros((4, DIMENSION + 1)), "13", id="features too long"),
        pytest.param(np.zeros((4, DIMENSION - 1)), "11", id="features too short"),
        pytest.param(np.full((4, DIMENSION), np.nan), "NaN", id="NaN"),
        pytest.param(np.zeros((2, 3, DIMENSION)), "features", id="three dimensions"),
        pytest.param(np.zeros((2, 8, 8, 3), np.uint8), "images", id="pixels"),
        pytest.param(pictures(2), "images", id="pictures"),
        pytest.param("no/such/place", "no/such/place", id="a path to nothing"),
        pytest.param([object()], "list", id="something else"),
    ],
)
def test_what_a_model_of_features_cannot_encode_is_refused(items: Any, says: str) -> None:
    model = make_model()
    for use in (model.encode, model.adapt):
        with pytest.raises(BadInput) as error:
            use(items)
        assert says in str(error.value)
        assert is_one_sentence(error)


def test_a_wrong_feature_dimension_is_told_with_the_right_one() -> None:
    with pytest.raises(BadInput, match=f"13.*{DIMENSION}"):
        make_model().encode(np.zeros((4, 13)))


def test_a_model_of_images_refuses_features(image_model: HashModel) -> None:
    with pytest.raises(BadInput, match="features") as error:
        image_model.encode(np.zeros((4, 1280), np.float32))
    assert is_one_sentence(error)


def test_images_come_in_every_form(image_model: HashModel, folder: Path) -> None:
    shown = pictures()
    paths = [folder / "a" / f"{number}.png" for number in range(6)]
    wanted = image_model.encode(shown)
    assert wanted.shape == (6, 3)
    assert len(np.unique(wanted, axis=0)) == 6
    forms: list[Any] = [
        tuple(shown),
        np.stack([np.asarray(picture) for picture in shown]),
        paths,
        [str(path) for path in paths],
        open_source(folder).select([0, 2, 4, 5, 7, 8]),
    ]
    for form in forms:
        np.testing.assert_array_equal(image_model.encode(form), wanted)
    for number, picture in enumerate(shown):
        for one in (picture, paths[number], str(paths[number])):
            np.testing.assert_array_equal(image_model.encode(one), wanted[number : number + 1])


def test_the_cache_of_features_changes_no_code(
    image_model: HashModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = image_model.continuous_codes(pictures())
    np.testing.assert_array_equal(image_model.continuous_codes(pictures()), first)
    monkeypatch.setenv("HASHLENS_CACHE", str(tmp_path / "fresh"))
    np.testing.assert_array_equal(image_model.continuous_codes(pictures()), first)


def test_a_finetuned_backbone_leaves_nothing_in_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HASHLENS_CACHE", str(tmp_path / "fresh"))
    model = make_model(tiny_backbone(), finetuned=True)
    codes = model.encode(pictures())
    assert not list((tmp_path / "fresh").rglob("*.sqlite"))
    np.testing.assert_array_equal(codes, make_model(tiny_backbone()).encode(pictures()))


def test_unreadable_images_are_warned_of_and_left_out(image_model: HashModel, folder: Path) -> None:
    names = [path.name for path in sorted((folder / "a").iterdir())]
    readable = [number for number, name in enumerate(names) if "-" not in name]
    with pytest.warns(SkippedImagesWarning, match="3 of 9") as caught:
        codes, items = image_model.encode(folder, return_items=True)
    assert len(caught) == 1
    assert "1-truncated.png" in str(caught[0].message)
    assert caught[0].filename == __file__
    assert items.tolist() == readable
    assert items.dtype == np.int64
    np.testing.assert_array_equal(codes, image_model.encode(pictures()))
    with pytest.warns(SkippedImagesWarning):
        np.testing.assert_array_equal(image_model.encode(folder), codes)


def test_a_missing_path_among_paths_is_an_unreadable_image(image_model: HashModel, folder: Path) -> None:
    paths = [folder / "a" / "0.png", folder / "a" / "gone.png", folder / "a" / "5.png"]
    with pytest.warns(SkippedImagesWarning, match=r"gone\.png"):
        codes, items = image_model.encode(paths, return_items=True)
    assert items.tolist() == [0, 2]
    np.testing.assert_array_equal(codes, image_model.encode([paths[0], paths[2]]))


def test_readable_images_are_not_warned_of(image_model: HashModel) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", SkippedImagesWarning)
        assert len(image_model.encode(pictures())) == 6


def test_a_source_without_a_readable_image_is_refused(image_model: HashModel, folder: Path) -> None:
    bad = [folder / "a" / name for name in ("1-truncated.png", "2-notes.jpg", "4-empty.jpg")]
    for items in (bad, bad[1]):
        with pytest.raises(BadInput, match=r"read.*\.(png|jpg)") as error:
            image_model.encode(items)
        assert is_one_sentence(error)


def test_an_unknown_device_is_refused() -> None:
    with pytest.raises(BadInput, match="abacus"):
        make_model().encode(features(), device="abacus")


def test_encoding_does_not_change_the_model(image_model: HashModel) -> None:
    before = image_model.fingerprint()
    image_model.encode(pictures())
    assert image_model.fingerprint() == before
    assert not image_model.network.training


def test_a_model_describes_itself(image_model: HashModel) -> None:
    assert all(part in repr(image_model) for part in ("20 bits", "OrthoHash", "lcnet_035", "5 classes"))
    assert "12 given features" in repr(make_model())


# Adapting


@pytest.mark.parametrize("count", [2, 3, 50, 2500])
def test_adapting_takes_mean_and_variance_over_all_features(count: int) -> None:
    model = make_model()
    given = 3 * features(count) + np.arange(DIMENSION, dtype=np.float32)
    projected = given.astype(np.float64) @ model.network.hash_layer.linear.weight.detach().double().numpy().T
    assert model.adapt(given) is model
    norm = model.network.hash_layer.norm
    np.testing.assert_allclose(norm.running_mean.cpu(), projected.mean(0), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(norm.running_var.cpu(), projected.var(0, ddof=1), rtol=1e-4, atol=1e-7)


def test_adapting_balances_the_bits_of_shifted_features() -> None:
    model = make_model()
    with torch.no_grad():
        model.network.hash_layer.norm.bias.zero_()
    shifted = features(2000) + 2

    def imbalance() -> float:
        return float(np.abs(unpack(model.encode(shifted), BITS).astype(float).mean(0)).max())

    assert imbalance() > 0.9
    model.adapt(shifted)
    assert imbalance() < 0.1
    np.testing.assert_allclose(model.continuous_codes(shifted).mean(0), 0, atol=1e-3)


def test_adapting_may_reset_what_batch_norm_has_learnt() -> None:
    model, kept = make_model(), make_model()
    given = features(500) + 2
    with torch.no_grad():
        for one in (model, kept):
            one.network.hash_layer.norm.weight.fill_(3)
            one.network.hash_layer.norm.bias.fill_(5)
    kept.adapt(given)
    np.testing.assert_allclose(kept.continuous_codes(given).mean(0), 5, atol=1e-3)
    codes = model.adapt(given, reset=True).continuous_codes(given)
    np.testing.assert_allclose(codes.mean(0), 0, atol=1e-3)
    np.testing.assert_allclose((kept.continuous_codes(given) - 5) / 3, codes, atol=1e-3)


def test_adapting_twice_to_the_same_features_changes_nothing_more() -> None:
    model = make_model().adapt(features())
    codes = model.continuous_codes(features())
    np.testing.assert_array_equal(model.adapt(features()).continuous_codes(features()), codes)


def test_an_adapted_model_is_saved_as_adapted(tmp_path: Path) -> None:
    model = make_model().adapt(features() + 1)
    model.save(tmp_path)
    np.testing.assert_array_equal(HashModel.load(tmp_path).encode(features()), model.encode(features()))


def test_adapting_to_images_leaves_out_what_cannot_be_read(folder: Path) -> None:
    whole, part = make_model(tiny_backbone()), make_model(tiny_backbone())
    readable = [folder / "a" / f"{number}.png" for number in range(6)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SkippedImagesWarning)
        assert whole.adapt(folder).fingerprint() == part.adapt(readable).fingerprint()


@pytest.mark.parametrize("count", [0, 1])
def test_adapting_needs_two_items(count: int) -> None:
    model = make_model()
    before = model.fingerprint()
    with pytest.raises(BadInput, match="two") as error:
        model.adapt(features(count))
    assert is_one_sentence(error)
    assert model.fingerprint() == before


def test_a_layer_without_batch_norm_cannot_adapt() -> None:
    model = make_model()
    model.network.hash_layer.norm = None
    with pytest.raises(BadInput, match="batch norm") as error:
        model.adapt(features())
    assert is_one_sentence(error)
