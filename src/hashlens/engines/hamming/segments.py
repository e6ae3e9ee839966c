"""Runs of codes that are never changed: how they are searched, kept in files and joined."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashlens.codes.tiles import LANES, Queries, from_tiles, lanes_in_use, tile_dtype, tile_shape, to_tiles
from hashlens.compute.kernels import compiled, popcount
from hashlens.engines.hamming import scan
from hashlens.engines.hamming.distinct import Distinct, find_distinct
from hashlens.engines.hamming.multi_index import Rule, Tables, build_tables, table_shape
from hashlens.engines.hamming.scan import NO_MASKS, Found, Ragged
from hashlens.errors import BadInput
from hashlens.files import replacing

SEGMENT_BYTES = 1 << 27  # of packed codes; bounds the memory in which segments are written or joined
FILE_KINDS = ("codes", "present", "distinct", "starts", "holders", "values", "positions", "words")


@dataclass
class Segment:
    """Codes with positions 0 … count − 1, some of them removed.

    Attributes:
        bits: code length K.
        count: number of codes, removed ones included.
        tiles: (T, W, 64), see :mod:`hashlens.codes.tiles`.
        present: (T,) uint64, the lanes of each tile that are not removed; empty where none is.
        distinct: the codes again, equal ones together, where that pays; it knows of no removal.
        tables: of the distinct codes where there are such, else of all, where it pays to look few of them up.
        files: names of the files that hold the arrays, for those that are on disk.
    """

    bits: int
    count: int
    tiles: NDArray[Any]
    present: NDArray[np.uint64] = field(default_factory=lambda: NO_MASKS)
    distinct: Distinct | None = None
    tables: Tables | None = None
    files: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, packed: NDArray[np.uint8], bits: int) -> Segment:
        """A segment of (N, B) uint8 packed codes, which it copies."""
        return cls(bits, len(packed), to_tiles(packed, bits), distinct=find_distinct(packed, bits))

    @property
    def size(self) -> int:
        """Number of codes that are not removed."""
        return self.available(self.present)

    @property
    def packed_bytes(self) -> int:
        """Size of the packed codes."""
        return self.count * -(-self.bits // 8)

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

    def remove(self, positions: NDArray[np.int64]) -> None:
        """Leave the codes at (n,) positions out of every search from now on."""
        if len(self.present):
            present = np.array(self.present)  # the old one may be a file's, or in use by a search
        else:
            present = np.full(len(self.tiles), 2**LANES - 1, np.uint64)
            present[-1] = lanes_in_use(self.count)
        lanes = np.uint64(1) << (positions % LANES).astype(np.uint64)
        np.bitwise_and.at(present, positions // LANES, ~lanes)
        self.present = present
        self.files.pop("present", None)

    def prepare(self) -> bool:
        """Build tables if there are none and searching them is faster than a scan; whether this was done."""
        if self.tables is not None:
            return False
        self.tables = build_tables(*self._searched(), self.bits)
        return self.tables is not None

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
        arrays = {"codes": self.tiles}
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
            if kind not in self.files or not (folder / self.files[kind]).is_file():
                self.files[kind] = new_name(kind)
                with replacing(folder / self.files[kind]) as temporary:
                    np.save(temporary, array)
        entry: dict[str, Any] = {"count": self.count, "files": {kind: self.files[kind] for kind in arrays}}
        if self.distinct is not None:
            entry["distinct"] = self.distinct.count
        if self.tables is not None:
            entry["parts"] = len(self.tables.positions)
            entry["rule"] = [self.tables.rule.deepest, self.tables.rule.budgets]
        return entry

    @classmethod
    def open(cls, folder: Path, bits: int, entry: dict[str, Any]) -> Segment:
        """Map the arrays of a segment into memory.

        Raises:
            BadInput: a file is missing or not what the entry says.
            FileNotFoundError: a file is missing.
        """
        count, files = entry["count"], entry["files"]
        shape, dtype = tile_shape(count, bits), tile_dtype(bits)
        segment = cls(bits, count, _map(folder / files["codes"], shape, dtype), files=dict(files))
        if "present" in files:
            segment.present = _map(folder / files["present"], shape[:1], np.dtype(np.uint64))
        if "distinct" in files:
            distinct = entry["distinct"]
            segment.distinct = Distinct(
                _map(folder / files["distinct"], tile_shape(distinct, bits), dtype),
                distinct,
                _map(folder / files["starts"], (distinct + 1,), np.dtype(np.int64)),
                _map(folder / files["holders"], (count,), np.dtype(np.int32)),
            )
        if "words" in files:
            _, listed = segment._searched()
            bounds, values, words = table_shape(bits, entry["parts"])
            deepest, budgets = (tuple(pair) for pair in entry["rule"])
            segment.tables = Tables(
                bounds,
                _map(folder / files["values"], (entry["parts"], values + 1), np.dtype(np.int32)),
                _map(folder / files["positions"], (entry["parts"], listed), np.dtype(np.int32)),
                _map(folder / files["words"], (entry["parts"], listed, words), np.dtype(np.uint64)),
                Rule(deepest, budgets),
            )
        return segment


def joined(segments: list[Segment]) -> Segment:
    """One segment with the codes of several, in order."""
    bits = segments[0].bits
    count = sum(segment.count for segment in segments)
    packed = np.concatenate([segment.packed(np.arange(segment.count)) for segment in segments])
    whole = Segment(bits, count, to_tiles(packed, bits))
    gone = np.concatenate([~lanes_set(segment.present, np.arange(segment.count)) for segment in segments])
    if gone.any():
        whole.remove(np.flatnonzero(gone))
    else:
        whole.distinct = find_distinct(packed, bits)
    return whole


def write_codes(folder: Path, batches: Iterable[NDArray[np.uint8]], bits: int) -> Iterator[Segment]:
    """Write packed codes to files as they come, holding no more than one segment of them in memory.

    Args:
        batches: (n, B) uint8 arrays.

    Returns:
        The segments, in order, mapped from their files.
    """
    code_bytes = -(-bits // 8)
    room = max(LANES, SEGMENT_BYTES // code_bytes)
    waiting: list[NDArray[np.uint8]] = []
    count = 0
    for batch in batches:
        start = 0
        while start < len(batch):
            piece = batch[start : start + room - count]
            waiting.append(piece.copy())  # whoever makes the batches may use the same memory again
            start, count = start + len(piece), count + len(piece)
            if count == room:
                yield _written(folder, np.concatenate(waiting), bits)
                waiting, count = [], 0
    if count:
        yield _written(folder, np.concatenate(waiting), bits)


def _written(folder: Path, packed: NDArray[np.uint8], bits: int) -> Segment:
    return Segment.open(folder, bits, Segment.of(packed, bits).save(folder))


def new_name(kind: str) -> str:
    """A file name that is not in use, so that files which others read are never written to."""
    return f"{kind}-{secrets.token_hex(8)}.npy"


def unused_files(folder: Path, used: set[str]) -> list[Path]:
    """Files of segments that no manifest names, left by changes and by processes that were killed."""
    patterns = [f"{dot}{kind}-*.npy" for kind in FILE_KINDS for dot in ("", ".")]
    return [path for pattern in patterns for path in folder.glob(pattern) if path.name not in used]


def lanes_set(masks: NDArray[np.uint64], positions: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which of the (n,) positions take part under (T,) masks, or all of them if the masks are empty."""
    if not len(masks):
        return np.ones(len(positions), np.bool_)
    return (masks[positions // LANES] >> (positions % LANES).astype(np.uint64) & np.uint64(1)) == 1


def _map(path: Path, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    try:
        # Copy-on-write, since kernels are compiled for writable arrays; nothing is ever written.
        array = np.asarray(np.load(path, mmap_mode="c", allow_pickle=False))
    except FileNotFoundError:
        raise
    except (OSError, ValueError, EOFError) as error:
        raise BadInput(f"{path} is damaged ({error}).") from None
    if array.shape != shape or array.dtype != dtype:
        raise BadInput(f"{path} is damaged: it holds {array.dtype} of shape {array.shape}, not {dtype} of {shape}.")
    return array


@compiled
def count_bits(masks):
    """Number of one bits of (n,) uint64."""
    total = 0
    for mask in masks:
        total += popcount(mask)
    return total
