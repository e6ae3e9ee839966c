"""Exact search by Hamming distance, in memory or in a folder that is mapped into it."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hashlens.codes.packing import as_packed, bytes_per_code, check_bits
from hashlens.codes.tiles import Queries
from hashlens.engines.engine import ENGINES, Found, Ragged, SearchEngine
from hashlens.engines.hamming.ids import at, find, listed
from hashlens.engines.hamming.manifest import read_manifest, write_manifest
from hashlens.engines.hamming.scan import merge
from hashlens.engines.hamming.segments import (
    SEGMENT_BYTES,
    Segment,
    joined,
    lanes_set,
    unused_files,
    write_codes,
)
from hashlens.errors import BadInput
from hashlens.files import temporary_names

FORMAT = "hashlens-hamming-index"
VERSION = 2  # the first had neither checksums nor ids of the caller's choosing
MANIFEST_FILE = "index.json"
TEMPORARY_MANIFEST = temporary_names(re.escape(MANIFEST_FILE), re.escape(".json"))  # as a killed process leaves it
ROWS_AT_ONCE, PACKED_ROWS_AT_ONCE = 1 << 18, 1 << 22
OPENING_ATTEMPTS = 3  # another process may replace files between reading the manifest and opening them


class HammingIndex(SearchEngine):
    """Codes that answer nearest-neighbour and radius queries exactly.

    Results are sorted by distance, then by id. Ids are given with the codes, or else count from 0 in the order of
    adding. The id of a code never changes: removing codes leaves the others as they are.

    An index lives in memory. :meth:`save` writes it to a folder and :meth:`open` maps such a folder into memory;
    what is added or removed then reaches the folder with the next :meth:`save`, which writes only what is new.
    Searches may
    run in several threads at a time, also while one other thread makes changes: a search sees all of a change or
    nothing of it.

    Attributes:
        bits: code length K.

    Example:
        >>> import numpy as np
        >>> index = HammingIndex.build(np.array([[0b00000000], [0b00001111], [0b11111111]], np.uint8))
        >>> distances, ids = index.search(np.array([[0b00000111]], np.uint8), k=2)
        >>> distances.tolist(), ids.tolist()
        ([[1, 3]], [[1, 0]])
    """

    def __init__(self, segments: list[Segment], bits: int, next_id: int = 0, folder: Path | None = None) -> None:
        self._segments = segments  # replaced as a whole, never changed
        self.bits = bits
        self._next_id = max([next_id, *(int(segment.ids[-1]) + 1 for segment in segments)])
        self._folder = folder
        self._state = ""

    @classmethod
    def build(
        cls,
        codes: ArrayLike | Iterator[ArrayLike],
        bits: int | None = None,
        folder: str | os.PathLike[str] | None = None,
        ids: ArrayLike | Iterator[ArrayLike] | None = None,
    ) -> HammingIndex:
        """Index codes.

        Args:
            codes: (N, ceil(K/8)) uint8 packed codes, or (N, K) ±1 or continuous codes, N ≥ 0; or an iterator of
                such arrays. The index keeps its own copy.
            bits: K, where the codes are packed and K is not a multiple of 8.
            folder: save the index here as it is built, piece by piece, so that no more than some hundred
                megabytes are held in memory however many codes come, and open it. Replaces an index in the
                folder once everything is written.
            ids: (N,) whole numbers, all different; an iterator of such arrays where the codes are one. By default
                0 … N − 1.

        Raises:
            BadInput: an array has the wrong shape, K is not between 8 and 1024, the code length changes between
                arrays, an id stands twice, or the folder holds something else.

        Example:
            >>> import numpy as np, tempfile
            >>> batches = (np.full((1000, 8), number, np.uint8) for number in range(3))
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     HammingIndex.build(batches, folder=folder)
            HammingIndex(3,000 codes of 64 bits)
        """
        pieces = _pieces(codes, ids, bits)
        first = next(pieces, None)
        if first is None:
            raise BadInput("There are no codes, not even an empty array that tells their length.")
        bits = first[2]
        batches = ((packed, numbers) for packed, numbers, _ in itertools.chain([first], pieces))
        if folder is None:
            packed, numbers = (np.concatenate(parts) for parts in zip(*batches, strict=True))
            return cls([Segment.of(packed, bits, numbers)] if len(packed) else [], bits)
        path = _own_folder(folder)
        index = cls(list(write_codes(path, batches, bits)), bits, folder=path)
        index._check_ids_once()
        index.save(path)
        return index

    @classmethod
    def open(cls, folder: str | os.PathLike[str]) -> HammingIndex:
        """Map an index that :meth:`save` wrote into memory.

        Raises:
            BadInput: there is none, or it is damaged or of another version.
        """
        folder = Path(folder)
        for attempt in range(1, OPENING_ATTEMPTS + 1):
            manifest = _read_manifest(folder)
            try:
                bits = check_bits(manifest["bits"])
                segments = [Segment.open(folder, bits, entry) for entry in manifest["segments"]]
                index = cls(segments, bits, int(manifest["next_id"]), folder)
            except FileNotFoundError as error:
                if attempt == OPENING_ATTEMPTS:
                    raise BadInput(f"{folder} is damaged: {error.filename} is missing.") from None
            except (KeyError, TypeError, AttributeError, IndexError, OverflowError) as error:
                raise BadInput(f"{folder / MANIFEST_FILE} is damaged ({error!r}).") from None
            else:
                index._check_ids_once()
                index._state = manifest.get("checksum", "")
                return index
        raise AssertionError("unreachable")

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write the index to a folder, so that a crash at any moment leaves what was there before or all of it.

        Codes that the folder holds already are not written again. One process at a time may save to a folder;
        others may have it open and go on with what they opened.

        Raises:
            BadInput: the folder holds something else.

        Example:
            >>> import numpy as np, tempfile
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     HammingIndex.build(np.zeros((5, 8), np.uint8)).save(folder)
            ...     HammingIndex.open(folder)
            HammingIndex(5 codes of 64 bits)
        """
        path = _own_folder(folder)
        segments = self._segments
        entries = [segment.save(path) for segment in segments]
        content = {"bits": self.bits, "next_id": self._next_id, "segments": entries}
        self._state = write_manifest(path / MANIFEST_FILE, FORMAT, VERSION, content)
        self._folder = path
        for unused in _unused_files(path, {name for entry in entries for name in entry["files"].values()}):
            try:
                unused.unlink(missing_ok=True)
            except OSError:
                continue  # another process on Windows still has it open; the next save removes it

    def flush(self) -> None:
        """Save to the folder that the index was opened from or last saved to, if there is one."""
        if self._folder is not None:
            self.save(self._folder)

    def __len__(self) -> int:
        """Number of codes, without the removed ones."""
        return sum(segment.size for segment in self._segments)

    def __repr__(self) -> str:
        return f"HammingIndex({len(self):,} codes of {self.bits} bits)"

    @property
    def next_id(self) -> int:
        """The id that the next code gets if none is given: one more than any that was given out before."""
        return self._next_id

    @property
    def ids(self) -> NDArray[np.int64]:
        """(N,) ids of the codes, ascending."""
        found = [at(segment.ids, segment.kept()) for segment in self._segments]
        return np.sort(np.concatenate([np.empty(0, np.int64), *found]))

    @property
    def holes(self) -> int:
        """Number of removed codes that still take room; building anew gets rid of them."""
        return sum(segment.count - segment.size for segment in self._segments)

    @property
    def state(self) -> str:
        """What identifies the content of the folder as it was last saved or opened; "" for one never saved."""
        return self._state

    @property
    def plan(self) -> list[str]:
        """How each part of the codes is searched, in words."""
        return [segment.plan for segment in self._segments]

    def codes(self, ids: ArrayLike | None = None) -> NDArray[np.uint8]:
        """Stored codes, as :func:`hashlens.codes.pack` packs them.

        Args:
            ids: (n,) ids; those of all codes by default.

        Returns:
            (n, ceil(K/8)) uint8.

        Raises:
            BadInput: an id is not in the index.

        Example:
            >>> import numpy as np
            >>> HammingIndex.build(np.array([[1, 2], [3, 4]], np.uint8)).codes([1])
            array([[3, 4]], dtype=uint8)
        """
        segments = self._segments
        wanted = self.ids if ids is None else _as_ids(np.asarray(ids), "ids")
        packed = np.empty((len(wanted), bytes_per_code(self.bits)), np.uint8)
        missing = np.ones(len(wanted), np.bool_)
        for segment in segments:
            here, positions = _held(segment, wanted)
            packed[here] = segment.packed(positions)
            missing[here] = False
        _refuse_missing(wanted[missing])
        return packed

    def contains(self, ids: ArrayLike) -> NDArray[np.bool_]:
        """Which of (n,) ids are in the index: given out and not removed."""
        wanted = _as_ids(np.asarray(ids), "ids")
        held = np.zeros(len(wanted), np.bool_)
        for segment in self._segments:
            held[_held(segment, wanted)[0]] = True
        return held

    def add(self, codes: ArrayLike, ids: ArrayLike | None = None) -> NDArray[np.int64]:
        """Add codes; one whose id is there already takes the place of that code.

        Args:
            codes: (n, ceil(K/8)) uint8 packed codes or (n, K) ±1 or continuous ones; one code alone counts as a
                batch of one.
            ids: (n,) whole numbers, all different; by default they go on from :attr:`next_id`.

        Returns:
            (n,) their ids.

        Raises:
            BadInput: the codes have another length than those of the index, or an id stands twice.

        Example:
            >>> import numpy as np
            >>> index = HammingIndex.build(np.zeros((2, 8), np.uint8))
            >>> index.add(np.ones((2, 8), np.uint8)), index.add(np.ones((2, 8), np.uint8), ids=[0, 70])
            (array([2, 3]), array([ 0, 70]))
            >>> index.ids
            array([ 0,  1,  2,  3, 70])
        """
        packed = self._as_packed(codes, "new codes")
        if ids is None:
            numbers = np.arange(self._next_id, self._next_id + len(packed))
        else:
            numbers = _as_ids(np.asarray(ids), "ids")
            if len(numbers) != len(packed):
                raise BadInput(f"There are {len(packed)} codes, but {len(numbers)} ids; give one for each.")
        if not len(packed):
            return numbers
        added = Segment.of(packed, self.bits, numbers)
        segments = [*(self._segments if ids is None else _without(self._segments, numbers)), added]
        # A segment is at least twice as large as the next one or full, so there are few of them, and every code is
        # copied a few times at most.
        while len(segments) > 1 and _should_join(*segments[-2:]):
            segments[-2:] = [joined(*segments[-2:])]
        self._next_id = max(self._next_id, int(numbers.max()) + 1)
        self._segments = segments
        return numbers

    def remove(self, ids: ArrayLike) -> None:
        """Remove codes; nothing else changes its id. Their memory is not given back: build anew for that.

        Args:
            ids: (n,) ids.

        Raises:
            BadInput: an id is not in the index; then nothing is removed.

        Example:
            >>> import numpy as np
            >>> index = HammingIndex.build(np.zeros((4, 8), np.uint8))
            >>> index.remove([1, 2])
            >>> index.ids
            array([0, 3])
        """
        gone = _as_ids(np.asarray(ids), "ids")
        _refuse_missing(gone[~self.contains(gone)])
        self._segments = _without(self._segments, gone)

    def prepare(self, again: bool = False) -> None:
        """Take time and memory now, so that later searches need not look at every code.

        Builds tables for multi-index hashing where a trial counts that they answer with half the work of a scan or
        less, as they do for millions of short or well-separated codes; else does nothing. They take three
        to eight times the memory of the codes. From then on every :meth:`search` chooses between tables and
        scan, query by query; results are the same. Saved with the index. What is added later is scanned, until
        this is called again.

        An index in a folder is saved piece by piece, so that no more than the tables of one piece, some gigabyte,
        are held in memory.

        Args:
            again: measure what work costs on this machine anew, and decide anew; otherwise what was decided before
                stays.

        Example:
            >>> import numpy as np
            >>> index = HammingIndex.build(np.zeros((4, 8), np.uint8))
            >>> index.prepare()
            >>> index.plan  # so few are scanned in no time
            ['4 codes: scanned']
        """
        for place in range(len(self._segments)):
            before = self._segments[place]
            prepared = before.prepared(again)
            if prepared is before:
                continue
            self._segments = [*self._segments[:place], prepared, *self._segments[place + 1 :]]
            if self._folder is not None:
                self.save(self._folder)
                self._segments = HammingIndex.open(self._folder)._segments

    def search(
        self,
        codes: ArrayLike,
        k: int = 10,
        allow: ArrayLike | None = None,
        deny: ArrayLike | None = None,
    ) -> Found:
        """The ``k`` nearest codes of each query.

        Args:
            codes: (Q, ceil(K/8)) uint8 packed codes or (Q, K) ±1 or continuous ones; one code alone counts
                as a batch of one.
            k: at least 1; where it exceeds the number of codes that may be found, all these are returned.
            allow: find these only: (n,) ids, or (``next_id``,) booleans.
            deny: do not find these, in the same form; takes precedence over ``allow``.

        Returns:
            distances (Q, m) int32 and ids (Q, m) int64, sorted by distance, then id; m is the smaller of ``k``
            and the number of codes that may be found.

        Raises:
            BadInput: the queries have another code length than the index, ``k`` is not positive, or a filter
                has another form or an id that was never given out. Removed ids may stand in filters.

        Example:
            >>> import numpy as np
            >>> index = HammingIndex.build(np.array([[0b000], [0b011], [0b111]], np.uint8))
            >>> query = np.array([[0b001]], np.uint8)
            >>> index.search(query, k=1)
            (array([[1]], dtype=int32), array([[0]]))
            >>> index.search(query, k=9, allow=[1, 2])[1], index.search(query, k=9, deny=[1])[1]
            (array([[1, 2]]), array([[0, 2]]))
        """
        k = _checked_k(k)
        segments = self._segments
        masks = self._masks(segments, allow, deny)
        return self._nearest(segments, self._as_packed(codes, "queries"), k, masks)

    def search_ids(
        self, ids: ArrayLike, k: int = 10, allow: ArrayLike | None = None, deny: ArrayLike | None = None
    ) -> Found:
        """The ``k`` nearest *other* codes of each stored code: it is never its own neighbour, its copies are.

        Args:
            ids: (Q,) ids of the codes to search with; a filter need not allow them.
            k, allow, deny: as for :meth:`search`.

        Returns:
            As :meth:`search`; m is the smaller of ``k`` and the number of codes that every query may find.

        Raises:
            BadInput: an id is not in the index, or as for :meth:`search`.

        Example:
            >>> import numpy as np
            >>> index = HammingIndex.build(np.array([[0b000], [0b011], [0b111]], np.uint8))
            >>> index.search_ids([1], k=2)
            (array([[1, 2]], dtype=int32), array([[2, 0]]))
        """
        segments = self._segments
        k, masks = _checked_k(k), self._masks(segments, allow, deny)
        asked = _as_ids(np.asarray(ids), "ids")
        distances, found = self._nearest(segments, self.codes(asked), k + 1, masks)
        itself = found == asked[:, None]
        findable = sum(segment.available(mask) for segment, mask in zip(segments, masks, strict=True))
        width = min(k, findable - _any_allowed(segments, masks, asked)) if len(asked) else min(k, findable)
        order = np.argsort(itself, axis=1, kind="stable")[:, :width]
        return np.take_along_axis(distances, order, 1), np.take_along_axis(found, order, 1)

    def within(
        self,
        codes: ArrayLike,
        radius: int,
        allow: ArrayLike | None = None,
        deny: ArrayLike | None = None,
    ) -> Ragged:
        """All codes within a distance of each query.

        Args:
            codes, allow, deny: as for :meth:`search`.
            radius: largest distance, inclusive, 0 or more.

        Returns:
            Two lists with one array per query: distances (int32) and ids (int64), sorted by distance, then id.

        Raises:
            BadInput: the radius is negative, or as for :meth:`search`.

        Example:
            >>> import numpy as np
            >>> index = HammingIndex.build(np.array([[0b000], [0b011], [0b111]], np.uint8))
            >>> index.within(np.array([[0b001]], np.uint8), radius=1)
            ([array([1, 1], dtype=int32)], [array([0, 1])])
        """
        if radius < 0:
            raise BadInput(f"The radius is {radius}; it must be 0 or more.")
        segments = self._segments
        packed, masks = self._as_packed(codes, "queries"), self._masks(segments, allow, deny)
        queries = Queries.of(packed, self.bits)
        distances = [np.empty(0, np.int32)] * len(packed)
        ids = [np.empty(0, np.int64)] * len(packed)
        for segment, mask in zip(segments, masks, strict=True):
            found = segment.within(queries, min(int(radius), self.bits), mask)
            for row, (row_distances, positions) in enumerate(zip(*found, strict=True)):
                distances[row] = np.concatenate([distances[row], row_distances])
                ids[row] = np.concatenate([ids[row], at(segment.ids, positions)])
        if len(segments) > 1:
            for row in range(len(packed)):
                order = np.lexsort((ids[row], distances[row]))
                distances[row], ids[row] = distances[row][order], ids[row][order]
        return distances, ids

    def _nearest(
        self, segments: list[Segment], packed: NDArray[np.uint8], k: int, masks: list[NDArray[np.uint64]]
    ) -> Found:
        queries = Queries.of(packed, self.bits)
        distances, ids = np.empty((len(packed), 0), np.int32), np.empty((len(packed), 0), np.int64)
        for segment, mask in zip(segments, masks, strict=True):
            some = min(k, segment.available(mask))
            if not some:
                continue
            if not len(packed):
                width = min(k, distances.shape[1] + some)
                distances, ids = np.empty((0, width), np.int32), np.empty((0, width), np.int64)
                continue
            found, positions = segment.nearest(queries, some, mask)
            here = at(segment.ids, positions)
            distances, ids = (found, here) if not distances.shape[1] else _merged(distances, ids, found, here, k)
        return distances, ids

    def _check_ids_once(self) -> None:
        """Raise :class:`BadInput` where two segments hold the same id."""
        by_first = sorted(self._segments, key=lambda segment: int(segment.ids[0]))
        for before, after in itertools.pairwise(by_first):
            if before.ids[-1] >= after.ids[0]:
                kept = np.sort(np.concatenate([at(one.ids, one.kept()) for one in self._segments]))
                twice = kept[:-1][np.diff(kept) == 0]
                if len(twice):
                    raise BadInput(f"The id {twice[0]} is given to two codes; give every code an id of its own.")
                return

    def _as_packed(self, codes: ArrayLike, what: str) -> NDArray[np.uint8]:
        array = np.asarray(codes)
        as_stored = array.dtype == np.uint8 and array.ndim > 0 and array.shape[-1] == bytes_per_code(self.bits)
        packed, bits = as_packed(array, self.bits if as_stored else None)
        if bits != self.bits:
            raise BadInput(
                f"The {what} have {bits} bits, but the index has {self.bits}; encode both with the same model."
            )
        return packed

    def _masks(
        self, segments: list[Segment], allow: ArrayLike | None, deny: ArrayLike | None
    ) -> list[NDArray[np.uint64]]:
        """For each segment, the lanes of its tiles that may be found; empty where that is all of them."""
        if allow is None and deny is None:
            return [segment.present for segment in segments]
        allowed = None if allow is None else self._filter(allow, "allow")
        denied = None if deny is None else self._filter(deny, "deny")
        masks = []
        for segment in segments:
            chosen = np.ones(segment.count, np.bool_) if allowed is None else _marked(segment, allowed)
            if denied is not None:
                chosen &= ~_marked(segment, denied)
            masks.append(segment.masks(chosen))
        return masks

    def _filter(self, chosen: ArrayLike, name: str) -> NDArray[Any]:
        """Ids, or one boolean for each id below :attr:`next_id`."""
        array = np.asarray(chosen)
        if array.dtype == np.bool_:
            if array.shape != (self._next_id,):
                raise BadInput(
                    f"The booleans in {name} must form one array with one entry per id, of shape "
                    f"({self._next_id},), not {array.shape}."
                )
            return array
        ids = _as_ids(array, name)
        lowest = min((int(segment.ids[0]) for segment in self._segments), default=0)
        if len(ids) and (ids.min() < min(lowest, 0) or ids.max() >= self._next_id):
            raise BadInput(
                f"The ids in {name} go from {ids.min()} to {ids.max()}, but ids here lie in "
                f"{min(lowest, 0)} … {self._next_id - 1}."
            )
        return ids


