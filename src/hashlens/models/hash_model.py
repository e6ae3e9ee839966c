"""A trained model: encode, adapt, save, load."""

from __future__ import annotations

import hashlib
import json
import os
import textwrap
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, overload

import numpy as np
import torch
from numpy.typing import NDArray

from hashlens.backbones import Backbone, Features, iterate_features
from hashlens.codes import pack
from hashlens.compute.devices import ONNX, choose_device
from hashlens.compute.threads import one_processor
from hashlens.errors import BadInput
from hashlens.files import replacing, write_json
from hashlens.models.network import HASH_LAYERS, HashNetwork, HiddenLayers
from hashlens.progress import progress_bar
from hashlens.sources import Skipped, as_source

FORMAT = "hashlens-model"
VERSION = 2
CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
FIELDS: dict[str, tuple[type, ...]] = {
    "bits": (int,),
    "hash_layer": (str,),
    "feature_dimension": (int,),
    "hidden_layers": (list,),
    "backbone": (dict, type(None)),
    "finetuned": (bool,),
    "method": (dict,),
    "class_names": (list,),
    "training": (dict,),
    "weights_sha256": (str,),
}


class SkippedImagesWarning(UserWarning):
    """Some images could not be read and were left out."""


@dataclass(frozen=True)
class Encoded:
    """Codes of those items of a source, or of a batch of it, that could be read.

    Attributes:
        items: (n,) int64, their numbers in the source.
        continuous: (n, K) float32.
        codes: (n, ceil(K/8)) uint8.
        digests: n content digests.
        skipped: the other items.
    """

    items: NDArray[np.int64]
    continuous: NDArray[np.float32]
    codes: NDArray[np.uint8]
    digests: list[bytes]
    skipped: list[Skipped]


