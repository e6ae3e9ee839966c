"""Which items are at which distance of a query, item by item, so that any distance and any likeness can be counted.

:class:`hashlens.metrics.histograms.Comparison` counts binary codes faster, without telling items apart.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hashlens.codes.distances import distances_in_block
from hashlens.codes.packing import to_words
from hashlens.compute.threads import run_in_threads
from hashlens.errors import BadInput
from hashlens.metrics.histograms import refuse_strangers
from hashlens.metrics.metric import Groups, SharedGroups
from hashlens.metrics.relevance import Relevance, SameClass
from hashlens.sources.feature_array import unit_length

DISTANCES = ("hamming", "cosine", "l1", "l2")
DIGITS = 6  # of cosines; what float32 sums say beyond depends on the order of adding, so that copies would not tie
NEARLY = 1 - 5e-6  # a cosine from which on vectors are copies; in thousands of dimensions sums are that far off
SCIPY = {"l1": "cityblock", "l2": "sqeuclidean"}  # which rank alike
QUERIES_AT_ONCE = 64  # whose nearest are looked for
ARRAYS = 4  # of a number for each item that are held for each query at a time


class Ranking(Protocol):
    """Queries and a database in an order of distances.

    Attributes:
        queries, size: number of queries, and of items that each sees.
        levels: how many different distances there may be.
        leave_one_out: whether every query is an item of the database too, which it does not see.
    """

    queries: int
    size: int
    levels: int
    leave_one_out: bool

    def levels_of(self, first: int, last: int) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """Which distance each item is at from queries ``first`` … ``last`` − 1, the nearest at the least.

        Returns:
            (n, N) numbers below ``levels``, and (n,) those of a copy of the query; −1 where there cannot be one.
        """


class HammingRanking:
    """The :class:`Ranking` of packed codes; levels are Hamming distances.

    Example:
        >>> codes = np.array([[0b00000000], [0b00000011]], np.uint8)
        >>> HammingRanking(codes, codes, bits=8).levels_of(0, 1)[0].tolist()
        [[0, 2]]
    """

    def __init__(
        self,
        queries: NDArray[np.uint8],
        database: NDArray[np.uint8],
        bits: int,
        leave_one_out: bool = False,
    ) -> None:
        self.queries, self.size = len(queries), len(database) - leave_one_out
        self.levels, self.leave_one_out = bits + 1, leave_one_out
        self._packed = queries, database

    @cached_property
    def _words(self) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
        queries, database = self._packed
        return np.ascontiguousarray(to_words(queries).T), to_words(database)

    def levels_of(self, first: int, last: int) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """See :class:`Ranking`."""
        queries, database = self._words
        found = np.empty((last - first, database.shape[1]), np.int32)

        def compare(start: int, stop: int) -> None:
            distances = np.empty(found.shape[1], np.int16)
            for q in range(start, stop):
                distances_in_block(database, queries[first + q], 0, len(distances), distances)
                found[q] = distances

        run_in_threads(compare, [(q, q + 1) for q in range(last - first)])
        return found, np.zeros(last - first, np.int64)


class FloatRanking:
    """The :class:`Ranking` of continuous codes, or features; levels count the distances that occur.

    Args:
        queries, database: (Q, D) and (N, D) real numbers.
        distance: "cosine", "l1" or "l2".

    Raises:
        BadInput: they are not of this form, or there is no such distance.

    Example:
        >>> x = np.array([[1.0, 0.0], [0.5, 0.1], [9.0, 0.0]])
        >>> [FloatRanking(x, x, distance).levels_of(0, 1)[0].tolist() for distance in ("cosine", "l2")]
        [[[0, 1, 0]], [[0, 1, 2]]]
    """

    def __init__(self, queries: ArrayLike, database: ArrayLike, distance: str, leave_one_out: bool = False) -> None:
        check_distance(distance)
        asked, searched = (_vectors(given, distance) for given in (queries, database))
        if asked.shape[1] != searched.shape[1]:
            raise BadInput(f"Queries have {asked.shape[1]} numbers, but the database has {searched.shape[1]}.")
        self.queries, self.size = len(asked), len(searched) - leave_one_out
        self.levels, self.leave_one_out = max(1, len(searched)), leave_one_out
        self._distance = distance
        if distance == "cosine":
            asked, searched = unit_length(asked), unit_length(searched)
        self._queries, self._database = asked, searched
        self._latest: tuple[int, int] | None = None

    def levels_of(self, first: int, last: int) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """See :class:`Ranking`; what was asked last is remembered."""
        if self._latest != (first, last):
            distances = self.distances(first, last)
            here = self._queries[first:last]
            own_distances = np.zeros(len(here))
            if self._distance == "cosine":
                own_distances[here.any(axis=1)] = -1
            levels, own = np.empty(distances.shape, np.int32), np.full(len(here), -1)

            def number(start: int, stop: int) -> None:
                for q in range(start, stop):
                    different, levels[q] = np.unique(distances[q], return_inverse=True)
                    place = int(np.searchsorted(different, own_distances[q]))
                    if place < len(different) and different[place] == own_distances[q]:
                        own[q] = place

            run_in_threads(number, [(q, q + 1) for q in range(len(here))])
            self._latest, self._found = (first, last), (levels, own)
        return self._found

    def distances(self, first: int, last: int) -> NDArray[np.floating]:
        """(n, N) distances of queries ``first`` … ``last`` − 1, or what ranks like them."""
        here = self._queries[first:last]
        if self._distance == "cosine":
            cosines = np.asarray((here @ self._database.T).round(DIGITS))
            cosines[cosines >= NEARLY] = 1
            return -cosines
        from scipy.spatial.distance import cdist

        return np.asarray(cdist(here, self._database, SCIPY[self._distance]))

    def nearest(self, k: int) -> NDArray[np.int64]:
        """(Q, k) numbers of the items nearest to every query, of those at equal distances the first.

        Where each query is left out, the queries are the database in its order.
        """
        found = np.empty((self.queries, min(k, self.size)), np.int64)
        for first in range(0, self.queries, QUERIES_AT_ONCE):
            here = np.arange(first, min(first + QUERIES_AT_ONCE, self.queries))
            distances = self.distances(first, here[-1] + 1)
            if self.leave_one_out:
                distances[here - first, here] = np.inf
            found[here] = np.argsort(distances, axis=1, kind="stable")[:, : found.shape[1]]
        return found


class RankedComparison:
    """Counts of items by level and relevance, see :class:`hashlens.metrics.histograms.Comparison`.

    Args:
        relevance: of the same queries and database.

    Attributes:
        queries, size: number of queries, number of items that each sees.
        most_shared: the largest number of labels that an item may share with a query; 0 for single labels.
    """

    def __init__(self, ranking: Ranking, relevance: Relevance) -> None:
        self.queries, self.size = ranking.queries, ranking.size
        self._ranking, self._relevance = ranking, relevance
        self.most_shared = 0
        if not isinstance(relevance, SameClass):
            self._own = np.bitwise_count(relevance.query_masks).sum(1, dtype=np.int64)
            self.most_shared = max(1, int(self._own.max()))

    @property
    def numbers_held(self) -> int:
        """How many numbers are held for each query that is counted at a time."""
        return (ARRAYS + self.most_shared) * self._ranking.levels

    def groups(self, first: int, last: int) -> Groups | SharedGroups:
        """What queries ``first`` … ``last`` − 1 see.

        Raises:
            BadInput: a query that is to be left out is not in the database.
        """
        levels, own = self._ranking.levels_of(first, last)
        kinds = max(2, self.most_shared + 1)
        counts = np.zeros((last - first, self._ranking.levels, kinds), np.int64)

        def count(start: int, stop: int) -> None:
            for q in range(start, stop):
                places = kinds * levels[q].astype(np.int64) + self._shared(first + q)
                counts[q] = np.bincount(places, minlength=counts[q].size).reshape(counts[q].shape)

        run_in_threads(count, [(q, q + 1) for q in range(last - first)])
        if self._ranking.leave_one_out:
            themselves = np.arange(last - first), own, self._shared_with_itself(first, last)
            counts[themselves] -= 1
            refuse_strangers(np.where(own < 0, -1, counts[themselves]), first)
        shared = SharedGroups(counts)
        return shared if self.most_shared else shared.relevance()

    def _shared(self, query: int) -> NDArray[np.int64]:
        """(N,) labels in common with a query; of single labels whether an item has the same."""
        relevance = self._relevance
        if isinstance(relevance, SameClass):
            same = np.zeros(len(relevance.order), np.int64)
            same[relevance.order[relevance.starts[query] : relevance.stops[query]]] = 1
            return same
        return np.asarray(
            np.bitwise_count(relevance.database_masks & relevance.query_masks[query]).sum(1, dtype=np.int64)
        )

    def _shared_with_itself(self, first: int, last: int) -> NDArray[np.int64]:
        relevance = self._relevance
        if isinstance(relevance, SameClass):
            return (relevance.stops > relevance.starts)[first:last].astype(np.int64)
        return self._own[first:last]


def check_distance(distance: str) -> None:
    """Refuse a distance that there is not.

    Raises:
        BadInput: see above.

    Example:
        >>> check_distance("l2")
    """
    if distance not in DISTANCES:
        raise BadInput(f"There is no distance '{distance}'; use one of {', '.join(DISTANCES)}.")


def _vectors(vectors: ArrayLike, distance: str) -> NDArray[Any]:
    array = np.asarray(vectors)
    if array.dtype == np.uint8:
        raise BadInput(f"Packed codes have Hamming distances alone; give continuous codes to rank by {distance}.")
    if array.ndim != 2 or array.dtype.kind not in "iufb" or not np.isfinite(array).all():
        raise BadInput(f"Ranking by {distance} needs (N, K) finite numbers.")
    return array if array.dtype in (np.float32, np.float64) else array.astype(np.float32)
