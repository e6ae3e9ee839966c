"""What tables in a file have in common: their codes are held in memory, searched by ours, and written anew."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hashlens.codes.packing import as_packed, bytes_per_code
from hashlens.engines.engine import Found, Ragged
from hashlens.engines.hamming import HammingIndex
from hashlens.engines.table import Facts, Rows, Table, new_facts
from hashlens.errors import BadInput
from hashlens.files import replacing

ROWS_AT_ONCE = 1 << 16
NOTHING_KNOWN: tuple[str, tuple[str, ...]] = ("", ())


class FileTable(Table):
    """The codes of a file, held in memory and searched exactly; :meth:`flush` writes the file anew.

    A subclass says how the file is written and read.

    Args:
        address: path of the file.
        bits: code length K, where there is no file yet.

    Raises:
        BadInput: there is no such file and ``bits`` is not given, or the file is damaged, holds something else, or
            codes of another length.

    Example:
        >>> FileTable.__abstractmethods__ == {"read", "write"}
        True
    """

    def __init__(self, address: str, bits: int | None = None) -> None:
        self.path = Path(address)
        if self.path.exists():
            facts, rows = self.read()
            facts.check_length(bits, address)
        else:
            facts = new_facts(bits, address)
            if not self.path.parent.is_dir():
                raise BadInput(
                    f"{self.path} cannot be written, since there is no folder {self.path.parent}; make it first."
                )
            nothing = np.empty((0, bytes_per_code(facts.bits)), np.uint8)
            rows = Rows(np.empty(0, np.int64), nothing, [], [])
        self.bits = facts.bits
        self.model = facts.model
        try:
            packed, _ = as_packed(rows.codes, facts.bits)
            self._index = HammingIndex.build(packed, facts.bits, ids=rows.ids)
        except BadInput as error:
            raise BadInput(f"{self.path} is damaged ({error}); copy the index again.") from None
        self._known = dict(zip(rows.ids.tolist(), zip(rows.paths, rows.labels, strict=True), strict=True))

    @abstractmethod
    def read(self) -> tuple[Facts, Rows]:
        """What the file says of itself, and its rows.

        Raises:
            BadInput: it is damaged, or holds something else.
        """

    @abstractmethod
    def write(self, temporary: Path, facts: Facts) -> None:
        """Write all rows to a new file, which then takes the place of the old one."""

    def __len__(self) -> int:
        return len(self._index)

    def __repr__(self) -> str:
        return str(self.path)

    def search(
        self, codes: ArrayLike, k: int = 10, allow: ArrayLike | None = None, labels: Sequence[str] = ()
    ) -> Found:
        """As :meth:`Table.search`."""
        return self._index.search(codes, k, self._held(allow, labels))

    def within(
        self, codes: ArrayLike, radius: int, allow: ArrayLike | None = None, labels: Sequence[str] = ()
    ) -> Ragged:
        """As :meth:`Table.within`."""
        return self._index.within(codes, radius, self._held(allow, labels))

    def add(self, codes: ArrayLike, ids: ArrayLike) -> NDArray[np.int64]:
        """As :meth:`SearchEngine.add`; paths and labels are then not known."""
        added = self._index.add(codes, ids)
        for number in added.tolist():
            self._known.pop(number, None)
        return added

    def put(self, rows: Rows) -> None:
        """As :meth:`Table.put`."""
        self._index.add(rows.codes, rows.ids)
        self._known.update(zip(rows.ids.tolist(), zip(rows.paths, rows.labels, strict=True), strict=True))

    def remove(self, ids: ArrayLike) -> None:
        """As :meth:`SearchEngine.remove`."""
        self._index.remove(ids)
        for number in np.asarray(ids).tolist():
            self._known.pop(number, None)

    def contains(self, ids: ArrayLike) -> NDArray[np.bool_]:
        """As :meth:`SearchEngine.contains`."""
        return self._index.contains(ids)

    def rows(self, ids: ArrayLike) -> Rows:
        """As :meth:`Table.rows`."""
        numbers = np.asarray(ids, np.int64)
        known = [self._known.get(number, NOTHING_KNOWN) for number in numbers.tolist()]
        return Rows(
            numbers, self._index.codes(numbers), [path for path, _ in known], [labels for _, labels in known]
        )

    def every_row(self) -> Iterator[Rows]:
        """As :meth:`Table.every_row`."""
        ids = np.sort(self._index.ids)
        for start in range(0, len(ids), ROWS_AT_ONCE):
            yield self.rows(ids[start : start + ROWS_AT_ONCE])

    def flush(self) -> None:
        """Write the file. A crash at any moment leaves what was there before, or all of it.

        Raises:
            BadInput: it cannot be written.
        """
        try:
            with replacing(self.path) as temporary:
                self.write(temporary, Facts(self.bits, self.model))
        except OSError as error:
            raise BadInput(f"{self.path} cannot be written ({error.strerror or 'the disk may be full'}).") from None

    def _held(self, allow: ArrayLike | None, labels: Sequence[str]) -> NDArray[np.int64] | None:
        """Those of the ids that have a code, as ours refuses ids that it never gave out, and one of the labels."""
        if allow is None and not labels:
            return None
        ids = np.sort(self._index.ids) if allow is None else np.asarray(allow, np.int64)
        kept = self._index.contains(ids)
        if labels:
            wanted = set(labels)
            kept &= np.array(
                [not wanted.isdisjoint(self._known.get(number, NOTHING_KNOWN)[1]) for number in ids.tolist()],
                np.bool_,
            )
        return ids[kept]