@dataclass
class HashModel:
    """A network that turns images (or features) into binary codes.

    Attributes:
        network: in evaluation mode.
        bits: K.
        hash_layer: its name in :data:`hashlens.models.network.HASH_LAYERS`.
        method: name and parameters of the method that trained it.
        class_names: C names, in the order of the codebook; empty where the training knew no classes.
        codebook: (C, K) int8 hash centres; ``None`` where the method has none.
        finetuned: whether the backbone was trained too.
        training: what is worth knowing of the training, for people.
    """

    network: HashNetwork
    bits: int
    hash_layer: str
    method: dict[str, Any]
    class_names: tuple[str, ...]
    codebook: NDArray[np.int8] | None = None
    finetuned: bool = False
    training: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.network.eval()

    def __repr__(self) -> str:
        backbone = self.backbone.name if self.backbone else f"{self.feature_dimension} given features"
        return f"HashModel({self.bits} bits, {self.method['name']}, {backbone}, {len(self.class_names)} classes)"

    @property
    def backbone(self) -> Backbone | None:
        return self.network.backbone

    @property
    def feature_dimension(self) -> int:
        return self.network.hidden_layers.in_features

    @overload
    def encode(
        self, items: Any, return_items: Literal[False] = False, device: str | None = None
    ) -> NDArray[np.uint8]: ...

    @overload
    def encode(
        self, items: Any, return_items: Literal[True], device: str | None = None
    ) -> tuple[NDArray[np.uint8], NDArray[np.int64]]: ...

    def encode(
        self, items: Any, return_items: bool = False, device: str | None = None
    ) -> NDArray[np.uint8] | tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """Binary codes.

        Args:
            items: a source, or anything that :func:`hashlens.sources.as_source` makes one of: a path or a
                sequence of paths, PIL images, pixels, or (N, D) features for a model of features.
            return_items: return the numbers of the encoded items too.
            device: "cpu", "cuda", …; a GPU by default, where there is one. "onnx" is the CPU through ONNX Runtime,
                which is two to three times as fast and needs the extra ``onnx``.

        Returns:
            (n, ceil(K/8)) uint8 packed codes. Images that cannot be read have no row; a
            :class:`SkippedImagesWarning` says which they are. With ``return_items`` also (n,) int64, the
            number in the source of each row.

        Raises:
            BadInput: images for a model of features or the reverse, or nothing could be read.
        """
        encoded = self._encode_readable(items, device)
        return (encoded.codes, encoded.items) if return_items else encoded.codes

    def continuous_codes(self, items: Any, return_items: bool = False, device: str | None = None) -> Any:
        """Continuous codes, (n, K) float32, that :meth:`encode` rounds and packs; arguments as there."""
        encoded = self._encode_readable(items, device)
        return (encoded.continuous, encoded.items) if return_items else encoded.continuous

    def _encode_readable(self, items: Any, device: str | None) -> Encoded:
        source = as_source(items)
        encoded = self.encode_all(source, device)
        if encoded.skipped:
            warnings.warn(
                f"{len(encoded.skipped)} of {len(source)} images could not be read and have no code, "
                f"the first of them {encoded.skipped[0]}.",
                SkippedImagesWarning,
                stacklevel=3,
            )
        return encoded

    def encode_all(self, items: Any, device: str | None = None, description: str = "Encoding") -> Encoded:
        """Codes of a whole source, with what could not be read.

        Raises:
            BadInput: nothing could be read.
        """
        source = as_source(items)
        nothing = np.empty((0, self.bits), np.float32)
        batches = [Encoded(np.empty(0, np.int64), nothing, pack(nothing), [], [])]
        with progress_bar(description, len(source)) as advance:
            for batch in self.encode_batches(source, device):
                batches.append(batch)
                advance(len(batch.items) + len(batch.skipped))
        skipped = [one for batch in batches for one in batch.skipped]
        if len(skipped) == len(source) > 0:
            raise BadInput(f"No image of {source.name} could be read; the first is {skipped[0]}.")
        return Encoded(
            np.concatenate([batch.items for batch in batches]),
            np.concatenate([batch.continuous for batch in batches]),
            np.concatenate([batch.codes for batch in batches]),
            [digest for batch in batches for digest in batch.digests],
            skipped,
        )

    def encode_batches(self, items: Any, device: str | None = None) -> Iterator[Encoded]:
        """Codes batch by batch, for sources of any size."""
        where = self._place(device)
        for batch in self._feature_batches(items, device):
            continuous = np.empty((0, self.bits), np.float32)
            if len(batch.items):
                with torch.inference_mode(), one_processor():
                    features = torch.from_numpy(np.array(batch.values)).to(where)
                    continuous = self.network.codes_of(features).cpu().numpy()
            codes = pack(continuous, self.network.hash_layer.threshold)
            yield Encoded(batch.items, continuous, codes, batch.digests, batch.skipped)

    def adapt(self, items: Any, device: str | None = None) -> HashModel:
        """Re-estimate the batch-norm statistics of the hash layer on the images that will be searched.

        Bits that were balanced on the training images need not be so on other images. No labels are used.
        OrthoHash (supplement D.5) lifts retrieval on an unlabelled database this way a lot. Mean and variance
        are exact over all given items.

        Args:
            items: as for :meth:`encode`, at least two readable ones.

        Returns:
            The model itself, changed.

        Raises:
            BadInput: the model has no batch norm, or there are fewer than two items.
        """
        norm = getattr(self.network.hash_layer, "norm", None)
        if norm is None:
            raise BadInput(f"A hash layer of kind '{self.hash_layer}' has no batch norm to adapt.")
        where = self._place(device)
        count = 0
        total, squares = torch.zeros(2, self.bits, dtype=torch.float64)
        for batch in self._feature_batches(items, device):
            if len(batch.items):
                with torch.inference_mode(), one_processor():
                    features = torch.from_numpy(np.array(batch.values)).to(where)
                    hidden = self.network.hidden_layers(features)
                    projected = self.network.hash_layer.linear(hidden).double().cpu()
                count += len(projected)
                total += projected.sum(0)
                squares += projected.square().sum(0)
        if count < 2:
            raise BadInput(f"Adapting needs at least two readable images; there are {count}.")
        mean = total / count
        variance = (squares - count * mean.square()).clamp(min=0) / (count - 1)
        with torch.no_grad():
            norm.running_mean.copy_(mean)
            norm.running_var.copy_(variance)
        self.training["adapted_to"] = count
        return self

    def _place(self, device: str | None) -> torch.device:
        """Move the network to a device, and say where its hash layer computes."""
        where = choose_device("cpu" if device == ONNX else device)
        self.network.to(where)
        return where

    def _feature_batches(self, items: Any, device: str | None) -> Iterator[Features]:
        source = as_source(items)
        where = device if device == ONNX else choose_device(device)
        for batch in iterate_features(source, self.backbone, where, cached=not self.finetuned):
            if len(batch.items) and batch.values.shape[1] != self.feature_dimension:
                raise BadInput(
                    f"{source.name} has features of length {batch.values.shape[1]}, "
                    f"but the model was trained on length {self.feature_dimension}."
                )
            yield batch

    def fingerprint(self) -> str:
        """A hash of weights and preprocessing: equal for models that give the same codes."""
        digest = hashlib.sha256(self._serialized())
        if self.backbone:
            digest.update(repr(self.backbone.preprocessing).encode())
        return digest.hexdigest()

    def _serialized(self) -> bytes:
        from safetensors.torch import save

        tensors = {name: value.detach().cpu().contiguous() for name, value in self.network.state_dict().items()}
        if self.codebook is not None:
            tensors["codebook"] = torch.from_numpy(np.ascontiguousarray(self.codebook))
        return save(tensors)

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write ``config.json`` and ``model.safetensors`` to a folder, which is made if need be."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        weights = self._serialized()
        with replacing(folder / WEIGHTS_FILE) as temporary:
            temporary.write_bytes(weights)
        write_json(
            folder / CONFIG_FILE,
            {
                "format": FORMAT,
                "version": VERSION,
                "bits": self.bits,
                "hash_layer": self.hash_layer,
                "feature_dimension": self.feature_dimension,
                "hidden_layers": list(self.network.hidden_layers.sizes),
                "backbone": self.backbone.config() if self.backbone else None,
                "finetuned": self.finetuned,
                "method": self.method,
                "class_names": list(self.class_names),
                "training": self.training,
                "weights_sha256": hashlib.sha256(weights).hexdigest(),
            },
        )

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> HashModel:
        """Read what :meth:`save` wrote; nothing else is needed, and no code in the files is run.

        Raises:
            BadInput: the folder or a file in it is missing, damaged, or not a HashLens model.
        """
        from safetensors import SafetensorError
        from safetensors.torch import load

        folder = Path(folder)
        config = read_config(folder)
        try:
            weights = (folder / WEIGHTS_FILE).read_bytes()
        except OSError:
            raise BadInput(f"{folder} has a {CONFIG_FILE} but no {WEIGHTS_FILE}; copy or train it again.") from None
        if hashlib.sha256(weights).hexdigest() != config["weights_sha256"]:
            raise BadInput(f"{folder / WEIGHTS_FILE} is damaged or belongs to another model than {CONFIG_FILE}.")
        try:
            tensors = load(weights)
            codebook = tensors.pop("codebook").numpy() if "codebook" in tensors else None
            backbone = Backbone.from_config(config["backbone"]) if config["backbone"] is not None else None
            hidden = HiddenLayers(config["feature_dimension"], config["hidden_layers"])
            layer = HASH_LAYERS[config["hash_layer"]](hidden.out_features, config["bits"])
            network = HashNetwork(backbone, hidden, layer)
            network.load_state_dict(tensors)
        except (KeyError, TypeError, AttributeError, RuntimeError, SafetensorError) as error:
            reason = textwrap.shorten(str(error), 200)
            raise BadInput(f"{folder} is not a complete HashLens model ({reason}).") from None
        if codebook is not None and codebook.shape != (len(config["class_names"]), config["bits"]):
            raise BadInput(f"{folder} has class_names or bits that do not fit its {codebook.shape} codebook.")
        return cls(
            network=network,
            bits=config["bits"],
            hash_layer=config["hash_layer"],
            method=config["method"],
            class_names=tuple(config["class_names"]),
            codebook=codebook,
            finetuned=config["finetuned"],
            training=config["training"],
        )


def read_config(folder: str | os.PathLike[str]) -> dict[str, Any]:
    """The checked content of a model's ``config.json``.

    Raises:
        BadInput: there is none, or it is not that of a HashLens model of a version that we know.
    """
    path = Path(folder, CONFIG_FILE)
    if not path.is_file():
        raise BadInput(f"There is no model at {folder} ({CONFIG_FILE} is missing); make one with hashlens fit.")
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise BadInput(f"{path} is not valid JSON ({error}).") from None
    if not isinstance(config, dict) or config.get("format") != FORMAT:
        raise BadInput(f"{path} does not describe a HashLens model.")
    if config.get("version") != VERSION:
        raise BadInput(f"{path} has format version {config.get('version')}; this HashLens reads version {VERSION}.")
    for name, types in FIELDS.items():
        if type(config.get(name, ...)) not in types:
            raise BadInput(f"{path} is damaged: '{name}' is missing or not of the right type.")
    if "name" not in config["method"] or not all(isinstance(name, str) for name in config["class_names"]):
        raise BadInput(f"{path} is damaged: the method has no name, or a class name is not text.")
    return config
