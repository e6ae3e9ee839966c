"""A trained model: encode, adapt, save, load."""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, overload

import numpy as np
import torch
import xxhash
from numpy.typing import NDArray

from hashlens.backbones import Backbone, weights_version
from hashlens.errors import BadInput
from hashlens.files import remove_abandoned, replacing, temporary_names, write_json
from hashlens.hub import fetch_files, is_address, parse_address, send_folder
from hashlens.models.card import model_card, read_report, shown_name
from hashlens.models.encoder import Encoder
from hashlens.models.network import HASH_LAYERS, HashNetwork, HiddenLayers
from hashlens.progress import Progress

FORMAT = "hashlens-model"
VERSION = 3  # the first had no hidden layers, the second no mirror images
CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
CARD_FILE = "README.md"
WAITING_FILE = re.compile(r"\.model-[0-9a-f]{64}\.safetensors")
UNFINISHED_FILE = temporary_names(WAITING_FILE.pattern, r"\.safetensors")
FIELDS: dict[str, tuple[type, ...]] = {
    "bits": (int,),
    "hash_layer": (str,),
    "feature_dimension": (int,),
    "hidden_layers": (list,),
    "backbone": (dict, type(None)),
    "finetuned": (bool,),
    "mirrored": (bool,),
    "method": (dict,),
    "class_names": (list,),
    "training": (dict,),
    "weights_sha256": (str,),
}
# What the codes depend on. Models of earlier versions have no checksum of it.
DECIDING = ("bits", "hash_layer", "feature_dimension", "hidden_layers", "backbone", "mirrored", "weights_sha256")


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

    Example:
        >>> import tempfile, hashlens as hl
        >>> x = np.random.default_rng(0).normal(size=(40, 8)).astype(np.float32)
        >>> source = hl.sources.FeatureArray("mine", x, np.arange(40) % 2, ["cat", "dog"])
        >>> model = hl.fit(source, "orthohash", bits=16, epochs=1, device="cpu")
        >>> model
        HashModel(16 bits, OrthoHash, 8 given features, 2 classes)
        >>> model.encode(x).shape, model.continuous_codes(x).shape, model.codebook.shape, model.class_names
        ((40, 2), (40, 16), (2, 16), ('cat', 'dog'))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     model.save(folder)
        ...     HashModel.load(folder).fingerprint() == model.fingerprint()
        True
    """

    network: HashNetwork
    bits: int
    hash_layer: str
    method: dict[str, Any]
    class_names: tuple[str, ...]
    codebook: NDArray[np.int8] | None = None
    finetuned: bool = False
    training: dict[str, Any] = field(default_factory=dict)
    _fingerprint: tuple[object, str] | None = field(default=None, init=False, repr=False, compare=False)

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

    def encoder(
        self, device: str | None = None, threads: int | None = None, progress: Progress | None = None
    ) -> Encoder:
        """An encoder that stays warm: the first query pays for its device, threads and session, the next do not.

        Args:
            device: "cpu", "cuda", …; a GPU by default, where there is one. "onnx" is the CPU through ONNX Runtime,
                which is taken for a frozen backbone anyway.
            threads: that run the network on a CPU; as many as PyTorch uses by default.
            progress: tells how far the encoding of a source is, such as :func:`hashlens.progress_bar`; silent by
                default.

        Raises:
            BadInput: there is no such device, or ONNX Runtime cannot run the backbone.

        Example:
            >>> import hashlens as hl
            >>> x = np.random.default_rng(0).normal(size=(40, 8)).astype(np.float32)
            >>> source = hl.sources.FeatureArray("mine", x, np.arange(40) % 2)
            >>> model = hl.fit(source, bits=16, epochs=1, device="cpu")
            >>> with model.encoder() as encode:
            ...     encode(x).shape, encode(x[0]).shape
            ((40, 2), (1, 2))
        """
        return Encoder(self.network, not self.finetuned, device, threads, progress)

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
        """Binary codes, once; to encode more than once, keep an :meth:`encoder`.

        Args:
            items: a source, or anything that :func:`hashlens.sources.as_source` makes one of: a path or a
                sequence of paths, bytes of image files, PIL images, pixels, or (N, D) features for a model of
                features.
            return_items: return the numbers of the encoded items too.
            device: see :meth:`encoder`.

        Returns:
            (n, ceil(K/8)) uint8 packed codes. Images that cannot be read have no row; a
            :class:`SkippedImagesWarning` says which they are. With ``return_items`` also (n,) int64, the
            number in the source of each row.

        Raises:
            BadInput: images for a model of features or the reverse, or nothing could be read.
        """
        with self.encoder(device) as encoder:
            encoded = encoder.readable(items)
        return (encoded.codes, encoded.items) if return_items else encoded.codes

    def continuous_codes(self, items: Any, return_items: bool = False, device: str | None = None) -> Any:
        """Continuous codes, (n, K) float32, that :meth:`encode` rounds and packs; arguments as there."""
        with self.encoder(device) as encoder:
            encoded = encoder.readable(items)
        return (encoded.continuous, encoded.items) if return_items else encoded.continuous

    def adapt(self, items: Any, device: str | None = None, reset: bool = False) -> HashModel:
        """Re-estimate the batch-norm statistics of the hash layer on the images that will be searched.

        Bits that were balanced on the training images need not be so on other images. No labels are used.
        OrthoHash (supplement D.5) lifts retrieval on an unlabelled database this way a lot. Mean and variance
        are exact over all given items. There the learnt scale γ and shift β are set back to 1 and 0 too; here they
        stay unless ``reset`` is set.

        Args:
            items: as for :meth:`encode`, at least two readable ones.
            reset: set γ to 1 and β to 0, as the paper does: every bit is then 1 for about half of the items.

        Returns:
            The model itself, changed.

        Raises:
            BadInput: the model has no batch norm, or there are fewer than two items.

        Example:
            >>> import hashlens as hl
            >>> x = np.random.default_rng(0).normal(size=(400, 8)).astype(np.float32)
            >>> source = hl.sources.FeatureArray("mine", x, np.arange(400) % 2)
            >>> model = hl.fit(source, "orthohash", bits=16, epochs=1, device="cpu")
            >>> before = np.abs(model.continuous_codes(x + 3).mean(0)).max()
            >>> after = np.abs(model.adapt(x + 3).continuous_codes(x + 3).mean(0)).max()
            >>> bool(after < 0.1 < before)
            True
        """
        norm = getattr(self.network.hash_layer, "norm", None)
        if norm is None:
            raise BadInput(f"A hash layer of kind '{self.hash_layer}' has no batch norm to adapt.")
        count = 0
        total, squares = np.zeros((2, self.bits))
        with self.encoder(device) as encoder:
            for projected in encoder.projections(items):
                count += len(projected)
                total += projected.sum(0)
                squares += np.square(projected).sum(0)
        if count < 2:
            raise BadInput(f"Adapting needs at least two readable images; there are {count}.")
        mean = total / count
        variance = np.maximum(squares - count * np.square(mean), 0) / (count - 1)
        with torch.no_grad():
            norm.running_mean.copy_(torch.from_numpy(mean))
            norm.running_var.copy_(torch.from_numpy(variance))
            if reset:
                norm.weight.fill_(1)
                norm.bias.zero_()
        self.training["adapted_to"] = count
        return self

    @property
    def training_summary(self) -> str:
        """What came of the training, in words: the epoch that was kept and its score on held-out images."""
        if not self.training["history"]:
            return f"{self.bits} bits from {self.training['images']:,} items"
        score = "".join(f", validation {name} {value:.4f}" for name, value in kept_scores(self.training).items())
        return f"epoch {self.training['best_epoch']}{score}"

    def fingerprint(self) -> str:
        """A hash of weights and preprocessing: equal for models that give the same codes."""
        version = weights_version(self.network)
        if self._fingerprint is None or self._fingerprint[0] != version:
            digest = hashlib.sha256(self._serialized())
            if self.backbone:
                digest.update(repr(self.backbone.preprocessing).encode())
            if self.network.mirrored:
                digest.update(b"mirrored")
            self._fingerprint = version, digest.hexdigest()
        return self._fingerprint[1]

    def _serialized(self) -> bytes:
        from safetensors.torch import save

        tensors = {name: value.detach().cpu().contiguous() for name, value in self.network.state_dict().items()}
        if self.codebook is not None:
            tensors["codebook"] = torch.from_numpy(np.ascontiguousarray(self.codebook))
        return save(tensors)

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write ``config.json`` and ``model.safetensors`` to a folder, which is made if need be.

        A model that is there is replaced at one moment, when ``config.json`` is renamed: a crash leaves the old
        model or the new one.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        weights = self._serialized()
        digest = hashlib.sha256(weights).hexdigest()
        with replacing(folder / _waiting_file(digest)) as temporary:
            temporary.write_bytes(weights)
        config = {
            "format": FORMAT,
            "version": VERSION,
            "bits": self.bits,
            "hash_layer": self.hash_layer,
            "feature_dimension": self.feature_dimension,
            "hidden_layers": list(self.network.hidden_layers.sizes),
            "backbone": self.backbone.config() if self.backbone else None,
            "finetuned": self.finetuned,
            "mirrored": self.network.mirrored,
            "method": self.method,
            "class_names": list(self.class_names),
            "training": self.training,
            "weights_sha256": digest,
        }
        write_json(folder / CONFIG_FILE, {**config, "checksum": _checksum(config)})
        (folder / _waiting_file(digest)).replace(folder / WEIGHTS_FILE)
        for path in folder.iterdir():  # of processes that were killed before their model counted
            if WAITING_FILE.fullmatch(path.name):
                path.unlink(missing_ok=True)
        remove_abandoned(folder, UNFINISHED_FILE)

    def push(
        self,
        name: str,
        *,
        report: Mapping[str, Any] | str | os.PathLike[str] | None = None,
        data: str = "",
        license: str | None = None,
        private: bool = False,
        message: str = "A model of HashLens",
    ) -> str:
        """Send the model to the Hugging Face Hub, with a card that says what it is, how good, and how to use it.

        What the files tell strangers: names of classes, the settings of the training, the last part of the source's
        name, and the figures of the report. The card replaces one that is there, which stays in the history.

        Args:
            name: ``user/name``, or ``hf://user/name``; the repository is made if need be.
            report: what :func:`hashlens.reports.write_report` returned, or the folder that it wrote; its figures
                stand in the card as the Hub's ``model-index``.
            data: what the model was trained on, in words or as ``hf://datasets/user/name``; by default the last
                part of the source's name.
            license: as the Hub names licences, such as ``mit``; none is claimed by default.
            private: whether a new repository is for its owner alone.
            message: of the commit.

        Returns:
            The repository's address for a browser.

        Raises:
            BadInput: the report is of another model, or the Hub does not take it, as when nobody is logged in.

        Example:
            >>> import hashlens as hl
            >>> hl.HashModel.load("model").push("me/shoes-64-bits", report="report")  # doctest: +SKIP
            'https://huggingface.co/me/shoes-64-bits'
        """
        address = parse_address(name if is_address(name) else f"hf://{name}")
        if address.dataset or address.path:
            raise BadInput(f"A model goes to user/name on the Hub, not to {name}.")
        measured = None if report is None else read_report(report)
        if measured is not None and measured.get("model", {}).get("fingerprint") != self.fingerprint():
            raise BadInput("The report is of another model; evaluate this one, and give what that wrote.")
        source = shown_name(str(self.training.get("source", "")))
        with tempfile.TemporaryDirectory() as folder:
            replace(self, training={**self.training, "source": source}).save(folder)
            card = model_card(read_config(folder), address.repository, measured, data, license)
            Path(folder, CARD_FILE).write_text(card, encoding="utf-8")
            return send_folder(folder, address, message, private)

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> HashModel:
        """Read what :meth:`save` wrote; nothing else is needed, and no code in the files is run.

        Args:
            folder: or ``hf://user/name``, with ``@revision`` behind it or not, for a model on the Hugging Face Hub.
                Only ``config.json`` and ``model.safetensors`` are fetched, and kept in the Hub's own cache.

        Raises:
            BadInput: the folder or a file in it is missing, damaged, or not a HashLens model; or the Hub does not
                have it, or does not let you have it.
        """
        from safetensors import SafetensorError
        from safetensors.torch import load

        folder = model_folder(folder)
        config = read_config(folder)
        weights = _read_weights(folder, config["weights_sha256"])
        try:
            tensors = load(weights)
            codebook = tensors.pop("codebook").numpy() if "codebook" in tensors else None
            backbone = Backbone.from_config(config["backbone"]) if config["backbone"] is not None else None
            hidden = HiddenLayers(config["feature_dimension"], config["hidden_layers"])
            layer = HASH_LAYERS[config["hash_layer"]](hidden.out_features, config["bits"])
            network = HashNetwork(backbone, hidden, layer, mirrored=config["mirrored"])
            network.load_state_dict(tensors)
        except (KeyError, TypeError, AttributeError, RuntimeError, SafetensorError) as error:
            reason = textwrap.shorten(str(error), 200)
            raise BadInput(f"{folder} is not a complete HashLens model ({reason}).") from None
        if codebook is not None and codebook.shape != (len(config["class_names"]), config["bits"]):
            raise BadInput(f"{folder} has class_names or bits that do not fit its {codebook.shape} codebook.")
        if config.get("checksum") not in (None, _checksum(config)):
            raise BadInput(f"{folder / CONFIG_FILE} is damaged: what codes depend on is not what was written.")
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


def kept_scores(training: dict[str, Any]) -> dict[str, float]:
    """The scores of the epoch that was kept, by name; none where no image was held out.

    Args:
        training: as a model's ``training`` or its ``config.json`` tells.

    Example:
        >>> kept_scores({"best_epoch": 2, "history": [{"epoch": 1}, {"epoch": 2, "validation_mAP": 0.9}]})
        {'mAP': 0.9}
    """
    kept: dict[str, float] = {}
    for entry in training["history"]:
        if entry["epoch"] == training["best_epoch"]:
            kept = entry
    prefix = "validation_"
    return {name.removeprefix(prefix): value for name, value in kept.items() if name.startswith(prefix)}


def _waiting_file(digest: str) -> str:
    """Where weights wait until ``config.json`` names them, and from there on be read until they are renamed."""
    return f".model-{digest}.safetensors"


def _checksum(config: dict[str, Any]) -> str:
    deciding = {name: config[name] for name in DECIDING}
    return xxhash.xxh3_64_hexdigest(json.dumps(deciding, sort_keys=True).encode())


def _read_weights(folder: Path, digest: str) -> bytes:
    found = False
    for path in (folder / WEIGHTS_FILE, folder / _waiting_file(digest)):
        try:
            weights = path.read_bytes()
        except OSError:
            continue
        if hashlib.sha256(weights).hexdigest() == digest:
            return weights
        found = True
    if not found:
        raise BadInput(f"{folder} has a {CONFIG_FILE} but no {WEIGHTS_FILE}; copy or train it again.")
    raise BadInput(f"{folder / WEIGHTS_FILE} is damaged or belongs to another model than {CONFIG_FILE}.")


def model_folder(place: str | os.PathLike[str]) -> Path:
    """The folder of a model, which is fetched first where its place is an address on the Hugging Face Hub.

    Raises:
        BadInput: it is not a model's address, or cannot be had.

    Example:
        >>> model_folder("models/shoes").name
        'shoes'
    """
    if not is_address(place):
        return Path(place)
    address = parse_address(os.fspath(place))
    if address.dataset or address.path:
        raise BadInput(f"{place} is no model; one on the Hub is written hf://user/name.")
    return fetch_files(address, [CONFIG_FILE, WEIGHTS_FILE])


def read_config(folder: str | os.PathLike[str]) -> dict[str, Any]:
    """The checked content of a model's ``config.json``.

    Raises:
        BadInput: there is none, or it is not that of a HashLens model of a version that we know.

    Example:
        >>> read_config("lost")
        Traceback (most recent call last):
        ...
        hashlens.errors.BadInput: There is no model at lost (config.json is missing); make one with hashlens fit.
    """
    path = Path(folder, CONFIG_FILE)
    if not path.is_file():
        raise BadInput(f"There is no model at {folder} ({CONFIG_FILE} is missing); make one with hashlens fit.")
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{path} is not valid JSON ({error}).") from None
    if not isinstance(config, dict) or config.get("format") != FORMAT:
        raise BadInput(f"{path} does not describe a HashLens model.")
    if config.get("version") == 1:
        config |= {"version": 2, "hidden_layers": []}
    if config.get("version") == 2:
        config |= {"version": VERSION, "mirrored": False}
    if config.get("version") != VERSION:
        raise BadInput(f"{path} has format version {config.get('version')}; this HashLens reads version {VERSION}.")
    for name, types in FIELDS.items():
        if type(config.get(name, ...)) not in types:
            raise BadInput(f"{path} is damaged: '{name}' is missing or not of the right type.")
    if "name" not in config["method"] or not all(isinstance(name, str) for name in config["class_names"]):
        raise BadInput(f"{path} is damaged: the method has no name, or a class name is not text.")
    return config
