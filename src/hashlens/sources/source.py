"""What every source of items offers, whatever it is read from."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from hashlens.errors import BadInput
from hashlens.sources.decoding import Raw, UnreadableImage, decode
from hashlens.sources.labels import NO_LABEL, Labels


@dataclass(frozen=True)
class Skipped:
    """An item that could not be used.

    Attributes:
        item: its number in the source.
        key: its name, such as a path.
        reason: why, in a few words.
    """

    item: int
    key: str
    reason: str

    def __str__(self) -> str:
        return f"{self.key}: {self.reason}"


class Source(ABC):
    """A numbered sequence of items with labels.

    Attributes:
        name: what the user called it.
        labels: (N,) int64 class numbers, −1 for an item without one; (N, C) bool where items have label sets;
            ``None`` where the source knows no labels at all.
        class_names: C names, in the order of the class numbers; the numbers where none are given.
        identity: a name for the whole source, unique on this machine, that stays the same from run to run.
    """

    def __init__(
        self, name: str, labels: Labels | None, class_names: Sequence[str], identity: str | None = None
    ) -> None:
        self.name = name
        self.identity = identity or name
        self.labels = labels
        if labels is not None and not class_names:
            count = labels.shape[1] if labels.ndim == 2 else int(labels.max(initial=NO_LABEL)) + 1
            class_names = [str(number) for number in range(count)]
        self.class_names = tuple(class_names)

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def key(self, item: int) -> str:
        """A name for the item, unique in this source, that stays the same from run to run."""

    @abstractmethod
    def stamp(self, item: int) -> tuple[int, int]:
        """Size and time of change of the file that holds the item: equal where it has not been changed."""

    @abstractmethod
    def select(self, items: ArrayLike) -> Source:
        """The source that holds only these items (numbers or a boolean mask), in this order."""

    def location(self, item: int) -> str:
        """Where a person finds the item, unique on this machine: the path of a file, or the row of a table."""
        return self.key(item)

    def vectors(self, column: str) -> NDArray[np.float32]:
        """(N, D) from a column of lists, a row of zeros where an item has none.

        Raises:
            BadInput: the source is not a table that has such a column.
        """
        raise BadInput(f"{self.name} has no columns of vectors; give the vectors of its items as a .npy file.")

    @property
    def multi_label(self) -> bool:
        return self.labels is not None and self.labels.ndim == 2

    def label_names(self, item: int) -> list[str]:
        """Names of the item's classes; empty where it has none."""
        if self.labels is None:
            return []
        here = self.labels[item]
        numbers = np.flatnonzero(here) if self.multi_label else [here] if here != NO_LABEL else []
        return [self.class_names[number] for number in numbers]

    def has_label(self) -> NDArray[np.bool_]:
        """(N,) whether each item has at least one label."""
        if self.labels is None:
            return np.zeros(len(self), bool)
        return np.asarray(self.labels.any(1) if self.multi_label else self.labels != NO_LABEL)

    def __repr__(self) -> str:
        classes = f", {len(self.class_names)} classes" if self.class_names else ""
        return f"{type(self).__name__}({self.name!r}, {len(self):,} items{classes})"


class ImageSource(Source):
    """A source of images."""

    @abstractmethod
    def read(self, item: int) -> Raw:
        """The undecoded item.

        Raises:
            UnreadableImage: it cannot be read at all.
        """

    def image(self, item: int, shortest_side: int | None = None) -> Image.Image:
        """The decoded RGB image; see :func:`hashlens.sources.decoding.decode`.

        Raises:
            UnreadableImage: with the reason.
        """
        return decode(self.read(item), shortest_side)

    def select(self, items: ArrayLike) -> ImageSource:
        return SelectedImages(self, _numbers(items, len(self)))


class SelectedImages(ImageSource):
    """Some items of another image source."""

    def __init__(self, source: ImageSource, items: NDArray[np.int64]) -> None:
        labels = None if source.labels is None else source.labels[items]
        super().__init__(source.name, labels, source.class_names, source.identity)
        self._source = source
        self._items = items

    def __len__(self) -> int:
        return len(self._items)

    def key(self, item: int) -> str:
        return self._source.key(int(self._items[item]))

    def stamp(self, item: int) -> tuple[int, int]:
        return self._source.stamp(int(self._items[item]))

    def read(self, item: int) -> Raw:
        return self._source.read(int(self._items[item]))

    def vectors(self, column: str) -> NDArray[np.float32]:
        return self._source.vectors(column)[self._items]

    def select(self, items: ArrayLike) -> ImageSource:
        return SelectedImages(self._source, self._items[_numbers(items, len(self))])

    def location(self, item: int) -> str:
        return self._source.location(int(self._items[item]))


