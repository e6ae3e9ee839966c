"""Weights from files: every form they are handed around in, and none that runs code or fits another network."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import torchvision
from safetensors.torch import save_file
from torch import nn

from hashlens.backbones import DEFAULT_BACKBONE, load_backbone
from hashlens.backbones.backbone import EMBEDDED, embedded_weights, read_weights
from hashlens.errors import BadInput

SMALL = "test_resnet"  # timm's own miniature, 373,000 weights


def small_network(name: str = SMALL, **options: Any) -> nn.Module:
    torch.manual_seed(0)
    return timm.create_model(name, **options).eval()


def sentence(error: pytest.ExceptionInfo[BadInput]) -> str:
    text = str(error.value)
    assert text.endswith(".") and ". " not in text and "\n" not in text
    return text


@pytest.fixture
def weights_files(tmp_path: Path) -> dict[str, Path]:
    """The same weights of the small network, with its classifier, in every form."""
    weights = small_network().state_dict()
    save_file(weights, tmp_path / "weights.safetensors")
    torch.save(weights, tmp_path / "weights.pth")
    torch.save({"epoch": 3, "state_dict": weights}, tmp_path / "checkpoint.pt")
    torch.save({"model": weights, "optimizer": {"lr": 0.1}}, tmp_path / "training.ckpt")
    torch.save({key: value for key, value in weights.items() if "num_batches" not in key}, tmp_path / "old.pth")
    torch.save(weights, tmp_path / "legacy.pth", _use_new_zipfile_serialization=False)
    return {path.name: path for path in tmp_path.iterdir()}


def test_every_form_of_a_weights_file_gives_the_same_features(weights_files: dict[str, Path]) -> None:
    network = small_network()
    network.reset_classifier(0)
    pixels = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    assert len(weights_files) == 6
    for name, path in weights_files.items():
        backbone = load_backbone(SMALL, path, 64)
        with torch.inference_mode():
            wanted = network(backbone.preprocessing.normalize(pixels))
            torch.testing.assert_close(backbone(pixels), wanted, msg=name)
        assert backbone.dimension == wanted.shape[1]
        assert not any(module.training for module in backbone.modules())


def test_a_weights_file_can_replace_the_weights_of_the_default_whatever_classifier_it_has(tmp_path: Path) -> None:
    torch.manual_seed(3)
    mine = timm.create_model(EMBEDDED[DEFAULT_BACKBONE].architecture, num_classes=5)
    torch.save(mine.state_dict(), tmp_path / "mine.pth")
    backbone = load_backbone(DEFAULT_BACKBONE, tmp_path / "mine.pth", 64)
    torch.testing.assert_close(backbone.network.conv_stem.weight, mine.conv_stem.weight)


class Trap:
    """An object whose unpickling creates a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("suffix", [".pth", ".bin", ".safetensors", ""])
@pytest.mark.parametrize("form", ["bare pickle", "checkpoint", "legacy checkpoint"])
def test_a_pickle_with_code_is_refused_and_its_code_not_run(tmp_path: Path, suffix: str, form: str) -> None:
    sprung = tmp_path / "sprung"
    pickle.loads(pickle.dumps(Trap(sprung)))
    assert sprung.exists()  # the trap works
    sprung.unlink()
    path = tmp_path / f"weights{suffix}"
    if form == "bare pickle":
        path.write_bytes(pickle.dumps(Trap(sprung)))
    else:
        content = {"state_dict": small_network().state_dict(), "note": Trap(sprung)}
        torch.save(content, path, _use_new_zipfile_serialization=form == "checkpoint")
    with pytest.raises(BadInput, match="neither a safetensors file nor a plain state dictionary") as error:
        load_backbone(SMALL, path, 64)
    assert not sprung.exists()
    assert "weights_only" not in sentence(error)  # no advice to run it after all


def test_a_whole_pickled_network_is_refused(tmp_path: Path) -> None:
    torch.save(small_network(), tmp_path / "network.pth")
    with pytest.raises(BadInput, match="plain state dictionary") as error:
        load_backbone(SMALL, tmp_path / "network.pth", 64)
    sentence(error)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("content", [b"", b"hello", bytes(4096), b"PK\x03\x04 not an archive"])
