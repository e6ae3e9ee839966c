"""How alike items are to a query where they have one class each or several, counted item by item."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashlens.compute.kernels import compiled
from hashlens.compute.threads import run_in_threads
from hashlens.errors import BadInput
from hashlens.metrics.hierarchical import class_numbers
from hashlens.metrics.histograms import refuse_strangers
from hashlens.metrics.metric import GradedGroups
from hashlens.metrics.rankings import ARRAYS, Ranking


class ClassKinds:
    """Items of one class each, told apart by it.

    Args:
        query_labels, database_labels: (·,) class numbers 0 … C − 1, −1 for none.
        similarities: (S, C, C), in [0, 1].

    Attributes:
        of_queries, of_database: (·,) the kind of each, below ``count``; −1 for none, which is like nothing.
        count: number of kinds.

    Raises:
        BadInput: labels are not of this form.
    """

    def __init__(
        self, query_labels: NDArray[Any], database_labels: NDArray[Any], similarities: NDArray[np.float64]
    ) -> None:
        self.count = similarities.shape[1]
        self.of_queries = class_numbers(query_labels, self.count, "query")
        self.of_database = class_numbers(database_labels, self.count, "database")
        self._similarities = similarities

    def similarities(self, kinds: NDArray[np.int64]) -> NDArray[np.float64]:
        """(S, n, kinds) of n kinds to all; 0 where there is none."""
        return np.where(kinds[:, None] >= 0, self._similarities[:, kinds], 0)


class SetKinds:
    """Items of several classes, told apart by their label sets.

    Two sets A and B are as alike as their classes are on the mean of best matches,
    ½ (mean_{a ∈ A} max_{b ∈ B} s(a, b) + mean_{b ∈ B} max_{a ∈ A} s(a, b)): 1 − the distance of sets that
    :class:`hashlens.objectives.DistanceMatching` has, where s is 1 − the distance of classes.

    Args:
        query_labels, database_labels: (·, C) multi-hot.
        similarities: (S, C, C), in [0, 1].

    Attributes:
        of_queries, of_database, count: see :class:`ClassKinds`.

    Raises:
        BadInput: labels are of another number of classes.

    Example:
        >>> both, first = [[1, 1]], [[1, 0]]
        >>> kinds = SetKinds(np.array(both), np.array(first), np.array([[[1.0, 0.5], [0.5, 1.0]]]))
        >>> kinds.similarities(kinds.of_queries)[0, 0, kinds.of_database].tolist()  # ½ (¾ + 1)
        [0.875]
    """

    def __init__(
        self, query_labels: NDArray[Any], database_labels: NDArray[Any], similarities: NDArray[np.float64]
    ) -> None:
        if query_labels.shape[1] != similarities.shape[1]:
            raise BadInput(
                f"Labels have {query_labels.shape[1]} columns, but there are distances of {similarities.shape[1]} "
                "classes."
            )
        marks = np.concatenate([query_labels, database_labels]) != 0
        packed = np.packbits(marks, axis=1)
        rows = packed.view(np.dtype((np.void, packed.shape[1])))[:, 0]
        _, firsts, numbers = np.unique(rows, return_index=True, return_inverse=True)
        numbers = np.where(marks.any(1), numbers, -1)
        self.of_queries, self.of_database = np.split(numbers, [len(query_labels)])
        self.count = len(firsts)
        self._similarities = similarities
        self._marks = marks[firsts]
        self._shares = self._marks / np.maximum(self._marks.sum(1), 1)[:, None]  # (U, C)
        self._nearest = _best(similarities, self._marks)  # (S, C, U)

    def similarities(self, kinds: NDArray[np.int64]) -> NDArray[np.float64]:
        """(S, n, kinds) of n kinds to all; 0 where there is none."""
        there = self._shares[kinds] @ self._nearest
        back = np.swapaxes(self._shares @ self._nearest[:, :, kinds], 1, 2)
        return np.where(kinds[:, None] >= 0, (there + back) / 2, 0)


def kinds_of(
    query_labels: NDArray[Any], database_labels: NDArray[Any], similarities: NDArray[np.float64]
) -> ClassKinds | SetKinds:
    """Items told apart by their class, from (·,) labels, or by their label set, from (·, C).

    Raises:
        BadInput: see the two.

    Example:
        >>> kinds_of(np.array([1]), np.array([0, -1, 1]), np.eye(2)[None]).of_database.tolist()
        [0, -1, 1]
    """
    kinds = ClassKinds if query_labels.ndim == 1 else SetKinds
    return kinds(query_labels, database_labels, similarities)


class ItemComparison:
    """Queries and a database laid out for counting distances against how alike items are.

    Args:
        kinds: of the same queries and database.
    """

    def __init__(self, ranking: Ranking, kinds: ClassKinds | SetKinds) -> None:
        self._ranking, self._kinds = ranking, kinds
        of_database = kinds.of_database
        self._sizes = np.bincount(of_database[of_database >= 0], minlength=kinds.count)

    @property
    def numbers_held(self) -> int:
        """How many numbers are held for each query that is counted at a time."""
        return ARRAYS * (self._ranking.levels + self._ranking.size + self._kinds.count)

    def groups(self, first: int, last: int) -> Iterator[GradedGroups]:
        """What queries ``first`` … ``last`` − 1 see, for each of the S similarities.

        Raises:
            BadInput: a query that is to be left out is not in the database.
        """
        here = self._kinds.of_queries[first:last]
        levels, own = self._ranking.levels_of(first, last)
        similarities = self._kinds.similarities(here)
        totals = np.zeros((len(here), self._ranking.levels), np.int64)
        gains = np.zeros((len(similarities), *totals.shape))

        def count(start: int, stop: int) -> None:
            for q in range(start, stop):
                if here[q] >= 0:
                    _add_gains(levels[q], self._kinds.of_database, similarities[:, q], totals[q], gains[:, q])

        run_in_threads(count, [(q, q + 1) for q in range(len(here))])
        sizes = np.tile(self._sizes, (len(here), 1))
        if self._ranking.leave_one_out:
            known = np.flatnonzero(here >= 0)
            kinds, places = here[known], own[known]
            left = np.zeros(len(here), np.int64)
            totals[known, places] -= 1
            sizes[known, kinds] -= 1
            gains[:, known, places] -= similarities[:, known, kinds]
            left[known] = np.where(places < 0, -1, np.minimum(totals[known, places], sizes[known, kinds]))
            refuse_strangers(left, first)
        for of_kinds, gained in zip(similarities, gains, strict=True):
            yield GradedGroups(totals, gained, of_kinds, sizes)


def _best(similarities: NDArray[np.float64], marks: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(S, C, U) similarity of every class to the class most like it in each of U sets."""
    found = np.zeros((*similarities.shape[:2], len(marks)))
    for number, row in enumerate(marks):
        if row.any():
            found[:, :, number] = similarities[:, :, row].max(2)
    return found


@compiled
def _add_gains(levels, kinds, similarities, totals, gains):
    """Add up items and similarities at each level of one query; items of no kind are like nothing."""
    for i in range(len(levels)):
        totals[levels[i]] += 1
        if kinds[i] >= 0:
            for s in range(len(similarities)):
                gains[s, levels[i]] += similarities[s, kinds[i]]
