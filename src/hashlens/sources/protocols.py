"""The splits of CIFAR-10 that papers on hashing evaluate by."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hashlens.errors import BadInput
from hashlens.sources.named import open_named
from hashlens.sources.opener import Opener
from hashlens.sources.source import Source

QUERIES_PER_CLASS = 100
TRAINING_PER_CLASS = {"cifar10-i": 500, "cifar10-ii": None}  # None: the whole database
SPLITS = ("train", "queries", "database")


def draw_protocol(
    labels: NDArray[np.integer],
    training_per_class: int | None = 500,
    seed: int = 0,
    queries_per_class: int = QUERIES_PER_CLASS,
) -> dict[str, NDArray[np.int64]]:
    """Draw queries and training images; the database is all that are not queries.

    Args:
        labels: (N,) class numbers.
        training_per_class: number of images of each class to train on, drawn from the database; ``None`` for the
            whole database.
        seed: of the draw.
        queries_per_class: number of queries of each class.

    Returns:
        Positions of ``train``, ``queries`` and ``database``.

    Raises:
        BadInput: a class has too few images.

    Example:
        >>> drawn = draw_protocol(np.arange(10_000) % 10)
        >>> {split: len(items) for split, items in drawn.items()}
        {'train': 5000, 'queries': 1000, 'database': 9000}
    """
    random = np.random.default_rng(seed)
    queries, training = [], []
    for number in np.unique(labels):
        members = random.permutation(np.flatnonzero(labels == number))
        if len(members) <= queries_per_class + (training_per_class or 0):
            raise BadInput(f"Class {number} has {len(members)} images, which are too few for the protocol.")
        queries.append(members[:queries_per_class])
        training.append(members[queries_per_class:][:training_per_class])
    asked = np.concatenate(queries)
    database = np.setdiff1d(np.arange(len(labels)), asked)
    train = database if training_per_class is None else np.concatenate(training)
    return {"train": train, "queries": asked, "database": database}


@dataclass(frozen=True)
class Protocol:
    """Images, and what of them trains, asks and is searched.

    Attributes:
        images: all of them.
        draw: from a seed to the positions of each of :data:`SPLITS`.

    Example:
        >>> import hashlens as hl
        >>> digits = hl.open_source("digits")
        >>> protocol = Protocol(digits, lambda seed: draw_protocol(digits.labels, 20, seed, queries_per_class=10))
        >>> protocol.parts(seed=0)["train"]
        Selection('digits', 200 items, 10 classes)
    """

    images: Source
    draw: Callable[[int], dict[str, NDArray[np.int64]]]

    def parts(self, seed: int) -> dict[str, Source]:
        """The three sources, as the seed draws them."""
        return {split: self.images.select(items) for split, items in self.draw(seed).items()}


def open_protocol(name: str) -> Protocol:
    """A protocol by name.

    Raises:
        BadInput: there is none of that name, or its images cannot be had.
    """
    if name not in TRAINING_PER_CLASS:
        raise BadInput(f"There is no protocol '{name}'; use one of {', '.join(TRAINING_PER_CLASS)}.")
    images = open_named("cifar10")
    labels = np.asarray(images.labels, np.int64)
    return Protocol(images, lambda seed: draw_protocol(labels, TRAINING_PER_CLASS[name], seed))


def _open(name: str, split: str | None) -> Source:
    part, mark, seed = (split or "").partition("@")
    if part not in SPLITS or (mark and not (seed.isascii() and seed.isdecimal())):
        raise BadInput(
            f"{name} has the splits {', '.join(SPLITS)}, drawn by seed 0, or by that after an @ as in "
            f"{name}:train@1, not '{split or ''}'."
        )
    return open_protocol(name).parts(int(seed or 0))[part]


OPENER = Opener(
    f"a protocol, {' or '.join(TRAINING_PER_CLASS)} (with :{', :'.join(SPLITS)})",
    TRAINING_PER_CLASS.__contains__,
    _open,
)
