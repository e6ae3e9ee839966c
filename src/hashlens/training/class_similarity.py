"""Class similarity from the training images: the first stage of SHC."""

from __future__ import annotations

import copy
import logging
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hashlens.backbones import extract_features
from hashlens.classes import check_similarity, confusion_similarity, embedding_similarity, taxonomy_similarity
from hashlens.files import read_array, replacing
from hashlens.methods import CentreMethod, TrainingSettings
from hashlens.models import HashLayer, HashNetwork, HiddenLayers
from hashlens.objectives.classification import classification_loss
from hashlens.sources.labels import as_multi_hot
from hashlens.training.checkpoints import digest_of
from hashlens.training.run import Task, outputs, train

log = logging.getLogger("hashlens")

MOST_SIMILAR = 5


def class_similarity(
    task: Task,
    method: CentreMethod,
    settings: TrainingSettings,
    class_names: Sequence[str],
    class_distance: NDArray[np.float64] | None = None,
    folder: Path | None = None,
) -> NDArray[np.float64]:
    """How alike the classes are, as the semantic centres of a method need it.

    Args:
        method: its ``similarity`` is ``"confusion"``: a classifier is trained as the hash network will be, on
            the same images, and asked what it confuses; ``"class-means"``: cosines between the means of the
            pretrained features of each class; ``"taxonomy"``: nearness in ``class_distance``; or a (C, C)
            matrix. Its ``taxonomy_weight`` mixes the nearness in ``class_distance`` in.
        class_distance: (C, C), where the method needs it.
        folder: where to keep the confusion of a classifier that was trained end to end, so that an
            interrupted training need not repeat it.

    Returns:
        (C, C) float64.

    Raises:
        BadInput: the matrix does not fit.
    """
    if not isinstance(method.similarity, str):
        found = check_similarity(method.similarity, len(class_names))
    elif method.similarity == "taxonomy":
        assert class_distance is not None
        found = taxonomy_similarity(class_distance, class_names)
    else:
        items = _items_of_all_classes(task, len(class_names))
        if method.similarity == "class-means":
            found = embedding_similarity(_class_means(task, items, len(class_names)))
        else:
            found = _confusion(task, items, settings, len(class_names), folder)
    if method.taxonomy_weight:
        assert class_distance is not None
        of_taxonomy = taxonomy_similarity(class_distance, class_names)
        found = (1 - method.taxonomy_weight) * found + method.taxonomy_weight * of_taxonomy
    _tell_pairs(found, class_names)
    return found


def _items_of_all_classes(task: Task, classes: int) -> NDArray[np.int64]:
    """The training items, and held-out ones of classes that would have none: a label set may be a class's only."""
    held_out = task.held_out
    marks = as_multi_hot(task.prepared.targets, classes)
    missing = ~marks[task.train_items].any(0)
    return np.concatenate([task.train_items, held_out[marks[held_out][:, missing].any(1)]])


class _Classifier(HashLayer):
    """Features to logits: a hash layer whose bits are classes."""

    def __init__(self, dimension: int, classes: int) -> None:
        super().__init__(dimension, classes, bias=True)

    def forward(self, features: Tensor) -> Tensor:
        return self.linear(features)


class _ClassificationOfLogits(nn.Module):
    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        return classification_loss(logits, targets)


def _confusion(
    task: Task, items: NDArray[np.int64], settings: TrainingSettings, classes: int, folder: Path | None
) -> NDArray[np.float64]:
    labels = task.prepared.targets[items]
    kept = None
    if folder is not None:
        assert task.backbone is not None
        key = np.frombuffer(f"{task.backbone.fingerprint()} {asdict(settings)} {task.seed}".encode(), np.uint8)
        kept = folder / f"similarity-{digest_of(key, labels, items)[:16]}.npy"
        if kept.is_file():
            return check_similarity(read_array(kept, "a class similarity"), classes)
    with torch.random.fork_rng():
        torch.manual_seed(task.seed)
        backbone = copy.deepcopy(task.backbone) if task.finetune else None
        hidden = HiddenLayers(task.dimension, settings.hidden_layers, settings.hidden_dropout)
        network = HashNetwork(backbone, hidden, _Classifier(hidden.out_features, classes), settings.feature_dropout)
        best = train(task, network, _ClassificationOfLogits(), settings, purpose="classifier")
    network.load_state_dict(best.weights)
    found = confusion_similarity(outputs(task, network, items), labels)
    if kept is not None:
        kept.parent.mkdir(parents=True, exist_ok=True)
        with replacing(kept) as temporary:
            np.save(temporary, found)
    return found


def _class_means(task: Task, items: NDArray[np.int64], classes: int) -> NDArray[np.float64]:
    features = task.prepared.inputs
    if task.finetune:
        features = torch.from_numpy(extract_features(features, task.backbone, task.device).values)
    marks = as_multi_hot(task.prepared.targets[items], classes).astype(np.float64)
    return (marks.T @ features[items].numpy()) / marks.sum(0)[:, None]


def _tell_pairs(similarity: NDArray[np.float64], class_names: Sequence[str]) -> None:
    upper = np.triu(similarity, 1)
    for place in np.argsort(-upper, axis=None)[:MOST_SIMILAR]:
        one, two = np.unravel_index(place, upper.shape)
        if upper[one, two] > 0:
            log.info("most alike: %s and %s, %.2f", class_names[one], class_names[two], upper[one, two])
