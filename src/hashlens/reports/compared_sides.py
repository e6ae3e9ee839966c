"""What a comparison trains on, asks and searches: the same for all methods, drawn anew for each seed."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hashlens.backbones import Backbone, extract_features
from hashlens.compute.devices import encoding_device
from hashlens.errors import BadInput
from hashlens.progress import Progress
from hashlens.sources import FeatureArray, Source, as_source
from hashlens.sources.labels import as_multi_hot, common_names, share_numbering
from hashlens.sources.protocols import Protocol, draw_protocol, drawn_from, is_protocol, open_protocol
from hashlens.sources.reading import tell_skipped

Items = Source | str | os.PathLike[str]


@dataclass(frozen=True)
class Sides:
    """Three sources whose classes are numbered alike, but that training may know fewer of them."""

    train: Source
    queries: Source
    database: Source

    def __iter__(self) -> Iterator[Source]:
        return iter((self.train, self.queries, self.database))


@dataclass(frozen=True, kw_only=True)
class Division:
    """How the items of a comparison are divided; see :func:`hashlens.compare` for the fields.

    Raises:
        BadInput: they contradict each other, or are out of range.
    """

    queries_per_class: int | None = None
    train_per_class: int | None = None
    exclude_training: bool = False
    unseen_classes: int = 0
    leave_one_out: bool = False

    def __post_init__(self) -> None:
        for name in ("queries_per_class", "train_per_class"):
            count = getattr(self, name)
            if count is not None and count < 1:
                raise BadInput(f"The {name.replace('_', ' ')} are {count}; give a whole number from 1 up.")
        if self.unseen_classes < 0:
            raise BadInput(f"The unseen classes are {self.unseen_classes}; give a whole number from 0 up.")

    def sides_of(
        self, source: Items, queries: Items | None, database: Items | None, seeds: Sequence[int]
    ) -> dict[int, Sides]:
        """The sides of each seed.

        Raises:
            BadInput: it is not clear what is asked or searched, a source has no labels, or there is too little of a
                class.
        """
        protocol = self._protocol(source, queries, database)
        if protocol is not None:
            return {seed: self._refined(Sides(**protocol.parts(seed)), seed) for seed in seeds}
        train, asked = self._opened(source, queries)
        searched = train if database is None or database == source else as_source(database)
        sides = Sides(train, searched if asked is None else asked, searched)
        return {seed: self._refined(sides, seed) for seed in seeds}

    def _protocol(self, source: Items, queries: Items | None, database: Items | None) -> Protocol | None:
        by_name = isinstance(source, str) and is_protocol(source)
        if not by_name and self.queries_per_class is None:
            return None
        if queries is not None or database is not None or self.leave_one_out:
            raise BadInput("Queries are drawn from the images, and the rest is searched; give neither of them too.")
        if by_name and self.queries_per_class is not None:
            raise BadInput(f"{source} says what the queries are; leave the queries per class out.")
        if by_name:
            return open_protocol(str(source))
        images, per_class = as_source(source), self.queries_per_class or 0
        if images.labels is None or images.labels.ndim == 2:
            raise BadInput(f"{images.name} has no single class for each item, to draw queries of each from.")
        labels = np.asarray(images.labels, np.int64)
        return drawn_from(images, lambda seed: draw_protocol(labels, None, seed, per_class))

    def _opened(self, source: Items, queries: Items | None) -> tuple[Source, Source | None]:
        """What is trained on and what is asked; ``None`` for what is searched."""
        if queries is not None and self.leave_one_out:
            raise BadInput("With leave-one-out every image of the database is a query; give no others.")
        if queries is not None or self.leave_one_out:
            return as_source(source), None if queries is None else as_source(queries)
        try:
            if isinstance(source, Source):
                raise BadInput(f"{source.name} is one source")
            return as_source(f"{os.fspath(source)}:train"), as_source(f"{os.fspath(source)}:test")
        except BadInput as error:
            raise BadInput(
                f"It is not said what the queries are: name them, or how many of each class to draw, or a source "
                f"with the splits train and test ({str(error).rstrip('.')})."
            ) from None

    def _refined(self, sides: Sides, seed: int) -> Sides:
        """Sides with names in common, of which some are drawn or left out."""
        for side in sides:
            if side.labels is None:
                raise BadInput(f"{side.name} has no labels, so there is nothing to judge results by.")
        names = common_names(*(side.class_names for side in (sides.database, sides.train, sides.queries)))
        label_sets = any(side.multi_label for side in sides)
        train, database = (_numbered(side, names, label_sets) for side in (sides.train, sides.database))
        queries = database
        if sides.queries is not sides.database:
            queries = _numbered(sides.queries, names, label_sets)
        if self.train_per_class is not None:
            train = train.select(_drawn(train, self.train_per_class, seed))
        if self.exclude_training:
            database = _without(database, train)
            queries = database if self.leave_one_out else queries
        if self.unseen_classes:
            train, queries, database = self._by_classes(train, queries, database, seed)
        if not len(queries) or not len(database):
            raise BadInput("Nothing is left to search with, or in.")
        return Sides(train.with_own_classes(), queries, database)

    def _by_classes(self, train: Source, queries: Source, database: Source, seed: int) -> tuple[Source, ...]:
        if train.multi_label or queries.multi_label or database.multi_label:
            raise BadInput("Items with label sets cannot be divided by class; leave the unseen classes out.")
        count = len(train.class_names)
        if count - self.unseen_classes < 2:
            raise BadInput(
                f"Of {count} classes {self.unseen_classes} cannot be left out; two must stay to train on."
            )
        unseen = np.random.default_rng(seed).permutation(count)[: self.unseen_classes]

        def among(side: Source) -> NDArray[np.bool_]:
            return np.isin(np.asarray(side.labels), unseen)

        left = database.select(among(database))
        asked = left if queries is database else queries.select(among(queries))
        return train.select(~among(train)), asked, left


def _numbered(side: Source, names: tuple[str, ...], label_sets: bool) -> Source:
    """The same items with their labels numbered by these names, which are all that there are and perhaps more."""
    assert side.labels is not None
    none = np.empty((0, len(names)), bool) if side.multi_label else np.empty(0, np.int64)
    _, labels, _ = share_numbering(none, names, side.labels, side.class_names)
    return side.with_labels(as_multi_hot(labels, len(names)) if label_sets else labels, names)


def _drawn(train: Source, per_class: int, seed: int) -> NDArray[np.int64]:
    """As many items of each class, or, of label sets, as many in all as that makes."""
    assert train.labels is not None
    random = np.random.default_rng(seed)
    if train.labels.ndim == 2:
        return random.permutation(len(train))[: per_class * train.labels.shape[1]]
    numbers = [number for number in np.unique(train.labels) if number >= 0]
    return np.concatenate([random.permutation(np.flatnonzero(train.labels == one))[:per_class] for one in numbers])


def _without(database: Source, train: Source) -> Source:
    (images, items), (others, trained) = database.origin, train.origin
    kept = ~np.isin(items, trained)
    if images is not others or kept.all():
        raise BadInput(
            f"No training image stands in the database, {database.name}, so none can be excluded; leave that out, "
            "or draw the training images from the database."
        )
    return database.select(kept)


def digest_of(sides: Iterable[Source]) -> str:
    """Of which items there are on each side, and of their labels."""
    digest = hashlib.blake2b(digest_size=16)
    for side in sides:
        labels = np.ascontiguousarray(side.labels)
        for array in (side.origin[1], labels):
            digest.update(f"{array.shape} {array.dtype}".encode() + array.tobytes())
        digest.update("\n".join(side.class_names).encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


class OnceComputed:
    """The features of all that any of the sides holds, each computed once.

    Args:
        sides: all that will be asked for.
        backbone: ``None`` where they hold features.
        device: to compute on; a GPU by default, where there is one.
    """

    def __init__(
        self, sides: Sequence[Sides], backbone: Backbone | None, device: str | None, progress: Progress | None
    ) -> None:
        origins: dict[int, Source] = {}
        needed: dict[int, list[NDArray[np.int64]]] = {}
        for side in [side for three in sides for side in three]:
            origin, items = side.origin
            origins[id(origin)] = origin
            needed.setdefault(id(origin), []).append(items)
        self._origins = origins  # kept, so that no other source takes the place of one in memory
        self._last = backbone.last_dimension if backbone else None
        self._values: dict[int, NDArray[np.float32]] = {}
        self._rows: dict[int, NDArray[np.int64]] = {}
        for key, origin in origins.items():
            items = np.unique(np.concatenate(needed[key]))
            found = extract_features(origin.select(items), backbone, encoding_device(device), progress=progress)
            tell_skipped(found.skipped)
            self._values[key] = found.values
            self._rows[key] = np.full(len(origin), -1)
            self._rows[key][items[found.items]] = np.arange(len(found.items))

    def of(self, sides: Sides, stages: bool = False) -> Sides:
        """The same sides as features; what could not be read is left out.

        Args:
            stages: with what stages of the backbone gave, if it tells that.
        """
        last = None if stages else self._last
        train, database = self._features(sides.train, last), self._features(sides.database, last)
        queries = database if sides.queries is sides.database else self._features(sides.queries, last)
        return replace(sides, train=train, queries=queries, database=database)

    def _features(self, side: Source, last: int | None) -> FeatureArray:
        origin, items = side.origin
        rows = self._rows[id(origin)][items]
        read = rows >= 0
        assert side.labels is not None
        values = self._values[id(origin)][rows[read], :last]
        return FeatureArray(side.name, values, side.labels[read], side.class_names)
