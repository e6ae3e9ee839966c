"""Class similarity from the training images: the first stage of SHC."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hashlens.classes import check_similarity, confusion_similarity, embedding_similarity, taxonomy_similarity
from hashlens.errors import BadInput
from hashlens.files import read_array, replacing
from hashlens.methods import CentreMethod, TrainingSettings
from hashlens.models import HashLayer, HashNetwork, HiddenLayers
from hashlens.objectives.classification import classification_loss
from hashlens.progress import Progress, silence
from hashlens.sources.labels import as_multi_hot
from hashlens.training.checkpoints import digest_of
from hashlens.training.items import TrainingItems
from hashlens.training.loop import outputs, train

log = logging.getLogger("hashlens")

MOST_SIMILAR = 5


def class_similarity(
    items: TrainingItems,
    method: CentreMethod,
    settings: TrainingSettings,
    class_names: Sequence[str],
    class_distance: NDArray[np.float64] | None = None,
    folder: Path | None = None,
    progress: Progress = silence,
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
        BadInput: the matrix does not fit, or the class distance is missing.
    """
    classes = len(class_names)
    if not isinstance(method.similarity, str):
        found = check_similarity(method.similarity, classes)
    elif method.similarity == "taxonomy":
        found = _nearness(class_distance, class_names)
    elif method.similarity == "class-means":
        found = embedding_similarity(_class_means(items, classes))
    else:
        found = _confusion(items, settings, classes, folder, progress)
    if method.taxonomy_weight:
        of_taxonomy = _nearness(class_distance, class_names)
        found = (1 - method.taxonomy_weight) * found + method.taxonomy_weight * of_taxonomy
    _tell_pairs(found, class_names)
    return found


def _nearness(class_distance: NDArray[np.float64] | None, class_names: Sequence[str]) -> NDArray[np.float64]:
    if class_distance is None:
        raise BadInput("The similarity of the classes is to follow a taxonomy; give one.")
    return taxonomy_similarity(class_distance, class_names)


def _items_of_all_classes(items: TrainingItems, classes: int) -> NDArray[np.int64]:
    """The training items, and held-out ones of classes that would have none: a label set may be a class's only."""
    marks = as_multi_hot(items.targets, classes)
    missing = ~marks[items.training].any(0)
    return np.concatenate([items.training, items.held_out[marks[items.held_out][:, missing].any(1)]])


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
    items: TrainingItems, settings: TrainingSettings, classes: int, folder: Path | None, progress: Progress
) -> NDArray[np.float64]:
    asked = _items_of_all_classes(items, classes)
    labels = items.targets[asked]
    kept = None
    if folder is not None and items.backbone is not None:
        key = np.frombuffer(f"{items.backbone.fingerprint()} {asdict(settings)} {items.seed}".encode(), np.uint8)
        kept = folder / f"similarity-{digest_of(key, labels, asked)[:16]}.npy"
        if kept.is_file():
            return check_similarity(read_array(kept, "a class similarity"), classes)
    with torch.random.fork_rng():
        torch.manual_seed(items.seed)
        hidden = HiddenLayers(items.dimension, settings.hidden_layers, settings.hidden_dropout)
        layer = _Classifier(hidden.out_features, classes)
        network = HashNetwork(items.trained_backbone(), hidden, layer, settings.feature_dropout)
        train(items, network, _ClassificationOfLogits(), settings, progress=progress, purpose="classifier")
    found = confusion_similarity(outputs(items, network, asked), labels)
    if kept is not None:
        kept.parent.mkdir(parents=True, exist_ok=True)
        with replacing(kept) as temporary:
            np.save(temporary, found)
    return found


def _class_means(items: TrainingItems, classes: int) -> NDArray[np.float64]:
    asked = _items_of_all_classes(items, classes)
    marks = as_multi_hot(items.targets[asked], classes).astype(np.float64)
    return (marks.T @ items.features()[asked]) / marks.sum(0)[:, None]


def _tell_pairs(similarity: NDArray[np.float64], class_names: Sequence[str]) -> None:
    upper = np.triu(similarity, 1)
    for place in np.argsort(-upper, axis=None)[:MOST_SIMILAR]:
        one, two = np.unravel_index(place, upper.shape)
        if upper[one, two] > 0:
            log.info("most alike: %s and %s, %.2f", class_names[one], class_names[two], upper[one, two])
