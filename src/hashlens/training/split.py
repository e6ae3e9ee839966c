"""Which training images to hold out, to see how the training goes on images it has not seen."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

SMALLEST_CLASS = 8  # images; a smaller class is needed whole for training
SMALLEST_HELD_OUT = 20
LARGEST_HELD_OUT = 10_000  # more would make the figure more exact than it need be, and each epoch slower


def hold_out(
    targets: NDArray[Any], share: float, seed: int, at_most: int = LARGEST_HELD_OUT
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Split items into those to train on and those to validate on.

    Held-out images search among each other, so a class gives at least two of its images or none, and never
    all. Items with label sets or vectors are drawn at random.

    Args:
        targets: (N,) class numbers, or (N, C) multi-hot or vectors.
        share: of the items, in [0, 1).
        at_most: this many items.

    Returns:
        Numbers of the training and of the held-out items, ascending; nothing is held out where ``share`` is
        0 or the data are too few for a meaningful figure.
    """
    random = np.random.default_rng(seed)
    count = len(targets)
    share = min(share, at_most / count)
    if targets.ndim == 2:
        held_out = np.sort(random.permutation(count)[: min(round(share * count), count - 2)])
    else:
        chosen = [np.empty(0, np.int64)]
        for number in np.unique(targets):
            members = np.flatnonzero(targets == number)
            if share > 0 and len(members) >= SMALLEST_CLASS:
                wanted = min(max(2, round(share * len(members))), len(members) - 1)
                chosen.append(random.permutation(members)[:wanted])
        held_out = np.sort(np.concatenate(chosen))
    if len(held_out) < SMALLEST_HELD_OUT:
        held_out = np.empty(0, np.int64)
    return np.setdiff1d(np.arange(count), held_out), held_out
