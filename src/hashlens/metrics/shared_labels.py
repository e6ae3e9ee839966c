"""How much of what a query shows its results show, where items have several labels; exact under ties.

What an item gains is r, the number of labels that it shares with the query. ACG@k is the mean of r over the first k
(Järvelin and Kekäläinen, SIGIR 2000), WAP@k the mean of ACG@i over the ranks i ≤ k of items that share a label, and
NDCG has gains of 2^r − 1 (Zhao, Huang, Wang and Tan, "Deep semantic ranking based hashing for multi-label image
retrieval", CVPR 2015, section 4.2).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hashlens.compute.kernels import compiled
from hashlens.metrics.discounted_gain import cumulative_discounts
from hashlens.metrics.metric import METRICS, Figure, Metric, SharedGroups
from hashlens.metrics.ties import expected_hits, weighted_average_precision


def shared_gains(groups: SharedGroups, depths: NDArray[np.int64]) -> NDArray[np.float64]:
    """WAP@k, ACG@k and NDCG@k of every query.

    Example:
        One item that shares two labels comes first, then one that shares one.

        >>> shared_gains(SharedGroups(np.array([[[0, 0, 1], [0, 1, 0]]])), np.array([1, 2]))
        array([[[2.  , 2.  , 1.  ],
                [1.75, 1.5 , 1.  ]]])
    """
    scores = np.empty((len(groups), len(depths), 3))
    _score(groups.counts, depths, cumulative_discounts(int(depths.max(initial=1))), scores)
    return scores


@compiled
def _score(counts, depths, discounts, out):
    levels, kinds = counts.shape[1:]
    totals = np.empty(levels, np.int64)
    relevants = np.empty(levels, np.int64)
    shared = np.empty(levels)
    for q in range(len(counts)):
        for level in range(levels):
            totals[level] = counts[q, level, 0]
            relevants[level] = 0
            shared[level] = 0.0
            for r in range(1, kinds):
                relevants[level] += counts[q, level, r]
                shared[level] += r * counts[q, level, r]
            totals[level] += relevants[level]
        for d in range(len(depths)):
            gained, seen = expected_hits(totals, shared, depths[d])
            out[q, d, 0] = weighted_average_precision(totals, relevants, shared, depths[d])
            out[q, d, 1] = gained / seen
            out[q, d, 2] = _normalized_gain(counts[q], totals, seen, discounts)


@compiled
def _normalized_gain(counts, totals, k, discounts):
    """Expected NDCG@k with gains 2^r − 1, which are divided by 2^S, since S may be large."""
    levels, kinds = counts.shape
    gain = 0.0
    rank = 0
    for level in range(levels):
        inside = min(totals[level], k - rank)
        if inside > 0:
            total = 0.0
            for r in range(1, kinds):
                total += counts[level, r] * (2.0 ** (r - kinds) - 2.0**-kinds)
            gain += total / totals[level] * (discounts[rank + inside] - discounts[rank])
            rank += inside
    best = 0.0
    rank = 0
    for r in range(kinds - 1, 0, -1):
        inside = min(counts[:, r].sum(), k - rank)
        if inside > 0:
            best += (2.0 ** (r - kinds) - 2.0**-kinds) * (discounts[rank + inside] - discounts[rank])
            rank += inside
    return gain / best if best > 0 else 0.0


METRICS.register("shared labels")(
    Metric(
        (
            Figure(
                "WAP@{k}",
                "of label sets: mean of ACG@i over the ranks i ≤ k of items that share a label with the query; 0 "
                "if there is none",
            ),
            Figure("ACG@{k}", "of label sets: mean number of labels that the first k share with the query"),
            Figure(
                "ndcg@{k}/shared",
                "of label sets: normalised discounted cumulative gain with gains 2^r − 1, r being the number of "
                "shared labels, and log2",
            ),
        ),
        shared_gains,
        needs="shared labels",
    )
)
