"""What the training loop draws its batches from: features in memory, or images decoded as they are needed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from hashlens.backbones import Preprocessing
from hashlens.methods.settings import Augmentation
from hashlens.sources import Source
from hashlens.training.augmentation import augmented

Batch = tuple[Tensor, Tensor, Tensor]  # inputs, targets, item numbers


class FeatureDataset(Dataset):
    """Features and targets; a batch is one indexing operation.

    Items are asked for by the numbers of :class:`ShuffleByEpoch`. Which view of an item a batch has is drawn by the
    seed and these numbers.

    Args:
        views: (N, V, D) features.
        targets: (N,) or (N, C).
    """

    def __init__(self, views: Tensor, targets: Tensor, seed: int = 0) -> None:
        self._views = views
        self._targets = targets
        self._seed = seed

    def __len__(self) -> int:
        return len(self._views)

    def __getitems__(self, items: Sequence[int]) -> Batch:
        numbers = torch.as_tensor(items)
        chosen = numbers % len(self)
        if self._views.shape[1] == 1:
            return self._views[chosen, 0], self._targets[chosen], chosen
        generator = torch.Generator().manual_seed(seed_for(self._seed, int(numbers[0])))
        view = torch.randint(self._views.shape[1], numbers.shape, generator=generator)
        return self._views[chosen, view], self._targets[chosen], chosen


class PixelDataset(Dataset):
    """Readable images of a source as the backbone takes them, and their targets.

    Items are asked for by the numbers of :class:`ShuffleByEpoch`. What is done to an image at random depends
    on the seed, the epoch and the item alone, so that training can resume.

    Args:
        targets: (N,) or (N, C), one for each item of ``source``.
        augmentation: see :class:`hashlens.methods.TrainingSettings`; ``None`` to show images as they are.
    """

    def __init__(
        self,
        source: Source,
        targets: Tensor,
        preprocessing: Preprocessing,
        augmentation: Augmentation | None,
        seed: int = 0,
    ) -> None:
        self._source = source
        self._targets = targets
        self._preprocessing = preprocessing
        self._augmentation = augmentation
        self._seed = seed

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, number: int) -> Batch:
        item = number % len(self)
        if self._augmentation is None:
            pixels = self._preprocessing(self._source.image(item, self._preprocessing.resized))
        else:
            image = self._source.image(item, 2 * self._preprocessing.image_size)
            with torch.random.fork_rng(devices=[]):
                torch.default_generator.manual_seed(seed_for(self._seed, number))
                pixels = augmented(image, self._augmentation, self._preprocessing)
        return pixels, self._targets[item], torch.tensor(item)


class ShuffleByEpoch(Sampler[int]):
    """A new order for each epoch that depends on the seed and the epoch alone, so that training can resume.

    Yields epoch · N + item, so that the data set, which may live in another process, knows the epoch.

    Args:
        count: N.
        part, parts: of several processes, that which this one is; all get equally many items.

    Example:
        >>> halves = [ShuffleByEpoch(6, seed=0, part=part, parts=2) for part in (0, 1)]
        >>> sorted(item for half in halves for item in half)
        [0, 1, 2, 3, 4, 5]
    """

    def __init__(self, count: int, seed: int, part: int = 0, parts: int = 1) -> None:
        self._count = count
        self._seed = seed
        self._part, self._parts = part, parts
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """To be called before the batches of an epoch are drawn."""
        self._epoch = epoch

    def __len__(self) -> int:
        return self._count // self._parts

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(seed_for(self._seed, self._epoch))
        order = torch.randperm(self._count, generator=generator)[: len(self) * self._parts]
        yield from (order[self._part :: self._parts] + self._epoch * self._count).tolist()


def seed_for(seed: int, number: int) -> int:
    """A seed for one of many uses of random numbers in a training that has a seed itself.

    Example:
        >>> seed_for(seed=2, number=5)
        2000011
    """
    return (seed * 1_000_003 + number) % 2**63


def keep_batch(batch: Any) -> Any:
    """The collation of a data set that makes whole batches itself."""
    return batch
