"""Metrics as anybody would write them down: functions of one ranking, averaged over every order of ties."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np

Ranking = Sequence[tuple[int, float]]  # distance and relevance (0 or 1), shared labels or similarity of each item


def orders(groups: Sequence[tuple[int, Sequence[float]]]) -> Iterator[Ranking]:
    """Every ranking in which items of nearer groups come first."""
    within = [list(itertools.permutations(values)) for _, values in groups]
    for chosen in itertools.product(*within):
        yield [(distance, value) for (distance, _), part in zip(groups, chosen, strict=True) for value in part]


def average_precision(ranking: Ranking, k: int) -> float:
    hits, total = 0, 0.0
    for rank, (_, relevant) in enumerate(ranking[:k], start=1):
        if relevant:
            hits += 1
            total += hits / rank
    return total / hits if hits else 0.0


def precision_sum(ranking: Ranking, k: int) -> float:
    return sum(precision(ranking, rank) for rank, (_, relevant) in enumerate(ranking[:k], start=1) if relevant)


def average_precision_by_reachable(ranking: Ranking, k: int) -> float:
    every = sum(relevant for _, relevant in ranking)
    return precision_sum(ranking, k) / min(k, every) if every else 0.0


def average_precision_by_every(ranking: Ranking, k: int) -> float:
    return precision_sum(ranking, k) / max(sum(relevant for _, relevant in ranking), 1)


def precision(ranking: Ranking, k: int) -> float:
    return sum(relevant for _, relevant in ranking[:k]) / k


def recall(ranking: Ranking, k: int) -> float:
    return sum(relevant for _, relevant in ranking[:k]) / max(sum(relevant for _, relevant in ranking), 1)


def precision_within_two(ranking: Ranking, k: int) -> float:
    near = [relevant for distance, relevant in ranking if distance <= 2]
    return sum(near) / len(near) if near else 0.0


def ndcg(ranking: Ranking, k: int) -> float:
    gained = sum(relevant / math.log2(rank + 1) for rank, (_, relevant) in enumerate(ranking[:k], start=1))
    best = sorted((relevant for _, relevant in ranking), reverse=True)[:k]
    possible = sum(relevant / math.log2(rank + 1) for rank, relevant in enumerate(best, start=1))
    return gained / possible if possible else 0.0


def hierarchical_precision(ranking: Ranking, k: int) -> float:
    best = sorted((similarity for _, similarity in ranking), reverse=True)[:k]
    return sum(similarity for _, similarity in ranking[:k]) / sum(best) if sum(best) else 0.0


def average_hierarchical_precision(ranking: Ranking, k: int) -> float:
    heights = [hierarchical_precision(ranking, depth) for depth in range(1, k + 1)]
    return (sum(heights) - (heights[0] + heights[-1]) / 2) / k


def cumulative_gain(ranking: Ranking, k: int) -> float:
    return sum(shared for _, shared in ranking[:k]) / k


def weighted_average_precision(ranking: Ranking, k: int) -> float:
    found = [cumulative_gain(ranking, rank) for rank, (_, shared) in enumerate(ranking[:k], start=1) if shared]
    return sum(found) / len(found) if found else 0.0


def ndcg_by_shared(ranking: Ranking, k: int) -> float:
    return ndcg([(distance, 2**shared - 1) for distance, shared in ranking], k)


Reference = tuple[Callable[[Ranking, int], float], Callable[[Sequence[float]], float]]

# For every metric in the table the reference of each of its figures, and how it joins the orders of ties.
REFERENCES: dict[str, tuple[Reference, ...]] = {
    "average precision": ((average_precision, np.mean), (average_precision, min), (average_precision, max)),
    "average precision by relevant items": (
        (average_precision_by_reachable, np.mean),
        (average_precision_by_every, np.mean),
    ),
    "precision": ((precision, np.mean),),
    "recall": ((recall, np.mean),),
    "precision within a radius": ((precision_within_two, np.mean),),
    "NDCG": ((ndcg, np.mean),),
    "shared labels": (
        (weighted_average_precision, np.mean),
        (cumulative_gain, np.mean),
        (ndcg_by_shared, np.mean),
    ),
    "hierarchical precision": ((average_hierarchical_precision, np.mean), (hierarchical_precision, np.mean)),
}