class ImageFiles(ImageSource):
    """Image files at given paths.

    Args:
        paths: N paths.
        root: keys are paths relative to it where possible.
        identity: of the source; the root's path by default.
    """

    def __init__(
        self,
        name: str,
        paths: Sequence[Path],
        root: Path,
        labels: Labels | None = None,
        class_names: Sequence[str] = (),
        identity: str | None = None,
    ) -> None:
        super().__init__(name, labels, class_names, identity or str(root.resolve()))
        self._paths = paths
        self._root = root

    def __len__(self) -> int:
        return len(self._paths)

    def key(self, item: int) -> str:
        path = self._paths[item]
        return str(path.relative_to(self._root)) if path.is_relative_to(self._root) else str(path)

    def stamp(self, item: int) -> tuple[int, int]:
        try:
            status = self._paths[item].stat()
        except OSError:
            return -1, -1
        return status.st_size, status.st_mtime_ns

    def read(self, item: int) -> bytes:
        try:
            return self._paths[item].read_bytes()
        except OSError as error:
            raise UnreadableImage(error.strerror or "cannot be read") from None

    def location(self, item: int) -> str:
        return str(self._paths[item].absolute())


class ImageArray(ImageSource):
    """Images held in memory as pixels.

    Args:
        pixels: (N, H, W) gray or (N, H, W, 3) RGB uint8.
    """

    def __init__(
        self,
        name: str,
        pixels: NDArray[np.uint8],
        labels: Labels | None = None,
        class_names: Sequence[str] = (),
    ) -> None:
        super().__init__(name, labels, class_names)
        self._pixels = pixels

    def __len__(self) -> int:
        return len(self._pixels)

    def key(self, item: int) -> str:
        return f"{self.name}#{item}"

    def stamp(self, item: int) -> tuple[int, int]:
        return self._pixels[item].nbytes, 0

    def read(self, item: int) -> NDArray[np.uint8]:
        return self._pixels[item]


class FeatureArray(Source):
    """Features that someone else computed.

    Attributes:
        features: (N, D) float32, finite.

    Args:
        rows: (N,) int64, the rows of the table that the features were taken from; 0 … N − 1 by default.
    """

    def __init__(
        self,
        name: str,
        features: NDArray[np.float32],
        labels: Labels | None = None,
        class_names: Sequence[str] = (),
        identity: str | None = None,
        rows: NDArray[np.int64] | None = None,
    ) -> None:
        super().__init__(name, labels, class_names, identity)
        self.features = features
        self._rows = np.arange(len(features)) if rows is None else rows

    def __len__(self) -> int:
        return len(self.features)

    def key(self, item: int) -> str:
        return f"{self.name}#{self._rows[item]}"

    def location(self, item: int) -> str:
        return f"{self.identity}#{self._rows[item]}"

    def stamp(self, item: int) -> tuple[int, int]:
        # A changed file does not mean that every row changed, so the stamp is of the row itself.
        digest = hashlib.blake2b(self.features[item].tobytes(), digest_size=7).digest()
        return self.features[item].nbytes, int.from_bytes(digest, "big")

    def select(self, items: ArrayLike) -> FeatureArray:
        numbers = _numbers(items, len(self))
        labels = None if self.labels is None else self.labels[numbers]
        return FeatureArray(
            self.name, self.features[numbers], labels, self.class_names, self.identity, self._rows[numbers]
        )


def _numbers(items: ArrayLike, count: int) -> NDArray[np.int64]:
    array = np.asarray(items)
    if array.dtype == bool:
        if array.shape != (count,):
            raise BadInput(f"A mask of shape {array.shape} does not fit {count} items.")
        return np.flatnonzero(array)
    return array.astype(np.int64)


def identity_of(path: Path, split: str | None) -> str:
    """The identity of a table, or of the rows of one split of it."""
    return str(path.resolve()) + (f":{split}" if split else "")
