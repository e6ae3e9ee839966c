"""What an engine can do that keeps, beside each code, what the image is: a table that others read too."""

from __future__ import annotations

import json
import os
from abc import abstractmethod
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hashlens.codes.packing import check_bits
from hashlens.engines.engine import ENGINES, Found, Ragged, SearchEngine, engine_named_by
from hashlens.errors import BadInput

FORMAT, VERSION = "hashlens-codes", 1


@dataclass(frozen=True)
class Facts:
    """What a table says of itself, wherever its kind keeps that.

    Attributes:
        bits: code length K.
        model: fingerprint of the model that made the codes; empty where that is not known.
        whole: whether all of a copy is there.

    Example:
        >>> facts = Facts(bits=64, model="5e0c")
        >>> Facts.read(facts.written(), "codes.parquet") == facts
        True
    """

    bits: int
    model: str = ""
    whole: bool = True

    def written(self) -> str:
        """As JSON, with the version of the format."""
        return json.dumps({"format": FORMAT, "version": VERSION, **asdict(self)})

    @classmethod
    def read(cls, text: str | bytes | None, shown: str) -> Facts:
        """What :meth:`written` wrote.

        Args:
            text: that, or whatever stands in its place.
            shown: name of the table, for a refusal.

        Raises:
            BadInput: it was written by something else, or by a later version.
        """
        try:
            facts = json.loads(text or "{}")
            if facts["format"] != FORMAT:
                raise KeyError("format")
            version = facts["version"]
            read = cls(check_bits(facts["bits"]), str(facts["model"]), bool(facts.get("whole", True)))
        except (KeyError, TypeError, ValueError, RecursionError):
            raise BadInput(f"{shown} was not written by hashlens copy; name a new one.") from None
        if version != VERSION:
            raise BadInput(f"{shown} has format version {version}; this HashLens reads up to {VERSION}.")
        return read

    def check_length(self, bits: int | None, shown: str) -> None:
        """Refuse codes of another length than the table's.

        Raises:
            BadInput: ``bits`` is given and is another.
        """
        if bits not in (None, self.bits):
            raise BadInput(f"{shown} holds codes of {self.bits} bits, not {bits}; name a new one.")


def new_facts(bits: int | None, shown: str) -> Facts:
    """Facts of a table that is not there yet.

    Raises:
        BadInput: ``bits`` is not given, so that nobody asked for a new one.

    Example:
        >>> new_facts(None, "nowhere.parquet")
        Traceback (most recent call last):
        ...
        hashlens.errors.BadInput: There are no codes at nowhere.parquet; write them with hashlens copy.
    """
    if bits is None:
        raise BadInput(f"There are no codes at {shown}; write them with hashlens copy.")
    return Facts(check_bits(bits))


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

    def check_searchable(self, bits: int, model: str) -> None:
        """Refuse to search in it with codes that it does not answer.

        Args:
            bits: length of the codes.
            model: fingerprint of the model that makes them.

        Raises:
            BadInput: those in the table are of another model, or a part of them is missing.
        """
        if self.bits != bits or self.model not in ("", model):
            raise BadInput(
                f"The codes in {self} were made by another model; name the one in the index they came from."
            )
        if not self.whole:
            raise BadInput(f"{self} is not copied whole; give hashlens copy again.")


def opened_table(address: str | os.PathLike[str], bits: int | None = None) -> Table:
    """Open a table by its address, as :func:`hashlens.engines.open` opens any engine.

    Raises:
        BadInput: it cannot be opened, or keeps codes alone.

    Example:
        >>> import hashlens as hl
        >>> opened_table("never-written.parquet", bits=8).bits
        8
    """
    known = "name a table such as codes.parquet, codes.npy or postgresql://…."
    name, rest = engine_named_by(address)
    if name == "hamming" and bits is not None and not Path(rest).is_dir():
        raise BadInput(f"{address} is no kind of table that can be written; {known}")
    engine = ENGINES[name](rest, None if name == "hamming" else bits)  # or an index would be made in a folder
    if not isinstance(engine, Table):
        raise BadInput(f"{address} keeps codes alone, without paths and labels; {known}")
    return engine
