"""Exact search by Hamming distance, in memory or in a folder that is mapped into it."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hashlens.codes.packing import as_packed, check_bits
from hashlens.codes.tiles import Queries
from hashlens.engines.hamming.scan import Found, Ragged, merge
from hashlens.engines.hamming.segments import SEGMENT_BYTES, Segment, joined, lanes_set, unused_files, write_codes
from hashlens.errors import BadInput
from hashlens.files import write_json

FORMAT = "hashlens-hamming-index"
VERSION = 1
MANIFEST_FILE = "index.json"
ROWS_AT_ONCE = 1 << 18
OPENING_ATTEMPTS = 3  # another process may replace files between reading the manifest and opening them


class HammingIndex:
    """Codes that answer nearest-neighbour and radius queries exactly.

    Results are sorted by distance, then by id. The id of a code is its place in the order of adding, from 0. It
    never changes: removing codes leaves the ids of the others as they are, and ids are not used again.

    An index lives in memory. :meth:`save` writes it to a folder and :meth:`open` maps such a folder into memory,
    whatever its size, in milliseconds; what is added or removed then reaches the folder with the next
    :meth:`save`, which writes only what is new. Searches may run in several threads at a time, changes in one.

    Attributes:
        bits: code length K.
    """

    def __init__(self, segments: list[Segment], bits: int) -> None:
        self._segments = segments
        self.bits = bits

    @classmethod
    def build(
        cls,
        codes: ArrayLike | Iterator[ArrayLike],
        bits: int | None = None,
        folder: str | os.PathLike[str] | None = None,
    ) -> HammingIndex:
        """Index codes.

        Args:
            codes: (N, ceil(K/8)) uint8 packed codes, or (N, K) ±1 or continuous codes, N ≥ 0; or an iterator of
                such arrays. The index keeps its own copy.
            bits: K, where the codes are packed and K is not a multiple of 8.
            folder: save the index here as it is built, piece by piece, so that no more than some hundred
                megabytes are held in memory however many codes come, and open it. Replaces an index in the
                folder once everything is written.

        Raises:
            BadInput: an array has the wrong shape, K is not between 8 and 1024, the code length changes between
                arrays, or the folder holds something else.
        """
        pieces = _packed_pieces(codes, bits)
        first, bits = next(pieces, (None, bits))
        if first is None or bits is None:
            raise BadInput("There are no codes, not even an empty array that tells their length.")
        batches = itertools.chain([first], (packed for packed, _ in pieces))
        if folder is None:
            parts = list(batches)
            packed = parts[0] if len(parts) == 1 else np.concatenate(parts)
            return cls([Segment.of(packed, bits)] if len(packed) else [], bits)
        path = _own_folder(folder)
        index = cls(list(write_codes(path, batches, bits)), bits)
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
                bits = int(manifest["bits"])
                return cls([Segment.open(folder, bits, entry) for entry in manifest["segments"]], bits)
            except FileNotFoundError as error:
                if attempt == OPENING_ATTEMPTS:
                    raise BadInput(f"{folder} is damaged: {error.filename} is missing.") from None
            except (KeyError, TypeError, AttributeError) as error:
                raise BadInput(f"{folder / MANIFEST_FILE} is damaged ({error!r}).") from None
        raise AssertionError("unreachable")

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write the index to a folder, so that a crash at any moment leaves what was there before or all of it.

        Codes that the folder holds already are not written again. One process at a time may save to a folder;
        others may have it open and go on with what they opened.

        Raises:
            BadInput: the folder holds something else.
        """
        path = _own_folder(folder)
        entries = [segment.save(path) for segment in self._segments]
        manifest = {"format": FORMAT, "version": VERSION, "bits": self.bits, "segments": entries}
        write_json(path / MANIFEST_FILE, manifest)
        for unused in _unused_files(path, {name for entry in entries for name in entry["files"].values()}):
            try:
                unused.unlink(missing_ok=True)
            except OSError:
                continue  # another process on Windows still has it open; the next save removes it

    def __len__(self) -> int:
        """Number of codes, without the removed ones."""
        return sum(segment.size for segment in self._segments)

    def __repr__(self) -> str:
        return f"HammingIndex({len(self):,} codes of {self.bits} bits)"

    @property
    def next_id(self) -> int:
        """The id that the next code will get; all ids are smaller. N, unless codes were removed."""
        return sum(segment.count for segment in self._segments)

    @property
    def ids(self) -> NDArray[np.int64]:
        """(N,) ids of the codes, ascending."""
        return np.flatnonzero(self._present(np.arange(self.next_id)))

    def codes(self, ids: ArrayLike | None = None) -> NDArray[np.uint8]:
        """Stored codes, as :func:`hashlens.codes.pack` packs them.

        Args:
            ids: (n,) ids; those of all codes by default.

        Returns:
            (n, ceil(K/8)) uint8.

        Raises:
            BadInput: an id is not in the index.
        """
        wanted = self.ids if ids is None else self._stored_ids(ids)
        packed = np.empty((len(wanted), -(-self.bits // 8)), np.uint8)
        for first, segment in self._placed():
            here = (wanted >= first) & (wanted < first + segment.count)
            packed[here] = segment.packed(wanted[here] - first)
        return packed

    def contains(self, ids: ArrayLike) -> NDArray[np.bool_]:
        """Which of (n,) ids are in the index: given out and not removed."""
        return self._present(_as_ids(np.asarray(ids), "ids"))

    def add(self, codes: ArrayLike) -> NDArray[np.int64]:
        """Add codes.

        Args:
            codes: (n, ceil(K/8)) uint8 packed codes or (n, K) ±1 or continuous ones; one code alone counts as a
                batch of one.

        Returns:
            (n,) their ids.

        Raises:
            BadInput: the codes have another length than those of the index.
        """
        packed = self._as_packed(codes, "new codes")
        first = self.next_id
        if len(packed):
            segments = [*self._segments, Segment.of(packed, self.bits)]
            # A segment is at least twice as large as the next one or full, so there are few of them, and every
            # code is copied a few times at most.
            while len(segments) > 1 and _should_join(*segments[-2:]):
                segments[-2:] = [joined(segments[-2:])]
            self._segments = segments
        return np.arange(first, first + len(packed))

    def remove(self, ids: ArrayLike) -> None:
        """Remove codes; nothing else changes its id. Their memory is not given back: build anew for that.

        Args:
            ids: (n,) ids.

        Raises:
            BadInput: an id is not in the index; then nothing is removed.
        """
        gone = self._stored_ids(ids)
        for first, segment in self._placed():
            here = gone[(gone >= first) & (gone < first + segment.count)]
            if len(here):
                segment.remove(here - first)

    def prepare(self, folder: str | os.PathLike[str] | None = None) -> None:
        """Take time and memory now, so that later searches need not look at every code.

        Builds tables for multi-index hashing where a trial on this machine shows that they answer faster than a
        scan, as they do for millions of short or well-separated codes; else does nothing. They take three
        to eight times the memory of the codes. From then on every :meth:`search` chooses between tables and
        scan, query by query; results are the same. Saved with the index. What is added later is scanned, until
        this is called again.

        Args:
            folder: save the index here piece by piece, so that no more than the tables of one piece, some
                gigabyte, are held in memory.

        Raises:
            BadInput: the folder holds something else.
        """
        for place in range(len(self._segments)):
            if self._segments[place].prepare() and folder is not None:
                self.save(folder)
                self._segments = HammingIndex.open(folder)._segments

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
        """
        k = _checked_k(k)
        return self._nearest(self._as_packed(codes, "queries"), k, self._masks(allow, deny))

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
        """
        k, masks, asked = _checked_k(k), self._masks(allow, deny), self._stored_ids(ids)
        distances, found = self._nearest(self.codes(asked), k + 1, masks)
        itself = found == asked[:, None]
        findable = sum(segment.available(mask) for (_, segment), mask in zip(self._placed(), masks, strict=True))
        width = min(k, findable - bool(self._allowed(asked, masks).any())) if len(asked) else min(k, findable)
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
        """
        if radius < 0:
            raise BadInput(f"The radius is {radius}; it must be 0 or more.")
        packed, masks = self._as_packed(codes, "queries"), self._masks(allow, deny)
        queries = Queries.of(packed, self.bits)
        distances = [np.empty(0, np.int32)] * len(packed)
        ids = [np.empty(0, np.int64)] * len(packed)
        for (first, segment), mask in zip(self._placed(), masks, strict=True):
            found = segment.within(queries, min(int(radius), self.bits), mask)
            for row, (row_distances, positions) in enumerate(zip(*found, strict=True)):
                both = np.concatenate([distances[row], row_distances])
                order = np.argsort(both, kind="stable")
                distances[row] = both[order]
                ids[row] = np.concatenate([ids[row], positions + first])[order]
        return distances, ids

    def _nearest(self, packed: NDArray[np.uint8], k: int, masks: list[NDArray[np.uint64]]) -> Found:
        count = len(packed)
        queries = Queries.of(packed, self.bits)
        distances, ids = np.empty((count, 0), np.int32), np.empty((count, 0), np.int64)
        for (first, segment), mask in zip(self._placed(), masks, strict=True):
            some = min(k, segment.available(mask))
            if some == 0 or count == 0:
                width = min(k, distances.shape[1] + some)
                distances, ids = distances[:, :width], ids[:, :width]
                if count == 0:
                    distances, ids = np.empty((0, width), np.int32), np.empty((0, width), np.int64)
                continue
            found, positions = segment.nearest(queries, some, mask)
            positions += first
            if distances.shape[1] == 0:
                distances, ids = found, positions
            else:
                distances, ids = _merged(distances, ids, found, positions, k)
        return distances, ids

    def _placed(self) -> list[tuple[int, Segment]]:
        """Segments and the ids of their first codes."""
        placed, first = [], 0
        for segment in self._segments:
            placed.append((first, segment))
            first += segment.count
        return placed

    def _as_packed(self, codes: ArrayLike, what: str) -> NDArray[np.uint8]:
        array = np.asarray(codes)
        as_stored = array.dtype == np.uint8 and array.ndim > 0 and array.shape[-1] == (self.bits + 7) // 8
        packed, bits = as_packed(array, self.bits if as_stored else None)
        if bits != self.bits:
            raise BadInput(
                f"The {what} have {bits} bits, but the index has {self.bits}; encode both with the same model."
            )
        return packed

    def _masks(self, allow: ArrayLike | None, deny: ArrayLike | None) -> list[NDArray[np.uint64]]:
        """For each segment, the lanes of its tiles that may be found; empty where that is all of them."""
        if allow is None and deny is None:
            return [segment.present for segment in self._segments]
        allowed = np.ones(self.next_id, np.bool_) if allow is None else self._filter(allow, "allow")
        if deny is not None:
            allowed &= ~self._filter(deny, "deny")
        return [segment.masks(allowed[first : first + segment.count]) for first, segment in self._placed()]

    def _filter(self, chosen: ArrayLike, name: str) -> NDArray[np.bool_]:
        array = np.asarray(chosen)
        if array.dtype == np.bool_:
            if array.shape != (self.next_id,):
                raise BadInput(
                    f"The booleans in {name} must form one array with one entry per id, of shape "
                    f"({self.next_id},), not {array.shape}."
                )
            return array.copy()
        ids = _as_ids(array, name)
        if len(ids) and (ids.min() < 0 or ids.max() >= self.next_id):
            raise BadInput(
                f"The ids in {name} go from {ids.min()} to {ids.max()}, but ids here lie in 0 … {self.next_id - 1}."
            )
        marked = np.zeros(self.next_id, np.bool_)
        marked[ids] = True
        return marked

    def _stored_ids(self, ids: ArrayLike) -> NDArray[np.int64]:
        wanted = _as_ids(np.asarray(ids), "ids")
        outside = wanted[(wanted < 0) | (wanted >= self.next_id)]
        missing = outside if len(outside) else wanted[~self._present(wanted)]
        if len(missing):
            raise BadInput(f"There is no code with id {missing[0]} in the index.")
        return wanted

    def _present(self, ids: NDArray[np.int64]) -> NDArray[np.bool_]:
        return self._allowed(ids, [segment.present for segment in self._segments])

    def _allowed(self, ids: NDArray[np.int64], masks: list[NDArray[np.uint64]]) -> NDArray[np.bool_]:
        allowed = np.zeros(len(ids), np.bool_)
        for (first, segment), mask in zip(self._placed(), masks, strict=True):
            here = (ids >= first) & (ids < first + segment.count)
            allowed[here] = lanes_set(mask, ids[here] - first)
        return allowed


def _merged(
    distances: NDArray[np.int32],
    ids: NDArray[np.int64],
    more_distances: NDArray[np.int32],
    more_ids: NDArray[np.int64],
    k: int,
) -> Found:
    """Join results of earlier and later segments."""
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


def _packed_pieces(
    codes: ArrayLike | Iterator[ArrayLike], bits: int | None
) -> Iterator[tuple[NDArray[np.uint8], int]]:
    """Packed codes of an array or an iterator of arrays, piece by piece, and their length."""
    for array in codes if isinstance(codes, Iterator) else [codes]:
        whole = array if isinstance(array, np.ndarray) and array.ndim == 2 else np.atleast_2d(np.asarray(array))
        rows = len(whole) if whole.dtype == np.uint8 else ROWS_AT_ONCE  # what is packed already needs no copy
        for start in range(0, max(1, len(whole)), max(1, rows)):
            packed, found = as_packed(whole[start : start + rows], bits)
            if bits is not None and found != bits:
                raise BadInput(
                    f"Codes of {found} bits follow codes of {bits} bits; an index holds codes of one length."
                )
            bits = check_bits(found)
            yield packed, bits


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
    return [*unused_files(folder, used), *folder.glob(f".{MANIFEST_FILE}.*")]


def _read_manifest(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST_FILE
    if not path.is_file():
        raise BadInput(f"There is no index at {folder}.")
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadInput(f"{path} is damaged ({error}).") from None
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise BadInput(f"{path} is not the manifest of a Hamming index.")
    if manifest.get("version") != VERSION:
        raise BadInput(f"{folder} has format version {manifest.get('version')}; this HashLens reads {VERSION}.")
    return manifest
