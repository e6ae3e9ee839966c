"""Precision and recall, exact under ties."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hashlens.compute.kernels import compiled
from hashlens.metrics.metric import METRICS, Figure, Groups, Metric

RADIUS = 2


def precisions(groups: Groups, depths: NDArray[np.int64]) -> NDArray[np.float64]:
    """Expected share of relevant items among the first k.

    Example:
        >>> precisions(Groups(np.array([[1, 2]]), np.array([[1, 1]])), np.array([1, 2, 3]))[0, :, 0].tolist()
        [1.0, 0.75, 0.6666666666666666]
    """
    return (expected_hits(groups, depths) / depths)[..., None]


def recalls(groups: Groups, depths: NDArray[np.int64]) -> NDArray[np.float64]:
    """Expected share of the relevant items that are among the first k; 0 for a query without any.

    Example:
        >>> recalls(Groups(np.array([[1, 2]]), np.array([[1, 1]])), np.array([1, 2, 3]))[0, :, 0].tolist()
        [0.5, 0.75, 1.0]
    """
    every = np.maximum(groups.relevants.sum(1), 1)
    return (expected_hits(groups, depths) / every[:, None])[..., None]


def precisions_within(groups: Groups, depths: NDArray[np.int64]) -> NDArray[np.float64]:
    """Share of relevant items within the radius; 0 for a query that finds nothing there.

    Example:
        >>> precisions_within(Groups(np.array([[1, 0, 1, 4]]), np.array([[1, 0, 0, 4]])), np.array([6])).item()
        0.5
    """
    found, hits = groups.totals[:, : RADIUS + 1].sum(1), groups.relevants[:, : RADIUS + 1].sum(1)
    return (hits / np.maximum(found, 1))[:, None, None]


def expected_hits(groups: Groups, depths: NDArray[np.int64]) -> NDArray[np.float64]:
    """(Q, M) expected number of relevant items among the first k, for (M,) ascending k.

    Example:
        >>> expected_hits(Groups(np.array([[1, 2]]), np.array([[1, 1]])), np.array([1, 2, 3]))
        array([[1. , 1.5, 2. ]])
    """
    hits = np.empty((len(groups), len(depths)))
    _count_hits(groups.totals, groups.relevants, depths, hits)
    return hits


@compiled
def _count_hits(totals, relevants, depths, out):
    for q in range(len(totals)):
        level = 0
        rank = 0
        hits = 0.0
        for d in range(len(depths)):
            while rank + totals[q, level] < depths[d]:
                rank += totals[q, level]
                hits += relevants[q, level]
                level += 1
            inside = (depths[d] - rank) / totals[q, level]
            out[q, d] = hits + relevants[q, level] * inside


METRICS.register("precision")(
    Metric((Figure("precision@{k}", "share of relevant items among the first k"),), precisions, whole=False)
)
METRICS.register("recall")(
    Metric((Figure("recall@{k}", "share of the relevant items that are among the first k"),), recalls, whole=False)
)
METRICS.register("precision within a radius")(
    Metric(
        (
            Figure(
                f"precision@radius{RADIUS}",
                f"share of relevant items within distance {RADIUS}; 0 for a query that finds nothing there",
            ),
        ),
        precisions_within,
        needs="Hamming distance",
    )
)