def _held(segment: Segment, ids: NDArray[np.int64]) -> tuple[NDArray[np.intp], NDArray[np.int64]]:
    """Which of (n,) ids a segment holds, as places among them, and at which positions."""
    positions = find(segment.ids, ids)
    inside = np.flatnonzero(positions >= 0)
    held = inside[lanes_set(segment.present, positions[inside])]
    return held, positions[held]


def _without(segments: list[Segment], ids: NDArray[np.int64]) -> list[Segment]:
    """The segments with none of (n,) ids."""
    remaining = []
    for segment in segments:
        _, positions = _held(segment, ids)
        remaining.append(segment.without(positions) if len(positions) else segment)
    return remaining


def _marked(segment: Segment, chosen: NDArray[Any]) -> NDArray[np.bool_]:
    """(count,) which codes of a segment are chosen, by ids or by one boolean for each id from 0 on."""
    if chosen.dtype == np.bool_ and isinstance(segment.ids, range) and segment.ids.start >= 0:
        return chosen[segment.ids.start : segment.ids.stop].copy()
    if chosen.dtype == np.bool_:
        ids = listed(segment.ids)
        return (ids >= 0) & chosen[ids]
    marks = np.zeros(segment.count, np.bool_)
    positions = find(segment.ids, chosen)
    marks[positions[positions >= 0]] = True
    return marks


