"""What tables that a server or a library keeps have in common: requests are checked, and answers put in order."""

from __future__ import annotations

import importlib.util
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hashlens.codes.packing import as_packed
from hashlens.engines.engine import Found, Ragged
from hashlens.engines.hamming.ids import ascending
from hashlens.engines.table import Facts, Rows, Table
from hashlens.errors import BadInput

Neighbours = tuple[NDArray[np.int32], NDArray[np.int64]]  # distances and ids of one query
NONE: Neighbours = (np.empty(0, np.int32), np.empty(0, np.int64))


@dataclass(frozen=True)
class Allowed:
    """Which rows may be found.

    Attributes:
        ids: (n,) these; all of them where it is ``None``.
        labels: those with one of these; all of them where there are none.

    Example:
        >>> Allowed(np.array([7, 9])).nothing, Allowed(np.empty(0, np.int64)).nothing
        (False, True)
    """

    ids: NDArray[np.int64] | None = None
    labels: tuple[str, ...] = ()

    @property
    def nothing(self) -> bool:
        """Whether no row can be found."""
        return self.ids is not None and not len(self.ids)


class ServedTable(Table):
    """A table whose rows somebody else keeps. What is added lasts at once; :meth:`flush` says that it is whole.

    A subclass says how one query is answered, and how rows are written and read.

    Args:
        facts: what the table says of itself.
        shown: its address, without a password.

    Example:
        >>> ServedTable.__abstractmethods__ >= {"nearest", "near", "write"}
        True
    """

    def __init__(self, facts: Facts, shown: str) -> None:
        self.bits, self.model, self.whole = facts.bits, facts.model, facts.whole
        self._shown = shown

    def __repr__(self) -> str:
        return self._shown

    @abstractmethod
    def nearest(self, query: NDArray[np.uint8], k: int, allowed: Allowed) -> Neighbours:
        """The ``k`` nearest rows of a code, (ceil(K/8),), by distance; which of several at one is not said."""

    @abstractmethod
    def near(self, query: NDArray[np.uint8], radius: int, allowed: Allowed) -> Neighbours:
        """All rows within a distance of a code, in any order."""

    @abstractmethod
    def write(self, rows: Rows) -> None:
        """Add rows, whose ids are all different, or replace those with their ids."""

    @abstractmethod
    def delete(self, ids: NDArray[np.int64]) -> None:
        """Remove rows that are there."""

    @abstractmethod
    def present(self, ids: NDArray[np.int64]) -> NDArray[np.int64]:
        """Those of the ids that are there, in any order."""

    @abstractmethod
    def read(self, ids: NDArray[np.int64]) -> Rows:
        """The rows with these ids that are there, in any order."""

    @abstractmethod
    def note(self, model: str, whole: bool) -> None:
        """Keep which model made the codes, and whether all of a copy is there."""

    def search(
        self, codes: ArrayLike, k: int = 10, allow: ArrayLike | None = None, labels: Sequence[str] = ()
    ) -> Found:
        """As :meth:`Table.search`."""
        queries = self._as_codes(codes)
        if k < 1:
            raise BadInput(f"k is {k}; ask for at least one neighbour.")
        allowed = _allowed(allow, labels)
        found = [NONE if allowed.nothing else self._ordered(query, k, allowed) for query in queries]
        width = min((len(ids) for _, ids in found), default=0)
        distances, ids = np.empty((len(found), width), np.int32), np.empty((len(found), width), np.int64)
        for row, (far, who) in enumerate(found):
            distances[row], ids[row] = far[:width], who[:width]
        return distances, ids

    def within(
        self, codes: ArrayLike, radius: int, allow: ArrayLike | None = None, labels: Sequence[str] = ()
    ) -> Ragged:
        """As :meth:`Table.within`."""
        queries = self._as_codes(codes)
        if radius < 0:
            raise BadInput(f"The radius is {radius}; it must be 0 or more.")
        allowed = _allowed(allow, labels)
        found = [NONE if allowed.nothing else in_order(*self.near(query, radius, allowed)) for query in queries]
        return [distances for distances, _ in found], [ids for _, ids in found]

    def add(self, codes: ArrayLike, ids: ArrayLike) -> NDArray[np.int64]:
        """As :meth:`SearchEngine.add`; paths and labels are then not known."""
        packed, numbers = self._as_codes(codes), np.asarray(ids, np.int64)
        if numbers.shape != (len(packed),):
            raise BadInput(f"There are {len(packed)} codes, but {numbers.size} ids; give one for each.")
        self.put(Rows(numbers, packed, [""] * len(numbers), [()] * len(numbers)))
        return numbers

    def put(self, rows: Rows) -> None:
        """As :meth:`Table.put`."""
        ascending(rows.ids)
        if len(rows):
            self._begin()
            self.write(Rows(rows.ids, self._as_codes(rows.codes), rows.paths, rows.labels))

    def remove(self, ids: ArrayLike) -> None:
        """As :meth:`SearchEngine.remove`."""
        numbers = np.unique(np.asarray(ids, np.int64))
        missing = numbers[~self.contains(numbers)]
        if len(missing):
            raise BadInput(f"There is no code with id {missing[0]} in {self}.")
        if len(numbers):
            self._begin()
            self.delete(numbers)

    def contains(self, ids: ArrayLike) -> NDArray[np.bool_]:
        """As :meth:`SearchEngine.contains`."""
        numbers = np.asarray(ids, np.int64)
        return np.isin(numbers, self.present(numbers)) if len(numbers) else np.zeros(0, np.bool_)

    def rows(self, ids: ArrayLike) -> Rows:
        """As :meth:`Table.rows`."""
        numbers = np.asarray(ids, np.int64)
        found = self.read(np.unique(numbers))
        place = {number: row for row, number in enumerate(found.ids.tolist())}
        missing = [number for number in numbers.tolist() if number not in place]
        if missing:
            raise BadInput(f"There is no code with id {missing[0]} in {self}.")
        chosen = [place[number] for number in numbers.tolist()]
        return Rows(
            numbers, found.codes[chosen], [found.paths[i] for i in chosen], [found.labels[i] for i in chosen]
        )

    def belong_to(self, model: str) -> None:
        """As :meth:`Table.belong_to`."""
        super().belong_to(model)
        self.note(model, self.whole)

    def flush(self) -> None:
        """Note that all that belongs to the table is there."""
        if not self.whole:
            self.note(self.model, True)
            self.whole = True

    def _begin(self) -> None:
        """Note that rows are missing, until :meth:`flush` says otherwise: whoever is killed leaves that behind."""
        if self.whole:
            self.note(self.model, False)
            self.whole = False

    def _ordered(self, query: NDArray[np.uint8], k: int, allowed: Allowed) -> Neighbours:
        """The ``k`` nearest by distance, then id."""
        distances, ids = in_order(*self.nearest(query, k + 1, allowed))
        if self.exact and len(ids) > k and distances[k] == distances[k - 1]:
            # Several are as far as the last one, and there may be more of them than were asked for.
            distances, ids = in_order(*self.near(query, int(distances[k]), allowed))
        return distances[:k], ids[:k]

    def _as_codes(self, codes: ArrayLike) -> NDArray[np.uint8]:
        packed, bits = as_packed(codes, self.bits)
        if bits != self.bits:
            raise BadInput(f"The codes have {bits} bits, but those in {self} have {self.bits}.")
        return packed


def in_order(distances: NDArray[np.int32], ids: NDArray[np.int64]) -> Neighbours:
    """Neighbours by distance, then id.

    Example:
        >>> in_order(np.array([2, 0, 2], np.int32), np.array([9, 5, 3]))
        (array([0, 2, 2], dtype=int32), array([5, 3, 9]))
    """
    order = np.lexsort((ids, distances))
    return distances[order], ids[order]


def check_installed(module: str, extra: str) -> None:
    """Refuse to go on without a package, saying how to install it.

    Example:
        >>> check_installed("no_such_module", "postgresql")
        Traceback (most recent call last):
        ...
        hashlens.errors.BadInput: no_such_module is not installed; run: pip install 'hashlens[postgresql]'.
    """
    if importlib.util.find_spec(module) is None:
        raise BadInput(f"{module} is not installed; run: pip install 'hashlens[{extra}]'.")


def _allowed(allow: ArrayLike | None, labels: Sequence[str]) -> Allowed:
    return Allowed(None if allow is None else np.unique(np.asarray(allow, np.int64)), tuple(labels))
