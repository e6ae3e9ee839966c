"""Which items of a source can be trained on."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from hashlens.backbones import Backbone, extract_features
from hashlens.errors import BadInput
from hashlens.sources import FeatureArray, ImageSource, Skipped
from hashlens.sources.labels import Labels
from hashlens.sources.reading import find_unreadable, tell_skipped

log = logging.getLogger("hashlens")


@dataclass(frozen=True)
class Prepared:
    """Training items that can be read and have a label.

    ``inputs`` are (N, D) features where the backbone is frozen, else the images.
    """

    inputs: Any
    labels: Labels
    skipped: list[Skipped]


def prepare(
    source: ImageSource | FeatureArray, backbone: Backbone | None, finetune: bool, device: torch.device
) -> Prepared:
    """Find the items of a source that can be read and have a label; features for all where nothing is fine-tuned.

    Raises:
        BadInput: there are too few, or none of some class.
    """
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
    labels = source.labels[kept]
    _check_classes(labels, source)
    return Prepared(inputs, labels, skipped)


def _check_classes(labels: Labels, source: ImageSource | FeatureArray) -> None:
    names = source.class_names
    members = labels.sum(0) if labels.ndim == 2 else np.bincount(labels, minlength=len(names))
    empty = [names[number] for number in np.flatnonzero(members == 0)]
    if empty:
        raise BadInput(f"{source.name} has no readable image of {_quote(empty)}; add some, or remove the class.")
    if len(labels) < 4:
        raise BadInput(f"{source.name} has only {len(labels)} labelled images; that is too few to train on.")


def _quote(names: Sequence[str], most: int = 5) -> str:
    shown = ", ".join(f"'{name}'" for name in names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"
