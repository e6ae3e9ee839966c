"""Runs of codes that are never changed: how they are searched, kept in files and joined."""

from __future__ import annotations

import mmap
import re
import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import xxhash
from numpy.typing import NDArray

from hashlens.codes.packing import bytes_per_code
from hashlens.codes.tiles import LANES, Queries, from_tiles, lanes_in_use, tile_dtype, tile_shape, to_tiles
from hashlens.compute.kernels import compiled, popcount
from hashlens.counting import counted
from hashlens.engines.hamming import multi_index, scan
from hashlens.engines.hamming.calibration import calibrated
from hashlens.engines.hamming.distinct import Distinct, find_distinct
from hashlens.engines.hamming.ids import Ids, ascending, at, compact
from hashlens.engines.hamming.multi_index import Rule, Tables, build_tables, table_shape
from hashlens.engines.hamming.scan import NO_MASKS, Found, Ragged
from hashlens.errors import BadInput
from hashlens.files import replacing

SEGMENT_BYTES = 1 << 27  # of packed codes; bounds the memory in which segments are written or joined
KINDS = (
    *("codes", "ids", "present", "distinct", "starts", "holders", "values", "positions", "words"),
    *("texts", "bounds", "hashes", "places"),  # of keys
)
FILE_NAME = re.compile(rf"(?:{'|'.join(KINDS)})-[0-9a-f]{{16}}\.npy")
TEMPORARY_NAME = re.compile(rf"\.{FILE_NAME.pattern}\.[a-z0-9_]+\.npy")  # as a killed process leaves it


