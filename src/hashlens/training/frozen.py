"""Training on frozen features: they are computed once, then the layers behind them are trained."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from hashlens.backbones import Backbone, Features, extract_features
from hashlens.backbones.views import PLAIN
from hashlens.compute.devices import encoding_device
from hashlens.compute.threads import torch_threads
from hashlens.errors import BadInput
from hashlens.progress import Progress
from hashlens.sources import Source
from hashlens.sources.reading import tell_skipped
from hashlens.training.datasets import FeatureDataset, keep_batch
from hashlens.training.division import divide
from hashlens.training.items import TrainingItems, usable_items
from hashlens.training.options import FitOptions
from hashlens.training.processors import processors, shared_out
from hashlens.training.targets import Targets

if TYPE_CHECKING:
    from lightning.fabric import Fabric


@dataclass(frozen=True, kw_only=True)
class FrozenItems(TrainingItems):
    """Features in memory.

    Attributes:
        values: (N, D) float32.
        others: (n, V − 1, D) float32, of other views of the items to train on.
    """

    values: NDArray[np.float32]
    others: NDArray[np.float32]

    def features(self) -> NDArray[np.float32]:
        return self.values

    def trained_backbone(self) -> None:
        return None

    def threads(self) -> AbstractContextManager[None]:
        return torch_threads(1)  # several would wait for each other longer than they compute

    def _loader(self, items: NDArray[np.int64], augment: bool, **options: Any) -> DataLoader:
        views, targets = self.values[items, None], torch.from_numpy(self.targets[items])
        if augment and self.others.size:
            views = np.concatenate([views, self.others], axis=1)
        dataset = FeatureDataset(torch.from_numpy(views), targets, self.seed)
        return DataLoader(dataset, collate_fn=keep_batch, **options)


def frozen_items(
    source: Source,
    targets: Targets,
    backbone: Backbone | None,
    device: torch.device,
    options: FitOptions,
    most_held_out: int,
    progress: Progress,
) -> FrozenItems:
    """The features of a source, and which of them to train on.

    Args:
        backbone: ``None`` where the source holds features.
        most_held_out: items, at most.

    Raises:
        BadInput: too few items can be read and have a target, or none of some class.
    """
    chosen, usable = usable_items(source, targets, options.seed)
    fabric = processors(device)
    features = _extracted(fabric, chosen, backbone, options, progress)
    tell_skipped(features.skipped)
    items = usable[features.items]
    last = backbone.last_dimension if backbone else None
    division = divide(source, targets, items, lambda: features.values[:, :last], options, most_held_out)
    whole = len(division.kept) == len(items)
    values = features.values if whole else features.values[division.kept]  # no copy of what may be gigabytes
    return FrozenItems(
        targets=division.targets,
        training=division.training,
        held_out=division.held_out,
        skipped=features.skipped,
        backbone=backbone,
        dimension=values.shape[1],
        seed=options.seed,
        fabric=fabric,
        values=values,
        others=_other_views(
            fabric, source.select(items[division.kept[division.training]]), backbone, options, progress
        ),
    )


def _extracted(
    fabric: Fabric,
    source: Source,
    backbone: Backbone | None,
    options: FitOptions,
    progress: Progress,
    views: Sequence[int] = (PLAIN,),
    description: str = "Reading images",
) -> Features:
    """Features of a source, of which each process reads its share."""

    def of_share(items: NDArray[np.int64]) -> Features:
        share = source if fabric.world_size == 1 else source.select(items)
        found = extract_features(
            share, backbone, encoding_device(options.device), True, progress, views, description
        )
        return replace(
            found,
            items=items[found.items],
            skipped=[replace(one, item=int(items[one.item])) for one in found.skipped],
        )

    parts = shared_out(fabric, len(source), of_share)
    if len(parts) == 1:
        return parts[0]
    return Features(
        np.concatenate([part.items for part in parts]),
        np.concatenate([part.views for part in parts]),
        [digest for part in parts for digest in part.digests],
        [one for part in parts for one in part.skipped],
    )


def _other_views(
    fabric: Fabric, images: Source, backbone: Backbone | None, options: FitOptions, progress: Progress
) -> NDArray[np.float32]:
    """(n, V − 1, D) features of the views of these images but the first."""
    if options.views == 1 or backbone is None:
        return np.empty((len(images), 0, 0), np.float32)
    numbers = range(1, options.views)
    found = _extracted(fabric, images, backbone, options, progress, numbers, "Other views")
    if found.skipped:
        raise BadInput(f"{found.skipped[0]}, though it could be read a moment ago; give the same command again.")
    return found.views