def _any_allowed(segments: list[Segment], masks: list[NDArray[np.uint64]], ids: NDArray[np.int64]) -> bool:
    """Whether one of (n,) stored ids may be found."""
    for segment, mask in zip(segments, masks, strict=True):
        positions = _held(segment, ids)[1]
        if lanes_set(mask, positions).any():
            return True
    return False


def _refuse_missing(missing: NDArray[np.int64]) -> None:
    if len(missing):
        raise BadInput(f"There is no code with id {missing[0]} in the index.")


def _merged(
    distances: NDArray[np.int32],
    ids: NDArray[np.int64],
    more_distances: NDArray[np.int32],
    more_ids: NDArray[np.int64],
    k: int,
) -> Found:
    """Join results of two sets of codes."""
    widths = distances.shape[1], more_distances.shape[1]
    shape = (2, len(distances), max(widths))
    both_distances, both_ids = np.empty(shape, np.int32), np.empty(shape, np.int64)
    both_distances[0, :, : widths[0]], both_distances[1, :, : widths[1]] = distances, more_distances
    both_ids[0, :, : widths[0]], both_ids[1, :, : widths[1]] = ids, more_ids
    found = np.empty(shape[:2], np.int64)
    found[0], found[1] = widths
    return merge(both_distances, both_ids, found, min(k, sum(widths)))


