"""Exact search over shards on Ray: ``ray:shards/*``, folders that each hold some of the codes."""

from __future__ import annotations

import glob
import itertools
import os
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hashlens.codes.packing import as_packed
from hashlens.compute.ray_cluster import connected
from hashlens.compute.threads import share_processors
from hashlens.engines.engine import ENGINES, Found, Ragged, SearchEngine
from hashlens.engines.hamming import HammingIndex
from hashlens.engines.served_table import in_order
from hashlens.errors import BadInput, first_line

QUERIES_AT_ONCE = 4096
SECONDS_TO_OPEN = 600  # that an actor may wait for its processors and take to open its folder
AT_ONCE = 4  # requests that an actor answers at a time, so that few queries need not wait for many


class Answer(tuple[Any, Any]):
    """Distances and ids, as a pair, and whose part in them is missing.

    Attributes:
        missing: folders of the shards that did not answer; what they hold was not found.

    Example:
        >>> answer = Answer((np.zeros((1, 1), np.int32), np.array([[7]])))
        >>> distances, ids = answer
        >>> ids.tolist(), answer.missing
        ([[7]], ())
    """

    missing: tuple[str, ...] = ()


class RayShards(SearchEngine):
    """Folders of codes that are searched together, each by actors of a Ray cluster.

    Every shard is opened and mapped into memory where its actors run; queries go to all shards in batches, and
    their answers are merged by distance and id, so that they are those of one index of all codes. An actor that is
    lost is started again from its folder; until then a replica of it answers, or the shard is missing, which is an
    error.

    The shards are only searched. To change them, save them anew and open this again.

    Args:
        folders: each written by :meth:`HammingIndex.save`, on a disk that the nodes see; ids must not be in two of
            them.
        address: of the cluster, see :func:`hashlens.compute.ray_cluster.connected`.
        replicas: actors of each shard, among which queries are shared out.
        processors: that each actor has for itself.
        partial: answer without the shards that are missing, as long as there is one, and say so in
            :attr:`Answer.missing`.

    Raises:
        BadInput: there is no such cluster, it is too small, or a folder cannot be opened or has codes of another
            length than the others.

    Example:
        >>> import tempfile
        >>> codes = np.random.default_rng(0).integers(0, 256, (1000, 8), dtype=np.uint8)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     for number, ids in enumerate(np.array_split(np.arange(1000), 2)):
        ...         HammingIndex.build(codes[ids], ids=ids).save(f"{folder}/{number}")
        ...     with RayShards([f"{folder}/0", f"{folder}/1"]) as shards:  # doctest: +SKIP
        ...         len(shards), shards.search(codes[:1], k=1)
        (1000, (array([[0]], dtype=int32), array([[0]])))
    """

    def __init__(
        self,
        folders: Sequence[str | os.PathLike[str]],
        address: str = "",
        replicas: int = 1,
        processors: int = 1,
        partial: bool = False,
    ) -> None:
        if not folders or replicas < 1 or processors < 1:
            raise BadInput("Give the folders of one shard or more, and one replica and processor or more.")
        self._partial = partial
        self._shards: list[_Shard] = []
        self._open = ExitStack()
        self._open.enter_context(connected(address))
        try:
            _check_room(len(folders) * replicas * processors)
            self._shards = [_Shard(Path(folder), replicas, processors) for folder in folders]
            extents = [shard.extent() for shard in self._shards]
            self.bits = extents[0].bits
            for shard, one in zip(self._shards, extents, strict=True):
                if one.bits != self.bits:
                    raise BadInput(
                        f"{shard.folder} holds codes of {one.bits} bits, and {folders[0]} of {self.bits}."
                    )
            self._size = sum(one.size for one in extents)
            self._check_apart(extents)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> RayShards:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the actors, and of the cluster if it was started for this."""
        for shard in self._shards:
            shard.close()
        self._shards = []
        self._open.close()

    def __len__(self) -> int:
        return self._size

    def __repr__(self) -> str:
        return f"RayShards({self._size:,} codes of {self.bits} bits in {len(self._shards)} shards)"

    def search(self, codes: ArrayLike, k: int = 10, allow: ArrayLike | None = None) -> Answer:
        """As :meth:`SearchEngine.search`; ids that no shard holds do not matter.

        Raises:
            BadInput: as there, or a shard is missing.
        """
        queries = self._as_codes(codes)
        if k < 1:
            raise BadInput(f"k is {k}; ask for at least one neighbour.")
        found, missing = self._ask_in_batches("search", queries, k, allow)
        merged = [_nearest(shards, k) for shards in found]
        width = min((ids.shape[1] for _, ids in merged), default=0)  # a shard may have been lost between batches
        answer = Answer(
            (
                np.concatenate([np.empty((0, width), np.int32), *(far[:, :width] for far, _ in merged)]),
                np.concatenate([np.empty((0, width), np.int64), *(ids[:, :width] for _, ids in merged)]),
            )
        )
        answer.missing = missing
        return answer

    def within(self, codes: ArrayLike, radius: int, allow: ArrayLike | None = None) -> Answer:
        """As :meth:`SearchEngine.within`; ids that no shard holds do not matter.

        Raises:
            BadInput: as there, or a shard is missing.
        """
        queries = self._as_codes(codes)
        if radius < 0:
            raise BadInput(f"The radius is {radius}; it must be 0 or more.")
        found, missing = self._ask_in_batches("within", queries, radius, allow)
        of_queries = [
            [(far[row], ids[row]) for far, ids in shards] for shards in found for row in range(len(shards[0][0]))
        ]
        ordered = [in_order(*(np.concatenate(one) for one in zip(*shards, strict=True))) for shards in of_queries]
        answer = Answer(([far for far, _ in ordered], [ids for _, ids in ordered]))
        answer.missing = missing
        return answer

    def contains(self, ids: ArrayLike) -> NDArray[np.bool_]:
        """As :meth:`SearchEngine.contains`.

        Raises:
            BadInput: a shard is missing.
        """
        numbers = np.asarray(ids, np.int64)
        held, missing = self._collected([shard.ask("contains", numbers) for shard in self._shards])
        if missing:
            raise _lost(missing)
        return np.logical_or.reduce(held)

    def add(self, codes: ArrayLike, ids: ArrayLike) -> NDArray[np.int64]:
        """Refused: shards are only searched."""
        raise BadInput("Shards are only searched; save them anew with what is to be added, and open them again.")

    def remove(self, ids: ArrayLike) -> None:
        """Refused: shards are only searched."""
        raise BadInput("Shards are only searched; save them anew without what is gone, and open them again.")

    def _as_codes(self, codes: ArrayLike) -> NDArray[np.uint8]:
        packed, bits = as_packed(codes, self.bits)
        if bits != self.bits:
            raise BadInput(f"The codes have {bits} bits, but those in the shards have {self.bits}.")
        return packed

    def _ask_in_batches(
        self, method: str, queries: NDArray[np.uint8], depth: int, allow: ArrayLike | None
    ) -> tuple[list[list[Any]], tuple[str, ...]]:
        """What the shards find for each batch of queries, and the folders of those that are missing."""
        allowed = None if allow is None else np.unique(np.asarray(allow, np.int64))
        batches = [queries[first : first + QUERIES_AT_ONCE] for first in range(0, len(queries), QUERIES_AT_ONCE)]
        asked = [[shard.ask(method, batch, depth, allowed) for shard in self._shards] for batch in batches]
        found, missing = [], dict[str, None]()
        for one in asked:
            answers, lost = self._collected(one)
            found.append(answers)
            missing.update(dict.fromkeys(lost))
        return found, tuple(missing)

    def _collected(self, asked: Sequence[_Asked]) -> tuple[list[Any], list[str]]:
        """The answers of the shards that are there, and the folders of the others."""
        answers, missing, reason = [], [], ""
        for shard, one in zip(self._shards, asked, strict=True):
            try:
                answers.append(one.answer())
            except _Lost as error:
                missing.append(str(shard.folder))
                reason = str(error).rstrip(".")
        if missing and not (self._partial and answers):
            raise _lost(missing, reason)
        return answers, missing

    def _check_apart(self, extents: Sequence[_Extent]) -> None:
        """Refuse shards that share an id, which is looked into where the ranges of their ids overlap."""
        order = sorted(
            (one for one in range(len(extents)) if extents[one].size), key=lambda one: extents[one].first
        )
        for before, after in itertools.combinations(order, 2):
            if extents[after].first > extents[before].last:
                continue
            shared = np.intersect1d(self._shards[before].ids(), self._shards[after].ids(), assume_unique=True)
            if len(shared):
                raise BadInput(
                    f"{self._shards[before].folder} and {self._shards[after].folder} both hold a code with the id "
                    f"{shared[0]}."
                )


def _lost(folders: Sequence[str], reason: str = "") -> BadInput:
    verb, why = "is" if len(folders) == 1 else "are", f" ({reason})" if reason else ""
    return BadInput(f"{' and '.join(folders)} {verb} lost{why} and being started again; ask again in a moment.")


class _Extent(NamedTuple):
    """Code length, number of codes, and the smallest and largest id of a shard."""

    bits: int
    size: int
    first: int
    last: int


class _Lost(Exception):
    """No actor of a shard answers."""


class _Asked:
    """A question to a shard, which another of its actors is asked where one is lost."""

    def __init__(self, actors: Sequence[Any], method: str, arguments: tuple[Any, ...]) -> None:
        self._others = list(actors[1:])
        self._method = method
        self._arguments = arguments
        self._pending = getattr(actors[0], method).remote(*arguments)

    def answer(self, seconds: float | None = None) -> Any:
        import ray
        from ray.exceptions import GetTimeoutError, RayError, RayTaskError

        while True:
            try:
                return ray.get(self._pending, timeout=seconds)
            except RayError as error:
                reason: Exception = error
                if isinstance(error, RayTaskError):
                    if not isinstance(error.cause, BadInput):
                        raise
                    reason = error.cause  # requests have been checked, so that its folder cannot be opened
                if not self._others or isinstance(error, GetTimeoutError):
                    raise _Lost(first_line(reason)) from None
            self._pending = getattr(self._others.pop(0), self._method).remote(*self._arguments)


class _Shard:
    """A folder and the actors that search it."""

    def __init__(self, folder: Path, replicas: int, processors: int) -> None:
        import ray

        self.folder = folder
        actor = ray.remote(_Searching).options(num_cpus=processors, max_restarts=-1, max_concurrency=AT_ONCE)
        self._actors: list[Any] = [actor.remote(folder.resolve(), processors) for _ in range(replicas)]
        self._turns = itertools.cycle(range(replicas))

    def ask(self, method: str, *arguments: Any) -> _Asked:
        """A question to the actor whose turn it is."""
        first = next(self._turns)
        return _Asked([*self._actors[first:], *self._actors[:first]], method, arguments)

    def extent(self) -> _Extent:
        """What every actor says when it has opened the folder.

        Raises:
            BadInput: one could not.
        """
        found = [_Asked([actor], "extent", ()) for actor in self._actors]
        try:
            extent, *_ = [one.answer(SECONDS_TO_OPEN) for one in found]
        except _Lost as error:
            raise BadInput(f"{self.folder} cannot be opened on the cluster ({first_line(error)}).") from None
        return extent

    def ids(self) -> NDArray[np.int64]:
        return self.ask("ids").answer()

    def close(self) -> None:
        import ray

        for actor in self._actors:
            ray.kill(actor)


class _Searching:
    """The actor: a shard, opened where it runs."""

    def __init__(self, folder: Path, processors: int) -> None:
        share_processors(processors)
        self._folder = folder
        self._opened: HammingIndex | None = None

    def _index(self) -> HammingIndex:
        if self._opened is None:  # not before it is asked, since an actor that fails to start says nothing of why
            self._opened = HammingIndex.open(self._folder)
        return self._opened

    def extent(self) -> _Extent:
        ids = self.ids()
        return _Extent(self._index().bits, len(ids), *((int(ids.min()), int(ids.max())) if len(ids) else (0, 0)))

    def ids(self) -> NDArray[np.int64]:
        return self._index().ids

    def contains(self, ids: NDArray[np.int64]) -> NDArray[np.bool_]:
        return self._index().contains(ids)

    def search(self, queries: NDArray[np.uint8], k: int, allow: NDArray[np.int64] | None) -> Found:
        return self._index().search(queries, k, self._held(allow))

    def within(self, queries: NDArray[np.uint8], radius: int, allow: NDArray[np.int64] | None) -> Ragged:
        return self._index().within(queries, radius, self._held(allow))

    def _held(self, allow: NDArray[np.int64] | None) -> NDArray[np.int64] | None:
        return None if allow is None else allow[self._index().contains(allow)]


def _nearest(shards: Sequence[Found], k: int) -> Found:
    """The nearest of what several shards found for the same queries, by distance, then id."""
    distances = np.concatenate([far for far, _ in shards], axis=1)
    ids = np.concatenate([numbers for _, numbers in shards], axis=1)
    order = np.lexsort((ids, distances))[:, :k]
    return np.take_along_axis(distances, order, 1), np.take_along_axis(ids, order, 1)


def _check_room(needed: int) -> None:
    import ray

    there = int(ray.cluster_resources().get("CPU", 0))
    if needed > there:
        raise BadInput(
            f"The shards need {needed} processors, and the Ray cluster has {there}; add nodes with ray start."
        )


@ENGINES.register("ray")
def open_ray_shards(address: str, bits: int | None = None) -> RayShards:
    """Open shards on the cluster in ``RAY_ADDRESS``, that of this machine, or a new one.

    Args:
        address: pattern of the folders, such as ``shards/*``.
        bits: code length K that the caller expects.

    Raises:
        BadInput: there are no such folders, or as for :class:`RayShards`.

    Example:
        >>> open_ray_shards("nowhere/*")
        Traceback (most recent call last):
        ...
        hashlens.errors.BadInput: There are no shards at nowhere/*; save one with HammingIndex.save.
    """
    folders = sorted(glob.glob(address))  # noqa: PTH207 - it may be absolute or relative
    if not folders:
        raise BadInput(f"There are no shards at {address}; save one with HammingIndex.save.")
    shards = RayShards(folders)
    if bits not in (None, shards.bits):
        shards.close()
        raise BadInput(f"The shards at {address} hold codes of {shards.bits} bits, not {bits}.")
    return shards
