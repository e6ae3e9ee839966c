"""Train a hash model on a source."""

from __future__ import annotations

import hashlib
import json
import logging
import math
import os
import warnings
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from hashlens.backbones import DEFAULT_BACKBONE, Backbone, extract_features, load_backbone
from hashlens.devices import choose_device
from hashlens.errors import BadInput
from hashlens.files import write_json
from hashlens.methods import Method, TrainingSettings, get_method
from hashlens.models import HASH_LAYERS, HashModel, HashNetwork
from hashlens.sources import FeatureArray, ImageSource, Skipped, as_source
from hashlens.sources.labels import Labels
from hashlens.sources.reading import find_unreadable, tell_skipped
from hashlens.training.datasets import FeatureDataset, PixelDataset, ShuffleByEpoch, keep_batch
from hashlens.training.loop import HashTraining, KeepBest, ShowProgress
from hashlens.training.split import hold_out

log = logging.getLogger("hashlens")

VALIDATION_BATCH = 256


def fit(
    source: Any,
    method: str | Method = "hashlens",
    bits: int = 64,
    *,
    backbone: str = DEFAULT_BACKBONE,
    weights: str | os.PathLike[str] | None = None,
    image_size: int | None = None,
    finetune: bool | None = None,
    paper: bool = False,
    epochs: int | None = None,
    batch_size: int | None = None,
    learning_rate: float | None = None,
    validation: float = 0.1,
    seed: int = 0,
    device: str | None = None,
    devices: int = 1,
    checkpoints: str | os.PathLike[str] | None = None,
) -> HashModel:
    """Learn binary codes from labelled images.

    A share of the training images is held out; the model is kept as it was after the epoch in which these
    found each other best (mAP over all of them, each searching among the others).

    Args:
        source: labelled images or features: a source, or what :func:`hashlens.open_source` takes.
        method: name in :data:`hashlens.methods.METHODS`, or a method with your own parameters.
        bits: code length K, 8 to 1024.
        backbone, weights, image_size: see :func:`hashlens.backbones.load_backbone`; not for features.
        finetune: train the backbone too. By default it is frozen on a CPU, where its features are computed
            once and kept on disk, and trained on a GPU.
        paper: train as the method's paper does, instead of with our defaults.
        epochs, batch_size, learning_rate: override single settings of the method.
        validation: share of the images to hold out; 0 trains on all and keeps the last epoch.
        seed: of centres, held-out images, initial weights and batches. On a CPU the same seed gives the same
            codes.
        device: "cpu", "cuda", …; a GPU by default, where there is one.
        devices: number of processes (one for each GPU) that share end-to-end training.
        checkpoints: a folder to save end-to-end training in after every epoch. If it holds an unfinished
            training with the same settings, that one goes on. It is removed at the end.

    Returns:
        The trained model. Its ``training`` holds settings, history and the number of images that could not
        be read.

    Raises:
        BadInput: no labels, fewer than two classes, a class without images, or an argument out of range.
    """
    source = as_source(source)
    chosen = get_method(method)
    if source.labels is None:
        raise BadInput(f"{source.name} has no labels to train with; put images in class folders or give a table.")
    if not 0 <= validation < 1:
        raise BadInput(f"The validation share is {validation}; it must be at least 0 and below 1.")
    if seed < 0:
        raise BadInput(f"The seed is {seed}; it must be 0 or more.")
    if devices < 1:
        raise BadInput(f"The number of devices is {devices}; it must be at least 1.")
    where = choose_device(device)
    if finetune is None:
        finetune = where.type == "cuda" and isinstance(source, ImageSource)
    if finetune and isinstance(source, FeatureArray):
        raise BadInput(f"{source.name} holds features, so there is no backbone to fine-tune.")
    # Centres come first: they fail fast, before any image is read.
    codebook = chosen.codebook(len(source.class_names), bits, seed)
    settings = _override(chosen.settings(finetune, paper), epochs, batch_size, learning_rate)

    network_of = load_backbone(backbone, weights, image_size) if isinstance(source, ImageSource) else None
    prepared = _prepare(source, network_of, finetune, where)
    _check_classes(prepared.labels, source)
    train_items, held_out = hold_out(prepared.labels, validation, seed)
    log.info(
        "%d images of %d classes to train on, %s held out",
        len(train_items), len(source.class_names), len(held_out) or "none",
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        dimension = network_of.dimension if network_of else prepared.inputs.shape[1]
        layer = HASH_LAYERS[chosen.hash_layer](dimension, bits)
        network = HashNetwork(network_of if finetune else None, layer, settings.feature_dropout)
        loop = HashTraining(network, chosen.objective(codebook), settings, prepared.labels[held_out], seed)
        devices = devices if finetune else 1
        loaders = _loaders(prepared, network_of, finetune, settings, train_items, held_out, seed, devices)
        description = {
            "source": source.name, "images": len(train_items), "held_out": len(held_out), "seed": seed,
            "settings": asdict(settings), "paper": paper, "finetune": finetune,
        }  # fmt: skip
        saving = None
        if finetune and checkpoints:
            assert network_of is not None
            data = (codebook, prepared.labels, train_items)
            identity = description | {
                "bits": bits, "method": f"{type(chosen).__name__} {_describe(chosen)}", "backbone": backbone,
                "backbone_fingerprint": network_of.fingerprint(), "data_fingerprint": _digest(*data),
            }  # fmt: skip
            saving = _Checkpoints(checkpoints, identity)
        best = _train(loop, loaders, settings, where, devices, saving)
    network.load_state_dict(best.weights)
    if saving:
        saving.remove()
    return HashModel(
        network=HashNetwork(network_of, network.hash_layer),
        bits=bits,
        hash_layer=chosen.hash_layer,
        method={"name": type(chosen).__name__, "parameters": _describe(chosen)},
        class_names=source.class_names,
        codebook=codebook,
        finetuned=finetune,
        training={
            **description,
            "unreadable": len(prepared.skipped),
            "best_epoch": best.best_epoch,
            "history": best.history,
        },
    )


@dataclass(frozen=True)
class _Prepared:
    """Training items that can be read and have a label.

    ``inputs`` are (N, D) features where the backbone is frozen, else the images.
    """

    inputs: Any
    labels: Labels
    skipped: list[Skipped]


def _prepare(
    source: ImageSource | FeatureArray, backbone: Backbone | None, finetune: bool, device: torch.device
) -> _Prepared:
    labelled = np.flatnonzero(source.has_label())
    if len(labelled) < len(source):
        log.warning("%d of %d items have no label and are left out", len(source) - len(labelled), len(source))
        source = source.select(labelled)
    if finetune:
        assert isinstance(source, ImageSource)
        skipped = find_unreadable(source)
        kept = np.setdiff1d(np.arange(len(source)), [one.item for one in skipped])
        inputs: Any = source.select(kept)
    else:
        features = extract_features(source, backbone, device)
        skipped, kept, inputs = features.skipped, features.items, torch.from_numpy(features.values)
    tell_skipped(skipped)
    if not len(kept):
        raise BadInput(f"{source.name} has no labelled image that can be read.")
    assert source.labels is not None
    return _Prepared(inputs, source.labels[kept], skipped)


def _check_classes(labels: Labels, source: ImageSource | FeatureArray) -> None:
    names = source.class_names
    members = labels.sum(0) if labels.ndim == 2 else np.bincount(labels, minlength=len(names))
    if len(names) < 2:
        raise BadInput(f"{source.name} has only the class {_quote(names)}; training needs at least two classes.")
    empty = [names[number] for number in np.flatnonzero(members == 0)]
    if empty:
        raise BadInput(f"{source.name} has no readable image of {_quote(empty)}; add some, or remove the class.")
    if len(labels) < 4:
        raise BadInput(f"{source.name} has only {len(labels)} labelled images; that is too few to train on.")


def _quote(names: Sequence[str], most: int = 5) -> str:
    shown = ", ".join(f"'{name}'" for name in names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


def _digest(*arrays: NDArray) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.dtype} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _override(
    settings: TrainingSettings, epochs: int | None, batch_size: int | None, learning_rate: float | None
) -> TrainingSettings:
    given = {"epochs": epochs, "batch_size": batch_size, "learning_rate": learning_rate}
    least = {"epochs": 1, "batch_size": 2}  # batch norm needs two items
    for name, value in given.items():
        if value is None:
            continue
        if name in least and not (value >= least[name] and value % 1 == 0):
            raise BadInput(f"{name.replace('_', ' ')} is {value}; it must be a whole number from {least[name]} up.")
        if not 0 < value < math.inf:
            raise BadInput(f"{name.replace('_', ' ')} is {value}; it must be positive and finite.")
    return replace(settings, **{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]


def _describe(method: Method) -> dict[str, Any]:
    parameters = dict(vars(method))
    if not isinstance(parameters["centres"], str):
        parameters["centres"] = "given"
    return parameters


def _loaders(
    prepared: _Prepared,
    backbone: Backbone | None,
    finetune: bool,
    settings: TrainingSettings,
    train_items: NDArray[np.int64],
    held_out: NDArray[np.int64],
    seed: int,
    devices: int,
) -> tuple[DataLoader, DataLoader | None]:
    batch = min(settings.batch_size, len(train_items) // devices)  # each process takes its share
    if batch < 2:
        raise BadInput(f"{len(train_items)} training images are too few to share among {devices} devices.")
    targets = torch.from_numpy(prepared.labels)

    def loader(items: NDArray[np.int64], train: bool) -> DataLoader:
        options: dict[str, Any] = {"batch_size": batch if train else VALIDATION_BATCH, "drop_last": train}
        if train:
            options["sampler"] = ShuffleByEpoch(len(items), seed)
        if not finetune:
            dataset = FeatureDataset(prepared.inputs[items], targets[items])
            return DataLoader(dataset, collate_fn=keep_batch, **options)
        assert backbone is not None
        images = prepared.inputs.select(items)
        pixels = PixelDataset(images, targets[items], backbone.preprocessing, train, seed)
        workers = max(1, (os.cpu_count() or 2) - 1)
        return DataLoader(
            pixels,
            num_workers=min(workers, 8),
            pin_memory=torch.cuda.is_available(),
            persistent_workers=True,
            **options,
        )

    return loader(train_items, True), loader(held_out, False) if len(held_out) else None


class _Checkpoints:
    """Where end-to-end training is saved, and whether what lies there is the same training."""

    def __init__(self, folder: str | os.PathLike[str], identity: dict[str, Any]) -> None:
        self.folder = Path(folder)
        self.resume_from: Path | None = None
        self._marker = self.folder / "training.json"
        self._last = self.folder / "last.ckpt"
        identity = json.loads(json.dumps(identity))  # as it will be read back
        if self._last.is_file() and self._marker.is_file():
            if json.loads(self._marker.read_text(encoding="utf-8")) != identity:
                raise BadInput(
                    f"{folder} holds an unfinished training with other settings; go on with those, or delete it."
                )
            self.resume_from = self._last
            log.info("going on with the unfinished training in %s", folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        write_json(self._marker, identity)

    def remove(self) -> None:
        """Remove what was saved, and the folder if it holds nothing else."""
        with suppress(OSError):
            self._last.unlink(missing_ok=True)
            self._marker.unlink(missing_ok=True)
            self.folder.rmdir()


def _train(
    loop: HashTraining,
    loaders: tuple[DataLoader, DataLoader | None],
    settings: TrainingSettings,
    device: torch.device,
    devices: int,
    saving: _Checkpoints | None,
) -> KeepBest:
    import lightning as L
    from lightning.pytorch.callbacks import Callback, ModelCheckpoint

    on_gpu = device.type == "cuda"
    best = KeepBest()
    callbacks: list[Callback] = [best, ShowProgress()]
    if saving:
        callbacks.append(
            ModelCheckpoint(saving.folder, filename="last", save_top_k=1, enable_version_counter=False)
        )
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="lightning")  # advice on workers and logging intervals
        trainer = L.Trainer(
            accelerator="gpu" if on_gpu else "cpu",
            devices=devices if devices > 1 else [device.index or 0] if on_gpu else 1,
            strategy="ddp" if devices > 1 else "auto",
            precision="16-mixed" if on_gpu and loop.network.backbone is not None else "32-true",
            max_epochs=settings.epochs,
            callbacks=callbacks,
            logger=False,
            enable_checkpointing=saving is not None,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
        )
        resume_from = saving.resume_from if saving else None
        if resume_from:  # Lightning draws the first batches before it tells the sampler which epoch it is
            epochs_done = torch.load(resume_from, map_location="cpu", weights_only=True)["epoch"] + 1
            sampler = loaders[0].sampler
            assert isinstance(sampler, ShuffleByEpoch)
            sampler.set_epoch(epochs_done)
        trainer.fit(loop, *loaders, ckpt_path=resume_from, weights_only=True if resume_from else None)
    best.weights = trainer.strategy.broadcast(best.weights)  # processes may differ in batch-norm statistics
    return best
