"""Labels for items that have none, from those that have one and lie near (Zhou et al., NIPS 2003)."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from hashlens.sources.feature_array import unit_length
from hashlens.sources.labels import NO_LABEL
from hashlens.training.targets import Targets

log = logging.getLogger("hashlens")

NEIGHBOURS = 20
ALPHA = 0.9  # what an item takes from its neighbours; it keeps the rest
STEPS = 50
SHARPNESS = 10.0
CONFIDENT = 0.6  # of the items without a label are given one
BLOCK = 1024


def spread_labels(
    features: NDArray[np.float32], labels: NDArray[np.int64], classes: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """A label for every item: iterate Z ← α·S·Z + (1 − α)·Y, and take the largest entry of each row.

    "Learning with Local and Global Consistency", section 2, with S = D^(−1/2)·W·D^(−1/2) and Y the given labels.
    Deviation: W joins an item to its 20 nearest by cosine (in either direction), with weight exp(10·(cosine − 1)),
    so that it is sparse.

    Args:
        features: (N, D).
        labels: (N,) class numbers, −1 for none.
        classes: C.

    Returns:
        (N,) class numbers, and (N,) how much of the row they have, in [0, 1]; given labels stay, with 1. An item
        that nothing reaches has 0.

    Example:
        >>> features = np.array([[1, 0], [1, 0.1], [0.1, 1], [0, 1]], np.float32)
        >>> spread_labels(features, np.array([0, -1, -1, 1]), classes=2)[0].tolist()
        [0, 0, 1, 1]
    """
    graph = _nearest_by_cosine(features)
    root = 1 / np.sqrt(np.maximum(np.asarray(graph.sum(1)).ravel(), 1e-12))
    normalised = sparse.diags_array(root) @ graph @ sparse.diags_array(root)
    given = np.flatnonzero(labels != NO_LABEL)
    start = np.zeros((len(labels), classes))
    start[given, labels[given]] = 1
    found = start
    for _ in range(STEPS):
        found = ALPHA * (normalised @ found) + (1 - ALPHA) * start
    spread, total = found.argmax(1), found.sum(1)
    share = found.max(1) / np.where(total > 0, total, 1)
    spread[given], share[given] = labels[given], 1
    return spread, share


def with_spread_labels(targets: Targets, features: NDArray[np.float32], items: NDArray[np.int64]) -> Targets:
    """Targets in which the surest of the items without a label have that of their neighbours.

    Args:
        features: (n, D) of the items.
        items: (n,) numbers of the items that could be read.
    """
    labels = targets.values[items]
    spread, share = spread_labels(features, labels, len(targets.class_names))
    without = np.flatnonzero(labels == NO_LABEL)
    sure = without[np.argsort(-share[without], kind="stable")[: round(CONFIDENT * len(without))]]
    sure = sure[share[sure] > 0]
    values = targets.values.copy()
    values[items[sure]] = spread[sure]
    log.info("%d of %d items without a label are given that of their neighbours", len(sure), len(without))
    return replace(targets, values=values, usable=values != NO_LABEL)


def _nearest_by_cosine(features: NDArray[np.float32]) -> sparse.csr_array:
    """(N, N) weights, symmetric."""
    unit = unit_length(features - features.mean(0))
    count = min(NEIGHBOURS, len(unit) - 1)
    rows, columns, weights = [], [], []
    for first in range(0, len(unit), BLOCK):
        cosines = unit[first : first + BLOCK] @ unit.T
        own = np.arange(len(cosines))
        cosines[own, first + own] = -np.inf  # nobody is their own neighbour
        nearest = np.argpartition(-cosines, count - 1, axis=1)[:, :count]
        rows.append(np.repeat(first + own, count))
        columns.append(nearest.ravel())
        weights.append(np.exp(SHARPNESS * (np.take_along_axis(cosines, nearest, 1).ravel() - 1)))
    entries = np.concatenate(weights), (np.concatenate(rows), np.concatenate(columns))
    graph = sparse.coo_array(entries, shape=(len(unit), len(unit))).tocsr()
    return graph.maximum(graph.T)
