"""Average precision, exact under ties."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hashlens.compute.kernels import compiled
from hashlens.metrics.metric import METRICS, Figure, Groups, Metric
from hashlens.metrics.ties import average_precision, expected_precision_sum


def average_precisions(groups: Groups, depths: NDArray[np.int64]) -> NDArray[np.float64]:
    """Expected, worst and best AP@k of every query, see :func:`hashlens.metrics.ties.average_precision`.

    Example:
        >>> average_precisions(Groups(np.array([[0, 2]]), np.array([[0, 1]])), np.array([2]))
        array([[[0.75, 0.5 , 1.  ]]])
    """
    scores = np.empty((len(groups), len(depths), 3))
    _score(groups.totals, groups.relevants, depths, scores)
    return scores


@compiled
def _score(totals, relevants, depths, out):
    for q in range(len(totals)):
        for d in range(len(depths)):
            out[q, d, 0], out[q, d, 1], out[q, d, 2] = average_precision(totals[q], relevants[q], depths[d])


def by_relevant(groups: Groups, depths: NDArray[np.int64]) -> NDArray[np.float64]:
    """Expected AP@k of every query with the other two denominators of the literature: min(k, R) and R.

    Example:
        >>> by_relevant(Groups(np.array([[1, 1, 1]]), np.array([[1, 1, 1]])), np.array([2]))
        array([[[1.        , 0.66666667]]])
    """
    sums = np.empty((len(groups), len(depths)))
    _sum_precisions(groups.totals, groups.relevants, depths, sums)
    every = np.maximum(groups.relevants.sum(1), 1)[:, None]
    return np.stack([sums / np.minimum(depths, every), sums / every], axis=2)


@compiled
def _sum_precisions(totals, relevants, depths, out):
    for q in range(len(totals)):
        for d in range(len(depths)):
            out[q, d] = expected_precision_sum(totals[q], relevants[q], depths[d])


METRICS.register("average precision")(
    Metric(
        (
            Figure(
                "mAP@{k}",
                "mean over queries of AP@k = Σ_{i ≤ k} rel(i)·P(i) ÷ (relevant items *found* among the first k), "
                "the convention of HashNet, CSQ, OrthoHash and SHC; 0 if none is found",
            ),
            Figure("mAP@{k}/worst", "the least AP@k that any order of tied items could give, per query, averaged"),
            Figure("mAP@{k}/best", "the greatest"),
        ),
        average_precisions,
    )
)
METRICS.register("average precision by relevant items")(
    Metric(
        (
            Figure(
                "mAP@{k}/min(k,R)",
                "the same with min(k, R) for denominator, R being the relevant items in the database",
                headline=False,
            ),
            Figure("mAP@{k}/R", "the same with R for denominator", headline=False),
        ),
        by_relevant,
        whole=False,
    )
)
