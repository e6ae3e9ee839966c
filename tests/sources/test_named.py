"""Image sets known by name, from files that a test writes where they would be kept."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

from hashlens.errors import BadInput
from hashlens.sources import ImageArray, named, open_source


def write_idx(path: Path, array: np.ndarray) -> None:
    header = struct.pack(">BBBB", 0, 0, 8, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape)
    path.write_bytes(gzip.compress(header + array.tobytes()))


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, np.ndarray]:
    """A few images of two parts in the cache folder, and no way to anywhere else."""
    monkeypatch.setenv("HASHLENS_CACHE", str(tmp_path))
    monkeypatch.setattr(named, "DEBIAN_FOLDER", Path("nowhere"))
    monkeypatch.setattr(named, "_from_torchvision", lambda *_: pytest.fail("fetched what is there"))
    folder = tmp_path / "datasets" / "fashion-mnist"
    folder.mkdir(parents=True)
    generator = np.random.default_rng(0)
    arrays = {
        "train-images-idx3": generator.integers(0, 256, (5, 28, 28), np.uint8),
        "train-labels-idx1": np.array([9, 0, 3, 7, 7], np.uint8),
        "t10k-images-idx3": generator.integers(0, 256, (2, 28, 28), np.uint8),
        "t10k-labels-idx1": np.array([1, 8], np.uint8),
    }
    for name, array in arrays.items():
        write_idx(folder / f"{name}-ubyte.gz", array)
    return arrays


@pytest.mark.parametrize(
    ("name", "parts"),
    [("fashion-mnist:train", ["train"]), ("fashion-mnist:test", ["t10k"]), ("fashion-mnist", ["train", "t10k"])],
)
def test_fashion_mnist_is_read_from_the_cache_folder(
    kept: dict[str, np.ndarray], name: str, parts: list[str]
) -> None:
    source = open_source(name)
    assert isinstance(source, ImageArray)
    pixels = np.concatenate([kept[f"{part}-images-idx3"] for part in parts])
    labels = np.concatenate([kept[f"{part}-labels-idx1"] for part in parts])
    assert len(source) == len(pixels)
    for item, wanted in enumerate(pixels):
        np.testing.assert_array_equal(np.asarray(source.image(item)), np.stack([wanted] * 3, axis=-1))
    assert source.labels is not None
    assert source.labels.dtype == np.int64
    assert source.labels.tolist() == labels.tolist()


def test_fashion_mnist_has_the_names_that_its_authors_give(kept: dict[str, np.ndarray]) -> None:
    source = open_source("fashion-mnist:train")
    assert [source.label_names(item) for item in range(5)] == [
        ["Ankle boot"],
        ["T-shirt/top"],
        ["Dress"],
        ["Sneaker"],
        ["Sneaker"],
    ]
    assert len(source.class_names) == 10


def broken(content: bytes, damage: str) -> bytes:
    return {
        "missing": b"",
        "not gzip": b"some words",
        "cut": content[: len(content) // 2],
        "overwritten": content[:40] + bytes(100) + content[140:],
        "empty inside": gzip.compress(b""),
        "short inside": gzip.compress(gzip.decompress(content)[:500]),
    }[damage]


@pytest.mark.parametrize("damage", ["missing", "not gzip", "cut", "overwritten", "empty inside", "short inside"])
def test_a_damaged_file_is_refused_with_its_name(tmp_path: Path, kept: dict[str, np.ndarray], damage: str) -> None:
    path = tmp_path / "datasets" / "fashion-mnist" / "train-images-idx3-ubyte.gz"
    content = path.read_bytes()
    path.write_bytes(broken(content, damage))
    if damage == "missing":
        path.unlink()
    with pytest.raises(BadInput, match="train-images") as refusal:
        open_source("fashion-mnist:train")
    assert "\n" not in str(refusal.value)
    assert len(open_source("fashion-mnist:test")) == 2


def test_a_set_that_cannot_be_fetched_is_refused_with_the_reasons(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def offline(*_: object, **__: object) -> None:
        raise OSError("no route to host")

    monkeypatch.setenv("HASHLENS_CACHE", str(tmp_path))
    monkeypatch.setattr(named, "DEBIAN_FOLDER", Path("nowhere"))
    monkeypatch.setattr("torchvision.datasets.FashionMNIST", offline)
    monkeypatch.setattr("torchvision.datasets.CIFAR10", offline)
    with pytest.raises(BadInput, match=r"no route to host.*apt install dataset-fashion-mnist has it too\.$"):
        open_source("fashion-mnist:test")
    with pytest.raises(BadInput, match=r"^cifar10 could not be downloaded .*no route to host"):
        open_source("cifar10")
