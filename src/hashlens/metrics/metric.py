"""What a metric is, and the table of all of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from hashlens.registry import Registry

DEPTH = "{k}"


@dataclass(frozen=True)
class Groups:
    """What queries see of the database: groups of items at equal distance, of which some are relevant.

    Every order within a group is as good as any other, so a metric is an expectation over all of them.

    Attributes:
        totals: (Q, L) int64, number of items at each distance 0 … L − 1.
        relevants: (Q, L) int64, how many of these are relevant.

    Example:
        Two queries, four items each, at distances 0 to 2.

        >>> groups = Groups(np.array([[1, 0, 3], [0, 2, 2]]), np.array([[1, 0, 1], [0, 0, 2]]))
        >>> len(groups), groups[1:].relevants.tolist()
        (2, [[0, 0, 2]])
    """

    totals: NDArray[np.int64]
    relevants: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.totals)

    def __getitem__(self, queries: slice) -> Groups:
        return Groups(self.totals[queries], self.relevants[queries])


@dataclass(frozen=True)
class GradedGroups:
    """The same where items are more or less like the query.

    Attributes:
        totals: (Q, L) int64, number of items at each distance 0 … L − 1.
        gains: (Q, L) float64, sums of their similarities to the query, each in [0, 1].
        similarities: (Q, C) float64, of a query to each class.
        sizes: (Q, C) int64, number of items of each class.

    Example:
        One query of class 0, and three items of two classes: one at distance 0, two at distance 1.

        >>> groups = GradedGroups(
        ...     totals=np.array([[1, 2]]),
        ...     gains=np.array([[1.0, 0.5]]),
        ...     similarities=np.array([[1.0, 0.25]]),
        ...     sizes=np.array([[1, 2]]),
        ... )
        >>> len(groups)
        1
    """

    totals: NDArray[np.int64]
    gains: NDArray[np.float64]
    similarities: NDArray[np.float64]
    sizes: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.totals)

    def __getitem__(self, queries: slice) -> GradedGroups:
        return GradedGroups(
            self.totals[queries], self.gains[queries], self.similarities[queries], self.sizes[queries]
        )


@dataclass(frozen=True)
class SharedGroups:
    """The same where items have label sets, by how many labels they share with the query.

    Attributes:
        counts: (Q, L, S + 1) int64, number of items at each distance 0 … L − 1 that share 0 … S labels.

    Example:
        One query; an item that shares two labels with it at distance 0, one that shares none at distance 1.

        >>> groups = SharedGroups(np.array([[[0, 0, 1], [1, 0, 0]]]))
        >>> len(groups), groups.relevance().relevants.tolist()
        (1, [[1, 0]])
    """

    counts: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.counts)

    def __getitem__(self, queries: slice) -> SharedGroups:
        return SharedGroups(self.counts[queries])

    def relevance(self) -> Groups:
        """The same items, those relevant that share at least one label."""
        return Groups(self.counts.sum(2), self.counts[..., 1:].sum(2))


@dataclass(frozen=True)
class Figure:
    """A number that a metric gives.

    Attributes:
        name: in reports, with ``{k}`` where the depth of the ranking stands, as in ``mAP@{k}``.
        meaning: in a line.
        headline: whether the terminal shows it.

    Example:
        >>> figure = Figure("mAP@{k}", "mean average precision")
        >>> figure.at(100), figure.at(None)
        ('mAP@100', 'mAP@all')
    """

    name: str
    meaning: str
    headline: bool = True

    @property
    def has_depth(self) -> bool:
        return DEPTH in self.name

    def at(self, depth: int | None) -> str:
        """The name at a depth, "all" for ``None``."""
        return self.name.replace(DEPTH, "all" if depth is None else str(depth))


@dataclass(frozen=True)
class Metric:
    """One or several figures for each query that are computed together.

    Attributes:
        figures: F of them.
        function: from the groups of Q queries and (M,) int64 depths, ascending, from 1 to the size of the database,
            to (Q, M, F) float64. It is called in several threads at a time.
        needs: "relevance" for :class:`Groups`; "shared labels" for :class:`SharedGroups`, which only evaluations
            of label sets have; "class distance" for :class:`GradedGroups`, which only those with a taxonomy or
            class distances have; "Hamming distance" for :class:`Groups` at Hamming distances 0 … K, which only
            evaluations by that distance have.
        whole: whether it is reported for the whole database too, where that depth is asked for.

    Example:
        >>> recall = METRICS["recall"]
        >>> groups = Groups(np.array([[1, 0, 3]]), np.array([[1, 0, 1]]))
        >>> recall.figures[0].name, recall.function(groups, np.array([1, 4]))[0, :, 0].tolist()
        ('recall@{k}', [0.5, 1.0])
    """

    figures: tuple[Figure, ...]
    function: Callable[[Any, NDArray[np.int64]], NDArray[np.float64]]
    needs: Literal["relevance", "shared labels", "class distance", "Hamming distance"] = "relevance"
    whole: bool = True


METRICS: Registry[Metric] = Registry("metric")

QueryFunction = Callable[[NDArray[np.int64], NDArray[np.int64], int], float]


def register(
    name: str, meaning: str, *, headline: bool = True, whole: bool = True, by_hamming: bool = False
) -> Callable[[QueryFunction], QueryFunction]:
    """A decorator that adds a metric to those that every evaluation reports.

    What it decorates is a pure function of one query: ``function(totals, relevants, k)``, where ``totals`` and
    ``relevants`` are (L,) int64, the numbers of items and of relevant items at each distance from 0 on, and ``k``,
    from 1 to the number of all items, is how deep the ranking is looked at. It returns the expectation over all
    orders of the items at equal distance.

    Args:
        name: of the figure, with ``{k}`` where the depth stands; without, it is asked once, with k the number of
            items.
        meaning: in a line.
        headline: whether the terminal shows it.
        whole: whether it is reported for the whole database too, where that depth is asked for.
        by_hamming: whether it takes the places in ``totals`` for Hamming distances, and is left out where others
            rank.

    Example:
        >>> import hashlens as hl
        >>> @hl.metrics.register("nearest distance", "distance of the nearest item", by_hamming=True)
        ... def nearest_distance(totals, relevants, k):
        ...     return int(np.flatnonzero(totals)[0])
        >>> codes = np.array([[0b00000000], [0b00000111]], np.uint8)
        >>> hl.evaluate(codes[:1], [0], codes[1:], [0])["nearest distance"]
        3.0
        >>> METRICS.remove("nearest distance")
    """

    def add(function: QueryFunction) -> QueryFunction:
        def for_queries(groups: Groups, depths: NDArray[np.int64]) -> NDArray[np.float64]:
            found = [
                [[function(totals, relevants, k)] for k in depths.tolist()]
                for totals, relevants in zip(groups.totals, groups.relevants, strict=True)
            ]
            return np.array(found, np.float64).reshape(len(groups), len(depths), 1)

        needs: Literal["relevance", "Hamming distance"] = "Hamming distance" if by_hamming else "relevance"
        METRICS.register(name)(Metric((Figure(name, meaning, headline),), for_queries, needs, whole))
        return function

    return add
