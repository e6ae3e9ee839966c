"""Which items to train on, and which to hold out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashlens.sources import Source
from hashlens.training.items import check_enough
from hashlens.training.label_spreading import with_spread_labels
from hashlens.training.options import FitOptions
from hashlens.training.split import hold_out
from hashlens.training.targets import Targets


@dataclass(frozen=True)
class Division:
    """What is trained on.

    Attributes:
        kept: (n,) places, among the items that could be read, of those with a target.
        targets: (n, …) theirs.
        training, held_out: numbers among them, ascending.
    """

    kept: NDArray[np.int64]
    targets: NDArray[Any]
    training: NDArray[np.int64]
    held_out: NDArray[np.int64]


def divide(
    source: Source,
    targets: Targets,
    items: NDArray[np.int64],
    features: Callable[[], NDArray[np.float32]],
    options: FitOptions,
    most_held_out: int,
) -> Division:
    """Give targets to items that have none, if that is asked for, and hold some of the others out.

    Args:
        items: (m,) numbers of those that could be read and have a target or may get one.
        features: gives (m, D) of them.
        most_held_out: items, at most.

    Raises:
        BadInput: too few items can be read and have a target, or none of some class.
    """
    given = targets.usable[items]
    check_enough(source, targets, items[given])
    if targets.spread:
        targets = with_spread_labels(targets, features(), items)
    kept = np.flatnonzero(targets.usable[items])
    values = targets.values[items[kept]]
    own = np.flatnonzero(given[kept])  # a target that was guessed says nothing of how good the guess is
    held_out = own[hold_out(values[own], options.held_out_share, options.seed, most_held_out)[1]]
    return Division(kept, values, np.setdiff1d(np.arange(len(kept)), held_out), held_out)
