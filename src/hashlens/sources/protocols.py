"""The splits that papers on hashing evaluate by, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hashlens.errors import BadInput
from hashlens.sources.folder_protocols import FOLDER_PROTOCOLS, SPLITS, folder_protocol, is_folder_protocol
from hashlens.sources.named import open_named
from hashlens.sources.opener import Opener
from hashlens.sources.source import Source

QUERIES_PER_CLASS = 100
TRAINING_PER_CLASS = {"cifar10-i": 500, "cifar10-ii": None}  # None: the whole database


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
    """What trains, asks and is searched.

    Attributes:
        parts: from a seed to the sources of each of :data:`SPLITS`.

    Example:
        >>> import hashlens as hl
        >>> digits = hl.open_source("digits")
        >>> protocol = drawn_from(digits, lambda seed: draw_protocol(digits.labels, 20, seed, queries_per_class=10))
        >>> protocol.parts(0)["train"]
        Selection('digits', 200 items, 10 classes)
    """

    parts: Callable[[int], Mapping[str, Source]]


def drawn_from(images: Source, draw: Callable[[int], dict[str, NDArray[np.int64]]]) -> Protocol:
    """The protocol that ``draw`` makes of images, from a seed to positions; see :class:`Protocol`."""
    return Protocol(lambda seed: {split: images.select(items) for split, items in draw(seed).items()})


def is_protocol(text: str) -> bool:
    """Whether :func:`open_protocol` knows this name.

    Example:
        >>> is_protocol("cifar10-i"), is_protocol("coco=/data/coco"), is_protocol("cifar10")
        (True, True, False)
    """
    return text in TRAINING_PER_CLASS or is_folder_protocol(text)


def published_depth(text: str) -> int | None:
    """How deep the mAP is that the papers of a protocol report; ``None`` for the whole database, or no protocol.

    Example:
        >>> published_depth("coco=/data/coco"), published_depth("cifar10-i")
        (5000, None)
    """
    return FOLDER_PROTOCOLS[text.partition("=")[0]].depth if is_folder_protocol(text) else None


def open_protocol(name: str) -> Protocol:
    """A protocol by name, of those that are drawn, or NAME=FOLDER.

    Raises:
        BadInput: there is none of that name, or its images cannot be had.
    """
    if is_folder_protocol(name):
        protocol, folder = folder_protocol(name)
        parts = protocol.parts(folder)  # whatever the seed
        return Protocol(lambda seed: parts)
    if name not in TRAINING_PER_CLASS:
        raise BadInput(
            f"There is no protocol '{name}'; use one of {', '.join((*TRAINING_PER_CLASS, *FOLDER_PROTOCOLS))}."
        )
    images = open_named("cifar10")
    labels = np.asarray(images.labels, np.int64)
    return drawn_from(images, lambda seed: draw_protocol(labels, TRAINING_PER_CLASS[name], seed))


def _open(name: str, split: str | None) -> Source:
    if not split:
        raise BadInput(f"{name} has the splits {', '.join(SPLITS)}; say which, as in {name}:train.")
    if is_folder_protocol(name):
        protocol, folder = folder_protocol(name)
        if split not in SPLITS:
            raise BadInput(f"{name} has the splits {', '.join(SPLITS)}, not '{split}'.")
        return protocol.open(folder, split)
    part, mark, seed = split.partition("@")
    if part not in SPLITS or (mark and not (seed.isascii() and seed.isdecimal())):
        raise BadInput(
            f"{name} has the splits {', '.join(SPLITS)}, drawn by seed 0, or by that after an @ as in "
            f"{name}:train@1, not '{split}'."
        )
    return open_protocol(name).parts(int(seed or 0))[part]


OPENER = Opener(
    f"a protocol, {', '.join(TRAINING_PER_CLASS)} or one of {', '.join(FOLDER_PROTOCOLS)} followed by =FOLDER "
    f"(with :{', :'.join(SPLITS)})",
    is_protocol,
    _open,
)
