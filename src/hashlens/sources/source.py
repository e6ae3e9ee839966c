"""What every source of items offers, whatever it is read from."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from hashlens.errors import BadInput
from hashlens.sources.decoding import UnreadableImage, decode
from hashlens.sources.labels import NO_LABEL, Labels, number_labels

EVERYTHING = slice(None)
NO_FINGERPRINT = (-1, -1)  # of what cannot be read


@dataclass(frozen=True)
class Skipped:
    """An item that could not be used.

    Attributes:
        item: its number in the source.
        key: its name, such as a path.
        reason: why, in a few words.

    Example:
        >>> str(Skipped(3, "cats/7.jpg", "the file is empty"))
        'cats/7.jpg: the file is empty'
    """

    item: int
    key: str
    reason: str

    def __str__(self) -> str:
        return f"{self.key}: {self.reason}"


class Source(ABC):
    """A numbered sequence of items with labels: images, or features that someone else computed.

    A new kind of source defines ``__len__`` and :meth:`read`, calls this class's constructor, and redefines what it
    knows better: the names that people know its items by, a fingerprint without reading, features in bulk.

    Args:
        name: what the user called it.
        labels: (N,) class numbers, −1 for an item without one, or class names; (N, C) of 0 and 1, or N lists, where
            items have label sets; ``None`` where the source knows no labels at all.
        class_names: C names, in the order of the class numbers; the numbers where none are given.
        identity: a name for the whole source, unique on this machine, that stays the same from run to run;
            ``name`` by default.

    Attributes:
        name, identity: as given.
        labels: (N,) int64 or (N, C) bool, or ``None``.
        class_names: C names.

    Raises:
        BadInput: the labels are none of these, or do not fit the names.

    Example:
        >>> class Shades(Source):
        ...     def __len__(self):
        ...         return 3
        ...     def read(self, item):
        ...         return np.full((8, 8, 3), 100 * item, np.uint8)
        >>> shades = Shades("shades", np.array([0, 1, 1]), ["dark", "light"])
        >>> shades
        Shades('shades', 3 items, 2 classes)
        >>> shades.image(2).getpixel((0, 0)), shades.label_names(2)
        ((200, 200, 200), ['light'])
        >>> shades.select([2, 0]).key(0)
        'shades#2'
    """

    def __init__(
        self,
        name: str,
        labels: ArrayLike | None = None,
        class_names: Sequence[str] = (),
        identity: str | None = None,
    ) -> None:
        self.name = name
        self.identity = identity or name
        self.labels: Labels | None = None
        self.class_names = tuple(class_names)
        if labels is not None:
            self.labels, self.class_names = number_labels(labels, class_names or None, name)

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def read(self, item: int) -> bytes | NDArray[Any]:
        """The item as it is kept: the bytes of an image file; pixels, (H, W) gray or (H, W, 3) RGB uint8; or, where
        :attr:`feature_dimension` is not ``None``, its feature, (D,) float32.

        Raises:
            UnreadableImage: it cannot be read at all.
        """

    @property
    def feature_dimension(self) -> int | None:
        """D where the items are ready-made features, ``None`` where they are images."""
        return None

    def features(self, items: slice | ArrayLike = EVERYTHING) -> NDArray[np.float32]:
        """(n, D) float32 features of these items (a slice, numbers or a mask), of all by default.

        Raises:
            BadInput: the source holds images.
        """
        if self.feature_dimension is None:
            raise BadInput(f"{self.name} holds images, but features were expected.")
        numbers = np.arange(len(self))[rows_of(items, len(self))]
        nothing = np.empty((0, self.feature_dimension), np.float32)
        return np.concatenate([nothing, *(self.read(item)[None] for item in numbers.tolist())])  # type: ignore[call-overload]

    def image(self, item: int, shortest_side: int | None = None) -> Image.Image:
        """The decoded RGB image; see :func:`hashlens.sources.decode`.

        Raises:
            UnreadableImage: with the reason.
            BadInput: the source holds features.
        """
        if self.feature_dimension is not None:
            raise BadInput(f"{self.name} holds features, but images were expected.")
        return decode(self.read(item), shortest_side)

    def key(self, item: int) -> str:
        """A name for the item, unique in this source, that stays the same from run to run."""
        return f"{self.name}#{item}"

    def location(self, item: int) -> str:
        """Where a person finds the item, unique on this machine: the path of a file, or the row of a table."""
        return self.key(item)

    def fingerprint(self, item: int) -> tuple[int, int]:
        """Size, and time of change or a digest of the content: equal where the item has not been changed."""
        try:
            raw = self.read(item)
        except UnreadableImage:
            return NO_FINGERPRINT
        content = raw if isinstance(raw, bytes) else np.ascontiguousarray(raw).tobytes()
        return len(content), int.from_bytes(hashlib.blake2b(content, digest_size=7).digest(), "big")

    def select(self, items: ArrayLike) -> Source:
        """The source that holds only these items (numbers or a boolean mask), in this order.

        Raises:
            BadInput: the mask is of another length, or there are no such items.
        """
        return Selection(self, numbers_of(items, len(self)))

    @property
    def origin(self) -> tuple[Source, NDArray[np.int64]]:
        """The source that these items were selected from, and their numbers in it; else itself, and all of them."""
        return self, np.arange(len(self))

    def with_labels(self, labels: ArrayLike, class_names: Sequence[str] = ()) -> Source:
        """The same items with these labels instead of their own, in any form that the constructor takes.

        Raises:
            BadInput: they are no labels, or not as many as there are items.
        """
        labelled = self.select(np.arange(len(self)))
        labelled.labels, labelled.class_names = number_labels(labels, class_names or None, self.name)
        labelled.check_label_count()
        return labelled

    def with_own_classes(self) -> Source:
        """The same items, with those classes alone that some item has, numbered anew."""
        labels, names = self.labels, self.class_names
        if labels is None:
            return self
        own = np.flatnonzero(labels.any(0)) if labels.ndim == 2 else np.unique(labels[labels != NO_LABEL])
        if len(own) == len(names):
            return self
        places = np.full(len(names) + 1, NO_LABEL)
        places[own] = np.arange(len(own))
        renumbered = labels[:, own] if labels.ndim == 2 else places[labels]
        return self.with_labels(renumbered, [names[number] for number in own])

    def vectors(self, column: str) -> NDArray[np.float32]:
        """(N, V) from a column of lists, a row of zeros where an item has none.

        Raises:
            BadInput: the source is not a table that has such a column.
        """
        raise BadInput(f"{self.name} has no columns of vectors; give the vectors of its items as a .npy file.")

    @property
    def multi_label(self) -> bool:
        """Whether items have label sets."""
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

    def check_label_count(self) -> None:
        """Raise ``BadInput`` unless there are as many labels as items, for sources that are given both."""
        if self.labels is not None and len(self.labels) != len(self):
            raise BadInput(f"{self.name} has {len(self)} items, but {len(self.labels)} labels; give one for each.")

    def __repr__(self) -> str:
        classes = f", {len(self.class_names)} classes" if self.class_names else ""
        return f"{type(self).__name__}({self.name!r}, {len(self):,} items{classes})"


class Selection(Source):
    """Some items of another source."""

    def __init__(self, source: Source, items: NDArray[np.int64]) -> None:
        labels = None if source.labels is None else source.labels[items]
        super().__init__(source.name, labels, source.class_names, source.identity)
        self._source = source
        self._items = items

    def __len__(self) -> int:
        return len(self._items)

    def read(self, item: int) -> bytes | NDArray[Any]:
        return self._source.read(int(self._items[item]))

    @property
    def feature_dimension(self) -> int | None:
        return self._source.feature_dimension

    def features(self, items: slice | ArrayLike = EVERYTHING) -> NDArray[np.float32]:
        return self._source.features(self._items[rows_of(items, len(self))])

    def key(self, item: int) -> str:
        return self._source.key(int(self._items[item]))

    def location(self, item: int) -> str:
        return self._source.location(int(self._items[item]))

    def fingerprint(self, item: int) -> tuple[int, int]:
        return self._source.fingerprint(int(self._items[item]))

    def select(self, items: ArrayLike) -> Source:
        selected = Selection(self._source, self._items[numbers_of(items, len(self))])
        if self.labels is not None:  # which may not be those of the source
            selected.labels, selected.class_names = self.labels[numbers_of(items, len(self))], self.class_names
        return selected

    @property
    def origin(self) -> tuple[Source, NDArray[np.int64]]:
        return self._source, self._items

    def vectors(self, column: str) -> NDArray[np.float32]:
        return self._source.vectors(column)[self._items]


def rows_of(items: slice | ArrayLike, count: int) -> slice | NDArray[np.int64]:
    """What picks these items from an array; a slice stays one, so that nothing is copied."""
    return items if isinstance(items, slice) else numbers_of(items, count)


def numbers_of(items: ArrayLike, count: int) -> NDArray[np.int64]:
    """Items that are given as numbers or as a mask, as numbers.

    Raises:
        BadInput: the mask is not of length ``count``, or there are no such items.
    """
    array = np.asarray(items)
    if array.dtype == bool:
        if array.shape != (count,):
            raise BadInput(f"A mask of shape {array.shape} does not fit {count} items.")
        return np.flatnonzero(array)
    if array.size and (array.ndim != 1 or array.dtype.kind not in "iu"):
        raise BadInput(f"Items are chosen by (n,) numbers or a mask, not by {array.dtype} of shape {array.shape}.")
    if array.size and not 0 <= array.min() <= array.max() < count:
        raise BadInput(f"Items are numbered from 0 to {count - 1}, not from {array.min()} to {array.max()}.")
    return array.reshape(-1).astype(np.int64)


def identity_of(path: Path, split: str | None) -> str:
    """The identity of a table, or of the rows of one split of it."""
    return str(path.resolve()) + (f":{split}" if split else "")
