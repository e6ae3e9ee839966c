"""Which items of a source can be trained on."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hashlens.backbones import Backbone, extract_features
from hashlens.errors import BadInput
from hashlens.sources import Skipped, Source
from hashlens.sources.labels import Labels
from hashlens.sources.reading import find_unreadable, tell_skipped

log = logging.getLogger("hashlens")


@dataclass(frozen=True)
class Prepared:
    """Training items that can be read and have a target.

    Attributes:
        inputs: (N, D) features where the backbone is frozen, else the images.
        targets: (N,) classes, (N, C) multi-hot, or (N, V) float32 vectors that say what items mean.
        skipped: what could not be read.
    """

    inputs: Any
    targets: NDArray[Any]
    skipped: list[Skipped]


def prepare(
    source: Source,
    item_vectors: NDArray[np.float32] | None,
    backbone: Backbone | None,
    finetune: bool,
    device: torch.device,
) -> Prepared:
    """Find the items of a source that can be read and have a target; features for all where nothing is fine-tuned.

    Args:
        item_vectors: (N, V), where they are the targets instead of the labels; a zero vector is none.

    Raises:
        BadInput: there are too few, or none of some class.
    """
    targets: NDArray[Any]
    if item_vectors is not None:
        targets, usable, what = item_vectors, np.flatnonzero(item_vectors.any(1)), "vector"
    else:
        assert source.labels is not None
        targets, usable, what = source.labels, np.flatnonzero(source.has_label()), "label"
    if len(usable) < len(source):
        log.warning("%d of %d items have no %s and are left out", len(source) - len(usable), len(source), what)
        source, targets = source.select(usable), targets[usable]
    if finetune:
        skipped = find_unreadable(source)
        kept = np.setdiff1d(np.arange(len(source)), [one.item for one in skipped])
        inputs: Any = source.select(kept)
    else:
        features = extract_features(source, backbone, device)
        skipped, kept, inputs = features.skipped, features.items, torch.from_numpy(features.values)
    tell_skipped(skipped)
    if not len(kept):
        raise BadInput(f"{source.name} has no image with a {what} that can be read.")
    if item_vectors is None:
        _check_classes(targets[kept], source)
    if len(kept) < 4:
        raise BadInput(f"{source.name} has only {len(kept)} images with a {what}; that is too few to train on.")
    return Prepared(inputs, targets[kept], skipped)


def _check_classes(labels: Labels, source: Source) -> None:
    names = source.class_names
    members = labels.sum(0) if labels.ndim == 2 else np.bincount(labels, minlength=len(names))
    empty = [names[number] for number in np.flatnonzero(members == 0)]
    if empty:
        raise BadInput(f"{source.name} has no readable image of {_quote(empty)}; add some, or remove the class.")


def _quote(names: Sequence[str], most: int = 5) -> str:
    shown = ", ".join(f"'{name}'" for name in names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"