@dataclass(frozen=True)
class Segment:
    """Codes at positions 0 … count − 1, some of them removed. It does not change: changes make another one.

    Attributes:
        bits: code length K.
        ids: of the codes, ascending.
        tiles: (T, W, 64), see :mod:`hashlens.codes.tiles`.
        present: (T,) uint64, the lanes of each tile that are not removed; empty where none is.
        distinct: the codes again, equal ones together, where that pays; it knows of no removal.
        tables: of the distinct codes where there are such, else of all, where it pays to look few of them up.
        tried: whether tables were tried, and the outcome is ``tables``.
        files: what is on disk already, by kind.
    """

    bits: int
    ids: Ids
    tiles: NDArray[Any]
    present: NDArray[np.uint64] = field(default_factory=lambda: NO_MASKS)
    distinct: Distinct | None = None
    tables: Tables | None = None
    tried: bool = False
    files: dict[str, StoredArray] = field(default_factory=dict)

    @classmethod
    def of(cls, packed: NDArray[np.uint8], bits: int, ids: NDArray[np.int64]) -> Segment:
        """A segment of (N, B) uint8 packed codes, which it copies, and their (N,) ids.

        Raises:
            BadInput: an id stands twice.
        """
        order = ascending(ids)
        if order is not None:
            packed, ids = packed[order], ids[order]
        return cls(bits, compact(ids), to_tiles(packed, bits), distinct=find_distinct(packed, bits))

    @property
    def count(self) -> int:
        """Number of codes, removed ones included."""
        return len(self.ids)

    @property
    def size(self) -> int:
        """Number of codes that are not removed."""
        return self.available(self.present)

    @property
    def plan(self) -> str:
        """How the codes are searched, in words."""
        words = counted(self.count, "code", "codes")
        if self.distinct is not None:
            words += f", {self.distinct.count:,} of them distinct"
        if self.tables is None:
            return f"{words}: scanned"
        deepest = " and ".join(
            f"up to {k} neighbours of {queries}"
            for queries, k in zip(("one query", "many queries"), self.tables.rule.deepest, strict=True)
            if k
        )
        return f"{words}: {len(self.tables.positions)} tables for {deepest}, else scanned"

    @property
    def packed_bytes(self) -> int:
        """Size of the packed codes."""
        return self.count * bytes_per_code(self.bits)

    def available(self, masks: NDArray[np.uint64]) -> int:
        """How many codes ``masks`` let take part."""
        return int(count_bits(masks)) if len(masks) else self.count

    def packed(self, positions: NDArray[np.int64]) -> NDArray[np.uint8]:
        """(n, B) packed codes at (n,) positions."""
        return from_tiles(self.tiles, positions, self.bits)

    def masks(self, allowed: NDArray[np.bool_]) -> NDArray[np.uint64]:
        """(T,) masks of the (count,) codes that are allowed and not removed."""
        padded = np.zeros(len(self.tiles) * LANES, np.bool_)
        padded[: self.count] = allowed
        masks = np.packbits(padded, bitorder="little").view(np.dtype(np.uint64).newbyteorder("<")).astype(np.uint64)
        return masks & self.present if len(self.present) else masks

    def without(self, positions: NDArray[np.int64]) -> Segment:
        """The same, but codes at (n,) positions are left out of every search."""
        if len(self.present):
            present = np.array(self.present)
        else:
            present = np.full(len(self.tiles), 2**LANES - 1, np.uint64)
            present[-1] = lanes_in_use(self.count)
        lanes = np.uint64(1) << (positions % LANES).astype(np.uint64)
        np.bitwise_and.at(present, positions // LANES, ~lanes)
        files = {kind: file for kind, file in self.files.items() if kind != "present"}
        return replace(self, present=present, files=files)

    def kept(self) -> NDArray[np.int64]:
        """Positions of the codes that are not removed."""
        return np.flatnonzero(lanes_set(self.present, np.arange(self.count)))

    def prepared(self, again: bool = False) -> Segment:
        """The same with tables, if searching these is less work than a scan.

        Args:
            again: find out even if that was done before.
        """
        tiles, count = self._searched()
        if count < multi_index.FEWEST or (self.tried and not again):
            return self
        tables = build_tables(tiles, count, self.bits, calibrated(self.bits, again))
        files = {kind: file for kind, file in self.files.items() if kind not in ("values", "positions", "words")}
        return replace(self, tables=tables, tried=True, files=files)

    def nearest(self, queries: Queries, k: int, masks: NDArray[np.uint64]) -> Found:
        """The ``k`` nearest codes of each query, see :func:`hashlens.engines.hamming.scan.nearest`."""
        distinct, tables = self.distinct, self.tables
        if distinct is not None and len(masks):
            return scan.nearest(self.tiles, self.count, queries.spread, k, masks)
        tiles, count = self._searched()
        some = min(k, count)

        def by_scan(queries: Queries) -> Found:
            return scan.nearest(tiles, count, queries.spread, some, masks)

        found = by_scan(queries) if tables is None else tables.nearest(queries, some, masks, by_scan)
        return found if distinct is None else distinct.expand(*found, k)

    def within(self, queries: Queries, radius: int, masks: NDArray[np.uint64]) -> Ragged:
        """All codes within ``radius`` of each query, see :func:`hashlens.engines.hamming.scan.within`."""
        if self.distinct is None or len(masks):
            return scan.within(self.tiles, self.count, queries.spread, radius, masks)
        found = scan.within(self.distinct.tiles, self.distinct.count, queries.spread, radius)
        return self.distinct.expand_all(*found)

    def _searched(self) -> tuple[NDArray[Any], int]:
        """The tiles that are searched where nothing is left out, and how many codes they hold."""
        if self.distinct is None:
            return self.tiles, self.count
        return self.distinct.tiles, self.distinct.count

    def save(self, folder: Path) -> dict[str, Any]:
        """Write the arrays that are not in ``folder`` yet; return what :meth:`open` needs."""
        arrays: dict[str, NDArray[Any]] = {"codes": self.tiles}
        if not isinstance(self.ids, range):
            arrays["ids"] = self.ids
        if len(self.present):
            arrays["present"] = self.present
        if self.distinct is not None:
            arrays |= {
                "distinct": self.distinct.tiles,
                "starts": self.distinct.starts,
                "holders": self.distinct.holders,
            }
        if self.tables is not None:
            arrays |= {
                "values": self.tables.starts,
                "positions": self.tables.positions,
                "words": self.tables.words,
            }
        for kind, array in arrays.items():
            if kind not in self.files or not (folder / self.files[kind].name).is_file():
                self.files[kind] = StoredArray.write(folder, kind, array)
        entry: dict[str, Any] = {
            "count": self.count,
            "tried": self.tried,
            "files": {kind: self.files[kind].name for kind in arrays},
            "checksums": {kind: self.files[kind].checksum for kind in arrays},
        }
        if isinstance(self.ids, range):
            entry["first"] = self.ids.start
        if self.distinct is not None:
            entry["distinct"] = self.distinct.count
        if self.tables is not None:
            entry["parts"] = len(self.tables.positions)
            entry["rule"] = [self.tables.rule.deepest, self.tables.rule.budgets]
        return entry

    @classmethod
    def open(cls, folder: Path, bits: int, entry: dict[str, Any]) -> Segment:
        """Map the arrays of a segment into memory.

        Every array is read once to compare it with its checksum, and every number that leads into another array
        is checked, since kernels trust them.

        Raises:
            BadInput: a file is not what the entry says.
            FileNotFoundError: a file is missing.
        """
        checksums = entry["checksums"]
        files = {kind: StoredArray(name, checksums[kind]) for kind, name in entry["files"].items()}

        def stored(kind: str, shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
            return files[kind].read(folder, shape, np.dtype(dtype))

        count = entry["count"]
        shape, dtype = tile_shape(count, bits), tile_dtype(bits)
        if "ids" in files:
            ids: Ids = stored("ids", (count,), np.int64)
            _check(folder, files["ids"], bool((np.diff(ids) > 0).all()))
        else:
            ids = range(entry["first"], entry["first"] + count)
        tiles = stored("codes", shape, dtype)
        present = stored("present", shape[:1], np.uint64) if "present" in files else NO_MASKS
        if len(present):
            _check(folder, files["present"], not int(present[-1]) & ~int(lanes_in_use(count)))
        distinct = None
        if "distinct" in files:
            size = entry["distinct"]
            distinct = Distinct(
                stored("distinct", tile_shape(size, bits), dtype),
                size,
                stored("starts", (size + 1,), np.int64),
                stored("holders", (count,), np.int32),
            )
            _check(folder, files["starts"], leads_into(distinct.starts[None], count))
            _check(folder, files["holders"], lies_in(distinct.holders, count))
        tables = None
        if "words" in files:
            listed_codes = count if distinct is None else distinct.count
            bounds, values, words = table_shape(bits, entry["parts"])
            deepest, budgets = (tuple(pair) for pair in entry["rule"])
            tables = Tables(
                bounds,
                stored("values", (entry["parts"], values + 1), np.int32),
                stored("positions", (entry["parts"], listed_codes), np.int32),
                stored("words", (entry["parts"], listed_codes, words), np.uint64),
                Rule(deepest, budgets),
            )
            _check(folder, files["values"], leads_into(tables.starts, listed_codes))
            _check(folder, files["positions"], lies_in(tables.positions, listed_codes))
        return cls(bits, ids, tiles, present, distinct, tables, entry["tried"], files)


def joined(first: Segment, second: Segment) -> Segment:
    """One segment with the codes of two that share no id."""
    bits = first.bits
    if isinstance(first.ids, range) and isinstance(second.ids, range) and first.ids.stop == second.ids.start:
        parts = [(segment, np.arange(segment.count)) for segment in (first, second)]
    else:  # ids are listed anyhow, so that removed codes need no room
        parts = [(segment, segment.kept()) for segment in (first, second)]
    packed = np.concatenate([segment.packed(positions) for segment, positions in parts])
    ids = np.concatenate([at(segment.ids, positions) for segment, positions in parts])
    gone = np.concatenate([~lanes_set(segment.present, positions) for segment, positions in parts])
    if not gone.any():
        return Segment.of(packed, bits, ids)
    return Segment(bits, compact(ids), to_tiles(packed, bits)).without(np.flatnonzero(gone))


def write_codes(
    folder: Path, batches: Iterable[tuple[NDArray[np.uint8], NDArray[np.int64]]], bits: int
) -> Iterator[Segment]:
    """Write packed codes to files as they come, holding no more than one segment of them in memory.

    Args:
        batches: (n, B) uint8 arrays, and the (n,) ids of their codes.

    Returns:
        The segments, in order, mapped from their files.
    """
    code_bytes = bytes_per_code(bits)
    room = max(LANES, SEGMENT_BYTES // code_bytes)
    waiting: list[tuple[NDArray[np.uint8], NDArray[np.int64]]] = []
    count = 0
    for batch, ids in batches:
        start = 0
        while start < len(batch):
            here = slice(start, start + room - count)
            waiting.append((batch[here].copy(), ids[here]))  # whoever makes batches may use their memory again
            start, count = start + len(waiting[-1][0]), count + len(waiting[-1][0])
            if count == room:
                yield _written(folder, waiting, bits)
                waiting, count = [], 0
    if count:
        yield _written(folder, waiting, bits)


def _written(folder: Path, pieces: list[tuple[NDArray[np.uint8], NDArray[np.int64]]], bits: int) -> Segment:
    packed, ids = (np.concatenate(parts) for parts in zip(*pieces, strict=True))
    return Segment.open(folder, bits, Segment.of(packed, bits, ids).save(folder))


@dataclass(frozen=True)
class StoredArray:
    """An array in a file of its own, which is never written to again.

    Attributes:
        name: of the file.
        checksum: of all its bytes, 16 hexadecimal digits (XXH3); empty for files that were written without one.
    """

    name: str
    checksum: str

    @classmethod
    def write(cls, folder: Path, kind: str, array: NDArray[Any]) -> StoredArray:
        """Write an array under a name that is not in use."""
        name = f"{kind}-{secrets.token_hex(8)}.npy"
        with replacing(folder / name) as temporary:
            np.save(temporary, array)
            checksum = _checksum(temporary)
        return cls(name, checksum)

    def read(self, folder: Path, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
        """Map the array into memory.

        Raises:
            BadInput: its bytes are not those that were written, or it has another shape or type.
            FileNotFoundError: the file is missing.
        """
        path = folder / self.name
        if not FILE_NAME.fullmatch(self.name):
            raise BadInput(f"{folder} is damaged: its manifest names '{self.name}', which is no file of an index.")
        try:
            if self.checksum and _checksum(path) != self.checksum:
                raise BadInput(f"{path} is damaged: its bytes are not those that were written.")
            # Copy-on-write, since kernels are compiled for writable arrays; nothing is ever written.
            array = np.asarray(np.load(path, mmap_mode="c", allow_pickle=False))
        except (FileNotFoundError, BadInput):
            raise
        except (OSError, ValueError, EOFError) as error:
            raise BadInput(f"{path} is damaged ({error}).") from None
        if array.shape != shape or array.dtype != dtype or not array.flags.c_contiguous:
            raise BadInput(
                f"{path} is damaged: it holds {array.dtype} of shape {array.shape}, not {dtype} of {shape}."
            )
        return array


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        if not path.stat().st_size:
            return xxhash.xxh3_64_hexdigest(b"")
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return xxhash.xxh3_64_hexdigest(content)


def _check(folder: Path, file: StoredArray, is_sound: bool) -> None:
    if not is_sound:
        raise BadInput(f"{folder / file.name} is damaged: numbers in it are out of range.")


def unused_files(folder: Path, used: set[str]) -> list[Path]:
    """Files of segments that no manifest names, left by changes and by processes that were killed."""
    return [
        path
        for path in folder.iterdir()
        if (FILE_NAME.fullmatch(path.name) or TEMPORARY_NAME.fullmatch(path.name)) and path.name not in used
    ]


def lanes_set(masks: NDArray[np.uint64], positions: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which of the (n,) positions take part under (T,) masks, or all of them if the masks are empty."""
    if not len(masks):
        return np.ones(len(positions), np.bool_)
    return (masks[positions // LANES] >> (positions % LANES).astype(np.uint64) & np.uint64(1)) == 1


@compiled
def count_bits(masks):
    """Number of one bits of (n,) uint64."""
    total = 0
    for mask in masks:
        total += popcount(mask)
    return total


@compiled
def leads_into(starts, count):
    """Whether each row of (P, n) starts ascends from 0 to ``count``."""
    for row in starts:
        if row[0] != 0 or row[-1] != count:
            return False
        for i in range(len(row) - 1):
            if row[i] > row[i + 1]:
                return False
    return True


@compiled
def lies_in(numbers, count):
    """Whether all numbers of an array are from 0 to ``count`` − 1."""
    sound = True
    for number in numbers.flat:
        sound &= 0 <= number < count
    return sound