def _checked_k(k: int) -> int:
    if k < 1:
        raise BadInput(f"k is {k}; ask for at least one neighbour.")
    return int(k)


def _as_ids(array: NDArray[Any], name: str) -> NDArray[np.int64]:
    if array.size == 0:
        return np.empty(0, np.int64)
    if array.dtype.kind not in "iu" or array.ndim > 1:
        raise BadInput(
            f"The {name} must form one array of whole numbers, not {array.dtype} of shape {array.shape}."
        )
    return np.atleast_1d(array).astype(np.int64)


def _should_join(segment: Segment, following: Segment) -> bool:
    fits = segment.packed_bytes + following.packed_bytes <= SEGMENT_BYTES
    return fits and segment.count < 2 * following.count


def _pieces(
    codes: ArrayLike | Iterator[ArrayLike], ids: ArrayLike | Iterator[ArrayLike] | None, bits: int | None
) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.int64], int]]:
    """Packed codes of an array or an iterator of arrays, piece by piece, their ids, and their length."""
    arrays = codes if isinstance(codes, Iterator) else iter([codes])
    numbers = ids if isinstance(ids, Iterator) else iter([] if ids is None else [ids])
    count = 0
    for array in arrays:
        whole = array if isinstance(array, np.ndarray) and array.ndim == 2 else np.atleast_2d(np.asarray(array))
        here = None if ids is None else _as_ids(np.asarray(next(numbers, [])), "ids")
        if here is not None and len(here) != len(whole):
            raise BadInput(f"There are {len(whole)} codes, but {len(here)} ids; give one for each.")
        rows = PACKED_ROWS_AT_ONCE if whole.dtype == np.uint8 else ROWS_AT_ONCE
        for start in range(0, max(1, len(whole)), rows):
            packed, found = as_packed(whole[start : start + rows], bits)
            if bits is not None and found != bits:
                raise BadInput(
                    f"Codes of {found} bits follow codes of {bits} bits; an index holds codes of one length."
                )
            bits = check_bits(found)
            first = count + start
            yield (
                packed,
                np.arange(first, first + len(packed)) if here is None else here[start : start + rows],
                bits,
            )
        count += len(whole)


