"""Normalised discounted cumulative gain, exact under ties."""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from hashlens.compute.kernels import compiled
from hashlens.metrics.metric import METRICS, Figure, Groups, Metric
from hashlens.metrics.ties import normalized_discounted_gain


def normalized_gains(groups: Groups, depths: NDArray[np.int64]) -> NDArray[np.float64]:
    """NDCG@k of every query, see :func:`hashlens.metrics.ties.normalized_discounted_gain`.

    Example:
        >>> normalized_gains(Groups(np.array([[1, 1]]), np.array([[1, 0]])), np.array([1, 2])).ravel()
        array([1., 1.])
    """
    scores = np.empty((len(groups), len(depths), 1))
    _score(groups.totals, groups.relevants, depths, cumulative_discounts(int(depths.max(initial=1))), scores)
    return scores


@functools.lru_cache(maxsize=2)
def cumulative_discounts(most: int) -> NDArray[np.float64]:
    """(most + 1,) sums of 1/log2(i + 1) for i = 1, 2, …

    Example:
        >>> cumulative_discounts(2).round(3).tolist()
        [0.0, 1.0, 1.631]
    """
    return np.concatenate([[0.0], np.cumsum(1 / np.log2(np.arange(2, most + 2)))])


@compiled
def _score(totals, relevants, depths, discounts, out):
    for q in range(len(totals)):
        for d in range(len(depths)):
            out[q, d, 0] = normalized_discounted_gain(totals[q], relevants[q], depths[d], discounts)


METRICS.register("NDCG")(
    Metric(
        (Figure("ndcg@{k}", "normalised discounted cumulative gain with binary gains and log2", headline=False),),
        normalized_gains,
    )
)
