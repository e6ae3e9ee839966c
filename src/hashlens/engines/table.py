"""What an engine can do that keeps, beside each code, what the image is: a table that others read too."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hashlens.engines.engine import Found, Ragged, SearchEngine, open_engine
from hashlens.errors import BadInput


@dataclass(frozen=True)
class Rows:
    """Rows of a table of codes.

    Attributes:
        ids: (n,) int64.
        codes: (n, ceil(K/8)) uint8, packed.
        paths: n, of the images.
        labels: n, names of the classes of each image.

    Example:
        >>> rows = Rows(np.array([7]), np.array([[170]], np.uint8), ["photos/7.jpg"], [("cat",)])
        >>> len(rows), rows.paths[0]
        (1, 'photos/7.jpg')
    """

    ids: NDArray[np.int64]
    codes: NDArray[np.uint8]
    paths: list[str]
    labels: list[tuple[str, ...]]

    def __len__(self) -> int:
        return len(self.ids)


class Table(SearchEngine):
    """An engine whose codes stand in a table with the paths and labels of the images.

    Attributes:
        model: fingerprint of the model that made the codes; empty where that is not known.
        whole: whether all of a copy is there; not so while one is made, or after one that was killed.

    Example:
        >>> import hashlens as hl
        >>> table = hl.engines.open("never-written.parquet", bits=8)
        >>> table.put(Rows(np.array([7]), np.array([[170]], np.uint8), ["photos/7.jpg"], [("cat",)]))
        >>> isinstance(table, Table), table.rows([7]).labels
        (True, [('cat',)])
    """

    model: str = ""
    whole: bool = True

    @abstractmethod
    def search(
        self, codes: ArrayLike, k: int = 10, allow: ArrayLike | None = None, labels: Sequence[str] = ()
    ) -> Found:
        """As :meth:`SearchEngine.search`, among rows that have one of the ``labels`` if there are any."""

    @abstractmethod
    def within(
        self, codes: ArrayLike, radius: int, allow: ArrayLike | None = None, labels: Sequence[str] = ()
    ) -> Ragged:
        """As :meth:`SearchEngine.within`, among rows that have one of the ``labels`` if there are any."""

    @abstractmethod
    def put(self, rows: Rows) -> None:
        """Add rows; one whose id is there already takes the place of that row.

        Raises:
            BadInput: the codes have another length than those of the table, or an id stands twice.
        """

    @abstractmethod
    def rows(self, ids: ArrayLike) -> Rows:
        """The rows with these ids, in their order.

        Raises:
            BadInput: there is none with one of the ids.
        """

    @abstractmethod
    def every_row(self) -> Iterator[Rows]:
        """All rows by id, in batches."""

    def label_counts(self) -> dict[str, int]:
        """How many rows have each label, by label."""
        counted = Counter(name for rows in self.every_row() for names in rows.labels for name in set(names))
        return dict(sorted(counted.items()))

    def belong_to(self, model: str) -> None:
        """Note which model makes the codes.

        Args:
            model: its fingerprint.

        Raises:
            BadInput: the table holds codes of another model.
        """
        if self.model not in ("", model) and len(self):
            raise BadInput(
                f"{self} holds codes of another model, which cannot be compared; name a new table for this one."
            )
        self.model = model


def opened_table(address: str | os.PathLike[str], bits: int | None = None) -> Table:
    """Open a table by its address, as :func:`hashlens.engines.open` opens any engine.

    Raises:
        BadInput: it cannot be opened, or keeps codes alone.

    Example:
        >>> import hashlens as hl
        >>> opened_table("never-written.parquet", bits=8).bits
        8
    """
    engine = open_engine(address, bits)
    if not isinstance(engine, Table):
        raise BadInput(
            f"{address} keeps codes alone, without paths and labels; name a table such as codes.parquet or postgresql://…."
        )
    return engine