def test_what_is_no_file_of_weights_is_refused(tmp_path: Path, suffix: str, content: bytes) -> None:
    path = tmp_path / f"weights{suffix}"
    path.write_bytes(content)
    with pytest.raises(BadInput, match="neither a safetensors file nor a plain state dictionary") as error:
        read_weights(path)
    assert str(path) in sentence(error)


@pytest.mark.parametrize("name", ["weights.safetensors", "weights.pth", "legacy.pth"])
def test_a_truncated_file_of_weights_is_refused(weights_files: dict[str, Path], name: str) -> None:
    content = weights_files[name].read_bytes()
    weights_files[name].write_bytes(content[: len(content) // 2])
    with pytest.raises(BadInput, match="neither") as error:
        read_weights(weights_files[name])
    sentence(error)


@pytest.mark.parametrize("content", [{"a": 1.5}, {"state_dict": {"a": "text"}}, {"a": [torch.zeros(3)]}])
def test_a_file_without_a_state_dictionary_is_refused(tmp_path: Path, content: Any) -> None:
    torch.save(content, tmp_path / "other.pth")
    with pytest.raises(BadInput, match="no state dictionary") as error:
        read_weights(tmp_path / "other.pth")
    sentence(error)


@pytest.mark.parametrize("path", ["missing.pth", "missing.safetensors", "."])
def test_a_missing_file_of_weights_is_refused(tmp_path: Path, path: str) -> None:
    with pytest.raises(BadInput, match="no file of weights") as error:
        load_backbone(SMALL, tmp_path / path)
    sentence(error)


@pytest.mark.parametrize("mismatch", ["other architecture", "gray input", "a tensor missing"])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_weights_that_do_not_fit_are_refused_in_one_sentence(tmp_path: Path, mismatch: str, suffix: str) -> None:
    name = "test_efficientnet" if mismatch == "other architecture" else SMALL
    weights = small_network(name, in_chans=1 if mismatch == "gray input" else 3).state_dict()
    if mismatch == "a tensor missing":
        del weights["layer2.0.conv1.weight"]
    path = tmp_path / f"other{suffix}"
    (save_file if suffix == ".safetensors" else torch.save)(weights, path)
    with pytest.raises(BadInput, match=r"does not fit test_resnet: .* missing or of another shape") as error:
        load_backbone(SMALL, path, 64)
    assert str(path) in sentence(error)


@pytest.mark.parametrize("name", ["resnet1800", "qqq"])
def test_an_unknown_name_is_refused_in_one_sentence(name: str) -> None:
    with pytest.raises(BadInput, match=f"timm knows no backbone '{name}'") as error:
        load_backbone(name)
    assert ("resnet18," in sentence(error)) == (name == "resnet1800")  # similar names, where there are any


def test_the_embedded_weights_refuse_another_network() -> None:
    with pytest.raises(BadInput, match="does not hold the weights") as error:
        embedded_weights(small_network())
    sentence(error)


@pytest.mark.parametrize(("name", "dimension"), [("alexnet", 4096), ("resnet34", 512)])
def test_files_of_torchvision_fit_and_the_feature_is_what_its_classifier_sees(
    tmp_path: Path, name: str, dimension: int
) -> None:
    torch.manual_seed(0)
    theirs = torchvision.models.get_model(name).eval()
    torch.save(theirs.state_dict(), tmp_path / "theirs.pth")
    backbone = load_backbone(name, tmp_path / "theirs.pth")
    (tmp_path / "theirs.pth").unlink()  # a quarter of a gigabyte
    assert (backbone.dimension, backbone.preprocessing.image_size) == (dimension, 224)
    assert backbone.preprocessing.mean == (0.485, 0.456, 0.406)
    seen = []
    last = theirs.classifier[-1] if name == "alexnet" else theirs.fc
    last.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    pixels = torch.randint(0, 256, (2, 3, 224, 224), dtype=torch.uint8)
    with torch.inference_mode():
        found = backbone(pixels)
        theirs(backbone.preprocessing.normalize(pixels))
    torch.testing.assert_close(found, seen[0])


def test_images_that_are_too_small_for_a_network_are_refused(tmp_path: Path) -> None:
    torch.save(torchvision.models.alexnet().state_dict(), tmp_path / "alexnet.pth")
    with pytest.raises(BadInput, match=r"alexnet cannot take images of 32 pixels"):
        load_backbone("alexnet", tmp_path / "alexnet.pth", 32)
    (tmp_path / "alexnet.pth").unlink()
