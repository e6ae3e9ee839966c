"""Train a hash model on a source."""

from __future__ import annotations

import logging
import math
import os
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hashlens.backbones import DEFAULT_BACKBONE, load_backbone
from hashlens.centres import quality
from hashlens.devices import choose_device
from hashlens.errors import BadInput
from hashlens.methods import Method, TrainingSettings, get_method
from hashlens.models import HASH_LAYERS, HashModel, HashNetwork
from hashlens.sources import FeatureArray, ImageSource, as_source
from hashlens.training.checkpoints import Checkpoints, digest_of
from hashlens.training.class_similarity import class_similarity
from hashlens.training.preparation import prepare
from hashlens.training.run import Task, train
from hashlens.training.split import hold_out

log = logging.getLogger("hashlens")

LEAST_STEPS = 16  # an epoch, where the method's batch size would make fewer
SMALLEST_BATCH = 32


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
    if len(source.class_names) < 2:
        names = "', '".join(source.class_names)
        raise BadInput(f"{source.name} has only the class '{names}'; training needs at least two classes.")
    if finetune and isinstance(source, FeatureArray):
        raise BadInput(f"{source.name} holds features, so there is no backbone to fine-tune.")
    codebook = None
    if not chosen.needs_similarity:  # then centres come first: they fail fast, before any image is read
        codebook = chosen.codebook(len(source.class_names), bits, seed)
    settings = _override(chosen.settings(finetune, paper), epochs, batch_size, learning_rate)

    pretrained = load_backbone(backbone, weights, image_size) if isinstance(source, ImageSource) else None
    prepared = prepare(source, pretrained, finetune, where)
    train_items, held_out = hold_out(prepared.labels, validation, seed)
    log.info(
        "%d images of %d classes to train on, %s held out",
        len(train_items), len(source.class_names), len(held_out) or "none",
    )  # fmt: skip
    if not paper and batch_size is None:  # few images would make too few steps
        fewer = max(SMALLEST_BATCH, len(train_items) // LEAST_STEPS)
        settings = replace(settings, batch_size=min(settings.batch_size, fewer))
    devices = devices if finetune else 1
    task = Task(prepared, pretrained, finetune, train_items, held_out, seed, where, devices)
    folder = Path(checkpoints) if finetune and checkpoints else None
    if codebook is None:
        similarity = class_similarity(task, chosen.similarity, settings, source.class_names, folder)
        codebook = chosen.codebook(len(source.class_names), bits, seed, similarity)
        _tell_centres(codebook, similarity)

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        layer = HASH_LAYERS[chosen.hash_layer](task.dimension, bits)
        network = HashNetwork(pretrained if finetune else None, layer, settings.feature_dropout)
        description = {
            "source": source.name, "images": len(train_items), "held_out": len(held_out), "seed": seed,
            "settings": asdict(settings), "paper": paper, "finetune": finetune,
        }  # fmt: skip
        saving = None
        if folder:
            assert pretrained is not None
            identity = description | {
                "bits": bits, "method": f"{type(chosen).__name__} {chosen.describe()}", "backbone": backbone,
                "backbone_fingerprint": pretrained.fingerprint(),
                "data_fingerprint": digest_of(codebook, prepared.labels, train_items),
            }  # fmt: skip
            saving = Checkpoints(folder, identity)
        best = train(task, network, chosen.objective(codebook), settings, saving)
    network.load_state_dict(best.weights)
    if saving:
        saving.remove()
    return HashModel(
        network=HashNetwork(pretrained, network.hash_layer),
        bits=bits,
        hash_layer=chosen.hash_layer,
        method={"name": type(chosen).__name__, "parameters": chosen.describe()},
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


def _tell_centres(codebook: NDArray[np.int8], similarity: NDArray[np.float64]) -> None:
    figures = quality(codebook, similarity)
    log.info(
        "semantic centres: smallest distance %d of %d bits, rank correlation with the similarity %.2f",
        figures["minimum_distance"], figures["bits"], figures["spearman"],
    )  # fmt: skip


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
