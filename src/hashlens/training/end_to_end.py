"""Training end to end: images go through the backbone, which is trained too."""

from __future__ import annotations

import copy
import os
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from hashlens.backbones import Backbone, extract_features
from hashlens.methods import TrainingSettings
from hashlens.methods.settings import Augmentation
from hashlens.progress import Progress
from hashlens.sources import Skipped, Source
from hashlens.sources.reading import find_unreadable, tell_skipped
from hashlens.training.datasets import PixelDataset
from hashlens.training.division import divide
from hashlens.training.frozen import FrozenItems
from hashlens.training.items import TrainingItems, usable_items
from hashlens.training.options import FitOptions
from hashlens.training.processors import processors, shared_out
from hashlens.training.targets import Targets

MOST_WORKERS = 8
STRIDE = 32  # pixels to one of the last layer, in most networks


@dataclass(frozen=True, kw_only=True)
class ImageItems(TrainingItems):
    """Images, decoded by other processes as they are needed.

    Attributes:
        images: N readable images.
        augmentation: of the images to train on, see :class:`hashlens.methods.TrainingSettings`.
        training_size: side in pixels of the images to train on.
        progress: of computing features, where they are asked for.
    """

    backbone: Backbone
    images: Source
    augmentation: Augmentation
    training_size: int
    progress: Progress

    def features(self) -> NDArray[np.float32]:
        return extract_features(self.images, self.backbone, self.fabric.device, progress=self.progress).values

    def trained_backbone(self) -> Backbone:
        return copy.deepcopy(self.backbone)

    def frozen(self) -> FrozenItems:
        """The same items as features of the pretrained backbone."""
        values = self.features()
        return FrozenItems(
            targets=self.targets,
            training=self.training,
            held_out=self.held_out,
            skipped=[],
            backbone=None,
            dimension=self.dimension,
            seed=self.seed,
            fabric=self.fabric,
            values=values,
            others=np.empty((len(self.training), 0, self.dimension), np.float32),
        )

    def _loader(self, items: NDArray[np.int64], augment: bool, **options: Any) -> DataLoader:
        targets, preprocessing = torch.from_numpy(self.targets[items]), self.backbone.preprocessing
        augmentation = self.augmentation if augment else None
        if augment:
            preprocessing = replace(preprocessing, image_size=self.training_size)
        return DataLoader(
            PixelDataset(self.images.select(items), targets, preprocessing, augmentation, self.seed),
            num_workers=min(max(1, (os.cpu_count() or 2) - 1), MOST_WORKERS),
            pin_memory=torch.cuda.is_available(),
            persistent_workers=True,
            **options,
        )


def image_items(
    source: Source,
    targets: Targets,
    backbone: Backbone,
    device: torch.device,
    options: FitOptions,
    settings: TrainingSettings,
    most_held_out: int,
    progress: Progress,
) -> ImageItems:
    """The readable images of a source, and which of them to train on.

    Args:
        settings: how images are augmented, and whether precision is mixed.
        most_held_out: images, at most.

    Raises:
        BadInput: too few images can be read and have a target, or none of some class.
    """
    chosen, usable = usable_items(source, targets, options.seed)
    fabric = processors(device, options.devices, mixed=settings.mixed_precision)

    def unreadable(items: NDArray[np.int64]) -> list[Skipped]:
        found = find_unreadable(chosen.select(items), progress)
        return [replace(one, item=int(items[one.item])) for one in found]

    skipped = [one for found in shared_out(fabric, len(chosen), unreadable) for one in found]
    tell_skipped(skipped)
    items = np.delete(usable, [one.item for one in skipped])

    def features() -> NDArray[np.float32]:
        return extract_features(source.select(items), backbone, fabric.device, progress=progress).values

    division = divide(source, targets, items, features, options, most_held_out)
    return ImageItems(
        targets=division.targets,
        training=division.training,
        held_out=division.held_out,
        skipped=skipped,
        backbone=backbone,
        dimension=backbone.dimension,
        seed=options.seed,
        fabric=fabric,
        images=source.select(items[division.kept]),
        augmentation=settings.augmentation,
        training_size=_training_size(backbone, settings.training_size),
        progress=progress,
    )


def _training_size(backbone: Backbone, share: float) -> int:
    """Side in pixels of the images to train on: that share of the backbone's own in whole strides, if it fits."""
    size = backbone.preprocessing.image_size
    smaller = STRIDE * round(share * size / STRIDE)
    return smaller if 0 < smaller < size and backbone.takes(smaller) else size
