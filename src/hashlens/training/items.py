"""What is trained on: items that can be read and have a target, some of them held out."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from hashlens.backbones import Backbone
from hashlens.counting import counted
from hashlens.errors import BadInput
from hashlens.sources import Skipped, Source
from hashlens.training.datasets import ShuffleByEpoch
from hashlens.training.targets import Targets

if TYPE_CHECKING:
    from lightning.fabric import Fabric

log = logging.getLogger("hashlens")

FEWEST = 4
EVALUATION_BATCH = 256
MOST_WITHOUT = 30_000  # items without a label that are given one; more take too long to compare


@dataclass(frozen=True, kw_only=True)
class TrainingItems(ABC):
    """Items to train on, and how batches of them reach a network.

    Attributes:
        targets: (N,) classes, (N, C) multi-hot, or (N, V) float32 vectors that say what items mean.
        training, held_out: numbers of the items to train on, and of those to choose the best epoch by.
        skipped: what could not be read, and is not among the items.
        backbone: pretrained; ``None`` for given features.
        dimension: D, length of a feature.
        seed: of the order of batches, and of augmentation.
        fabric: the processors that train.
    """

    targets: NDArray[Any]
    training: NDArray[np.int64]
    held_out: NDArray[np.int64]
    skipped: list[Skipped]
    backbone: Backbone | None
    dimension: int
    seed: int
    fabric: Fabric

    @abstractmethod
    def features(self) -> NDArray[np.float32]:
        """(N, D), as the pretrained backbone computes them or as they were given."""

    @abstractmethod
    def trained_backbone(self) -> Backbone | None:
        """What a network that is to be trained on these items starts with; ``None`` for features."""

    @abstractmethod
    def _loader(self, items: NDArray[np.int64], augment: bool, **options: Any) -> DataLoader: ...

    def training_batches(self, order: ShuffleByEpoch, batch_size: int) -> DataLoader:
        """Batches of this process's share of the items to train on, augmented where they are images.

        Args:
            batch_size: of the batches of all processes together.

        Raises:
            BadInput: there are too few items to share.
        """
        batch = min(batch_size // self.fabric.world_size, len(order))
        if batch * self.fabric.world_size < 2 or not batch:
            raise BadInput(
                f"{len(self.training)} training images in batches of {batch_size} are too few for "
                f"{self.fabric.world_size} devices."
            )
        return self._loader(self.training, True, batch_size=batch, drop_last=True, sampler=order)

    def batches(self, items: NDArray[np.int64]) -> DataLoader:
        """These items in order, not augmented."""
        return self._loader(items, False, batch_size=EVALUATION_BATCH)

    def threads(self) -> AbstractContextManager[None]:
        """A context in which training uses as many threads as serve it."""
        return nullcontext()


def usable_items(source: Source, targets: Targets, seed: int) -> tuple[Source, NDArray[np.int64]]:
    """The source of the items that have a target or may get one, and their numbers; tells how many have none.

    Args:
        seed: to draw from too many items without a target.
    """
    usable = np.flatnonzero(targets.usable)
    if targets.spread:
        without = np.random.default_rng(seed).permutation(np.flatnonzero(~targets.usable))[:MOST_WITHOUT]
        usable = np.sort(np.concatenate([usable, without]))
    if len(usable) == len(source):
        return source, usable
    log.warning("%d of %d items have no %s and are left out", len(source) - len(usable), len(source), targets.noun)
    return source.select(usable), usable


def check_enough(source: Source, targets: Targets, items: NDArray[np.int64]) -> None:
    """Refuse to train on too few items, or on none of some class.

    Args:
        items: numbers of those that have a target and can be read.

    Raises:
        BadInput: see above.
    """
    if not len(items):
        raise BadInput(f"{source.name} has no image with a {targets.noun} that can be read.")
    missing = targets.missing_classes(items)
    if missing:
        items_there = "readable image" if source.feature_dimension is None else "item"
        raise BadInput(f"{source.name} has no {items_there} of {_quote(missing)}; add some, or remove the class.")
    if len(items) < FEWEST:
        there = counted(len(items), "image", "images")
        raise BadInput(f"{source.name} has only {there} with a {targets.noun}; that is too few to train on.")


def _quote(names: Sequence[str], most: int = 5) -> str:
    shown = ", ".join(f"'{name}'" for name in names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"
