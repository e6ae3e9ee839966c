"""Train a hash model on a source."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from hashlens.backbones import DEFAULT_BACKBONE, load_backbone
from hashlens.centres import quality
from hashlens.classes import Taxonomy, class_distances
from hashlens.compute.devices import choose_device
from hashlens.errors import BadInput
from hashlens.methods import (
    CentreMethod,
    Method,
    TrainingSettings,
    default_method,
    get_method,
)
from hashlens.models import HASH_LAYERS, HashModel, HashNetwork, HiddenLayers
from hashlens.objectives import Problem
from hashlens.sources import Source, as_source
from hashlens.sources.vectors import read_vectors
from hashlens.training.checkpoints import Checkpoints, digest_of
from hashlens.training.class_similarity import class_similarity
from hashlens.training.preparation import prepare
from hashlens.training.run import Task, train
from hashlens.training.split import LARGEST_HELD_OUT, hold_out
from hashlens.training.validation import LARGEST_BY_DISTANCE, ByClass, ByDistance, Validation

log = logging.getLogger("hashlens")

LEAST_STEPS = 16  # an epoch, where the method's batch size would make fewer
SMALLEST_BATCH = 32


def fit(
    source: Any,
    method: str | Method | None = None,
    bits: int = 64,
    *,
    taxonomy: Taxonomy | ArrayLike | str | os.PathLike[str] | None = None,
    item_vectors: ArrayLike | str | None = None,
    backbone: str = DEFAULT_BACKBONE,
    weights: str | os.PathLike[str] | None = None,
    image_size: int | None = None,
    finetune: bool | None = None,
    paper: bool = False,
    epochs: int | None = None,
    batch_size: int | None = None,
    learning_rate: float | None = None,
    hidden_layers: Sequence[int] | None = None,
    feature_dropout: float | None = None,
    validation: float = 0.1,
    seed: int = 0,
    device: str | None = None,
    devices: int = 1,
    checkpoints: str | os.PathLike[str] | None = None,
) -> HashModel:
    """Learn binary codes from labelled images, or from images and how far apart they are in meaning.

    A share of the training images is held out; the model is kept as it was after the epoch in which these
    found each other best: by mAP over all of them, each searching among the others, or by mAHP@250 where the
    method knows distances but no classes.

    Args:
        source: labelled images or features: a source, or what :func:`hashlens.open_source` takes.
        method: name in :data:`hashlens.methods.METHODS`, or a method with your own parameters; by default
            the one of :func:`hashlens.methods.default_method`.
        bits: code length K, 8 to 1024.
        taxonomy: of the classes, for methods that use one: see :func:`hashlens.classes.class_distances`.
        item_vectors: (N, D), one vector for each item, such as sentence embeddings of captions, whose cosine
            distances say how far apart items are in meaning, or what :func:`hashlens.sources.vectors.read_vectors`
            takes; for a method that needs no classes, in place of
            labels and taxonomy. A zero vector leaves its item out.
        backbone, weights, image_size: see :func:`hashlens.backbones.load_backbone`; not for features.
        finetune: train the backbone too. By default it is frozen on a CPU, where its features are computed
            once and kept on disk, and trained on a GPU.
        paper: train as the method's paper does, instead of with our defaults.
        epochs, batch_size, learning_rate, hidden_layers, feature_dropout: override single settings of the method,
            see :class:`hashlens.methods.TrainingSettings`. No hidden layers and a feature dropout of 0.5 are better
            for searches among classes that are not trained on, and worse for the others.
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
        BadInput: no labels, fewer than two classes, a class without images or not in the taxonomy, a method
            that lacks what it needs, or an argument out of range.
    """
    source = as_source(source)
    chosen = get_method(method or default_method(taxonomy is not None))
    vectors = None if item_vectors is None else _check_vectors(item_vectors, source, chosen)
    if vectors is None and source.labels is None:
        raise BadInput(f"{source.name} has no labels to train with; put images in class folders or give a table.")
    if not 0 <= validation < 1:
        raise BadInput(f"The validation share is {validation}; it must be at least 0 and below 1.")
    if seed < 0:
        raise BadInput(f"The seed is {seed}; it must be 0 or more.")
    if devices < 1:
        raise BadInput(f"The number of devices is {devices}; it must be at least 1.")
    where = choose_device(device)
    if finetune is None:
        finetune = where.type == "cuda" and source.feature_dimension is None
    class_names = source.class_names if vectors is None else ()
    if vectors is None and len(class_names) < 2:
        names = "', '".join(class_names)
        raise BadInput(f"{source.name} has only the class '{names}'; training needs at least two classes.")
    if finetune and source.feature_dimension is not None:
        raise BadInput(f"{source.name} holds features, so there is no backbone to fine-tune.")
    class_distance = None if taxonomy is None else class_distances(taxonomy, class_names)
    if chosen.needs_distance and class_distance is None and vectors is None:
        raise BadInput(
            f"{type(chosen).__name__} needs to know how far classes are apart; give a taxonomy, or, to a method "
            "without classes, vectors of the items."
        )
    codebook = None
    if isinstance(chosen, CentreMethod) and not chosen.needs_similarity:
        codebook = chosen.codebook(len(class_names), bits, seed)  # fails fast, before any image is read
    settings = _override(
        chosen.settings(finetune, paper), epochs, batch_size, learning_rate, hidden_layers, feature_dropout
    )

    pretrained = load_backbone(backbone, weights, image_size) if source.feature_dimension is None else None
    prepared = prepare(source, vectors, pretrained, finetune, where)
    by_distance = not chosen.needs_classes
    at_most = LARGEST_BY_DISTANCE if by_distance and prepared.targets.ndim == 2 else LARGEST_HELD_OUT
    train_items, held_out = hold_out(prepared.targets, validation, seed, at_most)
    log.info(
        "%d images %sto train on, %s held out",
        len(train_items), f"of {len(class_names)} classes " if class_names else "", len(held_out) or "none",
    )  # fmt: skip
    if not paper and batch_size is None:  # few images would make too few steps
        fewer = max(SMALLEST_BATCH, len(train_items) // LEAST_STEPS)
        settings = replace(settings, batch_size=min(settings.batch_size, fewer))
    devices = devices if finetune else 1
    task = Task(prepared, pretrained, finetune, train_items, held_out, seed, where, devices)
    folder = Path(checkpoints) if finetune and checkpoints else None
    if isinstance(chosen, CentreMethod) and codebook is None:
        similarity = class_similarity(task, chosen, settings, class_names, class_distance, folder)
        codebook = chosen.codebook(len(class_names), bits, seed, similarity)
        _tell_centres(codebook, similarity)

    label_sets = not by_distance and prepared.targets.ndim == 2
    problem = Problem(bits, len(class_names), seed, codebook, class_distance, label_sets)
    hash_layer = chosen.hash_layer_for(problem)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        hidden = HiddenLayers(task.dimension, settings.hidden_layers, settings.hidden_dropout)
        layer = HASH_LAYERS[hash_layer](hidden.out_features, bits)
        network = HashNetwork(pretrained if finetune else None, hidden, layer, settings.feature_dropout)
        description = {
            "source": source.name, "images": len(train_items), "held_out": len(held_out), "seed": seed,
            "settings": asdict(settings) | {"hidden_layers": list(settings.hidden_layers)}, "paper": paper,
            "finetune": finetune,
        }  # fmt: skip
        saving = None
        if folder:
            assert pretrained is not None
            identity = description | {
                "bits": bits, "method": f"{type(chosen).__name__} {chosen.describe()}", "backbone": backbone,
                "backbone_fingerprint": pretrained.fingerprint(),
                "data_fingerprint": digest_of(codebook, class_distance, prepared.targets, train_items),
            }  # fmt: skip
            saving = Checkpoints(folder, identity)
        objective = chosen.objective_for(problem)
        watched: Validation | None = None
        if len(held_out):
            targets = prepared.targets[held_out]
            watched = ByDistance(targets, class_distance) if by_distance else ByClass(targets)
        best = train(task, network, objective, settings, watched, saving)
    network.load_state_dict(best.weights)
    if saving:
        saving.remove()
    return HashModel(
        network=HashNetwork(pretrained, network.hidden_layers, network.hash_layer),
        bits=bits,
        hash_layer=hash_layer,
        method={"name": type(chosen).__name__, "parameters": chosen.describe()},
        class_names=class_names,
        codebook=codebook,
        finetuned=finetune,
        training={
            **description,
            "unreadable": len(prepared.skipped),
            "best_epoch": best.best_epoch,
            "history": best.history,
        },
    )


def _check_vectors(item_vectors: ArrayLike | str, source: Source, method: Method) -> NDArray[np.float32]:
    given = read_vectors(item_vectors, source) if isinstance(item_vectors, str) else item_vectors
    vectors = np.asarray(given, np.float32)
    if vectors.ndim != 2 or len(vectors) != len(source):
        raise BadInput(f"{source.name} has {len(source)} items, but their vectors are of shape {vectors.shape}.")
    if not np.isfinite(vectors).all():
        row = np.flatnonzero(~np.isfinite(vectors).all(1))[0]
        raise BadInput(f"Row {row} of the vectors of the items holds NaN or infinity.")
    if method.needs_classes:
        raise BadInput(
            "Vectors of items take the place of labels, so they need a method without classes: "
            "SHREWD(classification_weight=0), or --method shrewd --no-labels."
        )
    return vectors


def _tell_centres(codebook: NDArray[np.int8], similarity: NDArray[np.float64]) -> None:
    figures = quality(codebook, similarity)
    log.info(
        "semantic centres: smallest distance %d of %d bits, rank correlation with the similarity %.2f",
        figures["minimum_distance"], figures["bits"], figures["spearman"],
    )  # fmt: skip


def _override(
    settings: TrainingSettings,
    epochs: int | None,
    batch_size: int | None,
    learning_rate: float | None,
    hidden_layers: Sequence[int] | None,
    feature_dropout: float | None,
) -> TrainingSettings:
    if hidden_layers is not None:
        if not all(size >= 1 and size % 1 == 0 for size in hidden_layers):
            raise BadInput(f"The hidden layers are {tuple(hidden_layers)}; give whole numbers from 1 up, or none.")
        settings = replace(settings, hidden_layers=tuple(int(size) for size in hidden_layers))
    if feature_dropout is not None:
        if not 0 <= feature_dropout < 1:
            raise BadInput(f"The feature dropout is {feature_dropout}; it must be at least 0 and below 1.")
        settings = replace(settings, feature_dropout=feature_dropout)
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
