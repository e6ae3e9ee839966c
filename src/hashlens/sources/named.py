"""Image sets that HashLens knows by name."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hashlens.cache import cache_folder
from hashlens.errors import BadInput
from hashlens.sources.image_array import ImageArray
from hashlens.sources.opener import Opener

Arrays = tuple[NDArray[np.uint8], NDArray[np.int64]]

FASHION_MNIST_CLASSES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
    "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip
CIFAR10_CLASSES = (
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
)  # fmt: skip
CIFAR100_CLASSES = (
    "apple", "aquarium_fish", "baby", "bear", "beaver", "bed", "bee", "beetle", "bicycle", "bottle", "bowl",
    "boy", "bridge", "bus", "butterfly", "camel", "can", "castle", "caterpillar", "cattle", "chair",
    "chimpanzee", "clock", "cloud", "cockroach", "couch", "crab", "crocodile", "cup", "dinosaur", "dolphin",
    "elephant", "flatfish", "forest", "fox", "girl", "hamster", "house", "kangaroo", "keyboard", "lamp",
    "lawn_mower", "leopard", "lion", "lizard", "lobster", "man", "maple_tree", "motorcycle", "mountain",
    "mouse", "mushroom", "oak_tree", "orange", "orchid", "otter", "palm_tree", "pear", "pickup_truck",
    "pine_tree", "plain", "plate", "poppy", "porcupine", "possum", "rabbit", "raccoon", "ray", "road", "rocket",
    "rose", "sea", "seal", "shark", "shrew", "skunk", "skyscraper", "snail", "snake", "spider", "squirrel",
    "streetcar", "sunflower", "sweet_pepper", "table", "tank", "telephone", "television", "tiger", "tractor",
    "train", "trout", "tulip", "turtle", "wardrobe", "whale", "willow_tree", "wolf", "woman", "worm",
)  # fmt: skip
DEBIAN_PACKAGE = "dataset-fashion-mnist"
DEBIAN_FOLDER = Path("usr/share/datasets/fashion-mnist")
FIRST_TEST_DIGIT = 1437  # the last fifth; scikit-learn's digits come without a split, ordered by writer


def open_named(name: str, split: str | None = None) -> ImageArray:
    """Open an image set by name; without a split, its training images and then its test images.

    Raises:
        BadInput: there is no such set or split, or it cannot be fetched (with the reason).
    """
    loader, class_names = NAMED[name]
    splits = ("train", "test") if split is None else (split,)
    if not {"train", "test"}.issuperset(splits):
        raise BadInput(f"{name} has the splits 'train' and 'test', not '{split}'.")
    loaded = [loader(part) for part in splits]
    pixels = np.concatenate([images for images, _ in loaded])
    labels = np.concatenate([numbers for _, numbers in loaded])
    return ImageArray(name if split is None else f"{name}:{split}", pixels, labels, class_names)


def _digits(split: str) -> Arrays:
    from sklearn.datasets import load_digits

    digits = load_digits()
    here = slice(None, FIRST_TEST_DIGIT) if split == "train" else slice(FIRST_TEST_DIGIT, None)
    return (digits.images[here] * (255 / 16)).round().astype(np.uint8), digits.target[here].astype(np.int64)


def _cifar10(split: str) -> Arrays:
    from torchvision.datasets import CIFAR10

    data = _from_torchvision(CIFAR10, "cifar10", split)
    return np.asarray(data.data, np.uint8), np.asarray(data.targets, np.int64)


def _cifar100(split: str) -> Arrays:
    from torchvision.datasets import CIFAR100

    data = _from_torchvision(CIFAR100, "cifar100", split)
    return np.asarray(data.data, np.uint8), np.asarray(data.targets, np.int64)


def _fashion_mnist(split: str) -> Arrays:
    cached = cache_folder() / "datasets" / "fashion-mnist"
    for folder in (Path("/", DEBIAN_FOLDER), cached):
        if folder.is_dir():
            return _read_idx_pair(folder, split)
    try:
        from torchvision.datasets import FashionMNIST

        data = _from_torchvision(FashionMNIST, "fashion-mnist", split)
    except BadInput as error:
        reason = str(error).removesuffix(".")
        raise BadInput(f"{reason}; on Debian and Ubuntu, apt install {DEBIAN_PACKAGE} has it too.") from None
    return data.data.numpy(), data.targets.numpy().astype(np.int64)


def _from_torchvision(dataset: Callable, name: str, split: str):  # type: ignore[no-untyped-def]
    root = cache_folder() / "datasets" / "torchvision"
    try:
        return dataset(str(root), train=split == "train", download=True)
    except Exception as error:  # URL errors, broken archives, a full disk: all of them end here
        raise BadInput(f"{name} could not be downloaded ({error}).") from None


def _read_idx_pair(folder: Path, split: str) -> Arrays:
    prefix = "train" if split == "train" else "t10k"
    images = _read_idx(folder / f"{prefix}-images-idx3-ubyte.gz")
    return images, _read_idx(folder / f"{prefix}-labels-idx1-ubyte.gz").astype(np.int64)


def _read_idx(path: Path) -> NDArray[np.uint8]:
    """The idx format of MNIST: two zero bytes, type, number of dimensions, big-endian sizes, then the data."""
    try:
        content = gzip.decompress(path.read_bytes())
        dimensions = content[3]
        shape = np.frombuffer(content, ">u4", dimensions, offset=4)
        return np.frombuffer(content, np.uint8, offset=4 + 4 * dimensions).reshape(shape)
    except (OSError, EOFError, zlib.error, IndexError, ValueError) as error:
        raise BadInput(f"{path} cannot be read ({error}); delete it and try again.") from None


NAMED: dict[str, tuple[Callable[[str], Arrays], tuple[str, ...]]] = {
    "digits": (_digits, tuple("0123456789")),
    "fashion-mnist": (_fashion_mnist, FASHION_MNIST_CLASSES),
    "cifar10": (_cifar10, CIFAR10_CLASSES),
    "cifar100": (_cifar100, CIFAR100_CLASSES),
}

OPENER = Opener(f"one of {', '.join(NAMED)} (with :train or :test)", NAMED.__contains__, open_named)