def _own_folder(folder: str | os.PathLike[str]) -> Path:
    """Make the folder if need be; it must be empty, an index, or what a killed process left of one."""
    path = Path(folder)
    if path.exists() and not path.is_dir():
        raise BadInput(f"{path} is a file; choose a folder.")
    is_index = (path / MANIFEST_FILE).is_file()
    if path.is_dir() and not is_index and set(path.iterdir()) - set(_unused_files(path, set())):
        raise BadInput(f"{path} exists and is not an index; choose a new folder.")
    path.mkdir(parents=True, exist_ok=True)
    return path


def _unused_files(folder: Path, used: set[str]) -> list[Path]:
    left = [path for path in folder.iterdir() if TEMPORARY_MANIFEST.fullmatch(path.name)]
    return [*unused_files(folder, used), *left]


def _read_manifest(folder: Path) -> dict[str, Any]:
    manifest = read_manifest(folder / MANIFEST_FILE, FORMAT, VERSION, checked_from=2)
    return _brought_forward(manifest) if manifest["version"] == 1 else manifest


def _brought_forward(manifest: dict[str, Any]) -> dict[str, Any]:
    """A manifest of the first version, in which ids were places in the order of adding, as one of this version."""
    entries, first = [], 0
    try:
        for entry in manifest["segments"]:
            checksums = dict.fromkeys(entry["files"], "")
            entries.append({**entry, "first": first, "tried": "parts" in entry, "checksums": checksums})
            first += entry["count"]
    except (KeyError, TypeError) as error:
        raise BadInput(f"The manifest of the index is damaged ({error!r}).") from None
    return {**manifest, "segments": entries, "next_id": first}


@ENGINES.register("hamming")
def open_hamming(folder: str, bits: int | None) -> HammingIndex:
    """The index in a folder; a new one of ``bits`` bits where there is none.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     open_hamming(folder, 64)
        HammingIndex(0 codes of 64 bits)
    """
    if bits is None or (Path(folder) / MANIFEST_FILE).exists():
        return HammingIndex.open(folder)
    return HammingIndex.build(np.empty((0, bytes_per_code(bits)), np.uint8), bits, folder)
