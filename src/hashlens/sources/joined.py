"""Several sources in a row, such as the shards of a data set."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hashlens.errors import BadInput
from hashlens.sources.labels import Labels, share_numbering
from hashlens.sources.source import EVERYTHING, Source, rows_of


class JoinedImages(Source):
    """The items of several sources, one source after the other; classes are the same where their names are.

    Args:
        parts: at least one; either all of them have labels or none counts as labelled.

    Raises:
        BadInput: some hold images and others features, or features of several lengths.
    """

    def __init__(self, name: str, parts: Sequence[Source], identity: str) -> None:
        super().__init__(name, *_join_labels(parts), identity)
        self._parts = parts
        self._ends = np.cumsum([len(part) for part in parts])
        for part in parts:
            if part.feature_dimension != parts[0].feature_dimension:
                raise BadInput(
                    f"{name} cannot be used as one source: {parts[0].name} holds {_what_it_holds(parts[0])}, but "
                    f"{part.name} {_what_it_holds(part)}."
                )

    def __len__(self) -> int:
        return int(self._ends[-1])

    def _part_of(self, item: int) -> tuple[Source, int]:
        part = int(np.searchsorted(self._ends, item, side="right"))
        return self._parts[part], item - int(self._ends[part - 1] if part else 0)

    @property
    def feature_dimension(self) -> int | None:
        return self._parts[0].feature_dimension

    def features(self, items: slice | ArrayLike = EVERYTHING) -> NDArray[np.float32]:
        if self.feature_dimension is None:
            return super().features(items)  # which refuses
        numbers = np.arange(len(self))[rows_of(items, len(self))]
        found = np.empty((len(numbers), self.feature_dimension), np.float32)
        parts = np.searchsorted(self._ends, numbers, side="right")
        for part in np.unique(parts).tolist():
            start = int(self._ends[part - 1]) if part else 0
            found[parts == part] = self._parts[part].features(numbers[parts == part] - start)
        return found

    def key(self, item: int) -> str:
        part, position = self._part_of(item)
        return part.key(position)

    def location(self, item: int) -> str:
        part, position = self._part_of(item)
        return part.location(position)

    def fingerprint(self, item: int) -> tuple[int, int]:
        part, position = self._part_of(item)
        return part.fingerprint(position)

    def vectors(self, column: str) -> NDArray[np.float32]:
        return np.concatenate([part.vectors(column) for part in self._parts])

    def read(self, item: int) -> bytes | NDArray[Any]:
        part, position = self._part_of(item)
        return part.read(position)


def _what_it_holds(part: Source) -> str:
    length = part.feature_dimension
    return "images" if length is None else f"features of length {length}"


def _join_labels(parts: Sequence[Source]) -> tuple[Labels | None, tuple[str, ...]]:
    labels, names = parts[0].labels, parts[0].class_names
    for part in parts[1:]:
        if labels is None or part.labels is None:
            return None, ()
        before, here, names = share_numbering(labels, names, part.labels, part.class_names)
        labels = np.concatenate([before, here])
    return labels, names
