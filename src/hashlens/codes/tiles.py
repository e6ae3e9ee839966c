"""Codes laid out for scanning, and the one kernel that compares them.

A tile holds 64 codes, word by word: first the first word of all 64, then the second word of all 64, and so on.
Words are bytes, or 16 bits for codes of 256 bits and more, so that a distance fits in a word. The population
counts of a word are then added lane by lane: nothing is widened, nothing is padded beyond whole words, and one
comparison of 64 distances with a limit yields one 64-bit mask. Tiles follow each other in memory, so that a scan
reads it front to back at any code length, and codes can be appended without moving any.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashlens.codes.packing import bytes_per_code
from hashlens.compute.kernels import compiled, intrinsic, popcount
from hashlens.compute.threads import even_slices, run_in_threads

LANES = 64  # codes of a tile
CACHED_BYTES = 16384  # of codes that are compared with one query after the other: a third of a first-level cache
_CODES_PER_TASK = 1 << 18


def tile_shape(count: int, bits: int) -> tuple[int, int, int]:
    """Shape (T, W, 64) of the tiles of ``count`` codes of ``bits`` bits.

    Example:
        >>> tile_shape(100, bits=64), tile_shape(100, bits=256)
        ((2, 8, 64), (2, 16, 64))
    """
    return -(-count // LANES), -(-bits // (8 * tile_dtype(bits).itemsize)), LANES


def tile_dtype(bits: int) -> np.dtype[Any]:
    """uint8, or uint16 where a distance may exceed 255."""
    return np.dtype(np.uint8 if bits < 256 else np.uint16)


def empty_tiles(count: int, bits: int) -> NDArray[Any]:
    """Room for ``count`` codes; starts at a cache line, since vectors that straddle two are slower to load."""
    shape, dtype = tile_shape(count, bits), tile_dtype(bits)
    size = math.prod(shape) * dtype.itemsize
    buffer = np.empty(size + LANES, np.uint8)
    start = -buffer.__array_interface__["data"][0] % LANES
    return buffer[start : start + size].view(dtype).reshape(shape)


def to_tiles(packed: NDArray[np.uint8], bits: int) -> NDArray[Any]:
    """Lay packed codes out: (N, B) uint8 → (ceil(N/64), W, 64) words; lanes past the last code are zero.

    Example:
        >>> tiles = to_tiles(np.array([[1, 2], [3, 4]], np.uint8), bits=16)
        >>> tiles.shape, tiles[0, :, :3].tolist()
        ((1, 2, 64), [[1, 3, 0], [2, 4, 0]])
    """
    tiles = empty_tiles(len(packed), bits)
    words = _words(packed, tile_dtype(bits))
    tasks = even_slices(len(tiles), max(1, len(packed) // _CODES_PER_TASK))
    run_in_threads(lambda start, stop: _transpose(words, tiles, start, stop), tasks)
    return tiles


def from_tiles(tiles: NDArray[Any], positions: NDArray[np.int64], bits: int) -> NDArray[np.uint8]:
    """The inverse of :func:`to_tiles` at (n,) positions: (n, ceil(bits/8)) uint8 packed codes.

    Example:
        >>> tiles = to_tiles(np.array([[1, 2], [3, 4]], np.uint8), bits=16)
        >>> from_tiles(tiles, np.array([1]), bits=16)
        array([[3, 4]], dtype=uint8)
    """
    words = np.empty((len(positions), tiles.shape[1]), tiles.dtype)
    _gather(tiles, positions, words)
    return np.ascontiguousarray(words.view(np.uint8)[:, : bytes_per_code(bits)])


def spread_queries(packed: NDArray[np.uint8], bits: int) -> NDArray[Any]:
    """Repeat every word of each query in all lanes: (Q, B) uint8 → (Q, W, 64) words."""
    queries = empty_tiles(len(packed) * LANES, bits)
    queries[:] = _words(packed, tile_dtype(bits))[:, :, None]
    return queries


@dataclass(frozen=True)
class Queries:
    """Queries as the different ways of searching want them.

    Attributes:
        packed: (Q, B) uint8 packed codes.
        spread: (Q, W, 64), see :func:`spread_queries`.
    """

    packed: NDArray[np.uint8]
    spread: NDArray[Any]

    @classmethod
    def of(cls, packed: NDArray[np.uint8], bits: int) -> Queries:
        return cls(packed, spread_queries(packed, bits))

    def __len__(self) -> int:
        return len(self.packed)

    def __getitem__(self, rows: NDArray[np.intp] | slice) -> Queries:
        return Queries(self.packed[rows], self.spread[rows])


def lanes_in_use(count: int) -> np.uint64:
    """Mask of the lanes that the last of the tiles of ``count`` codes uses; all ones for whole tiles.

    Example:
        >>> int(lanes_in_use(64 + 3)) == 0b111
        True
    """
    return np.uint64(2 ** (count % LANES) - 1 if count % LANES else 2**LANES - 1)


def tiles_in_cache(tiles: NDArray[Any]) -> int:
    """How many tiles to compare with one query before turning to the next."""
    return max(1, CACHED_BYTES // (tiles.shape[1] * LANES * tiles.itemsize))


def _words(packed: NDArray[np.uint8], dtype: np.dtype[Any]) -> NDArray[Any]:
    if packed.shape[1] % dtype.itemsize:
        packed = np.pad(packed, ((0, 0), (0, 1)))
    return np.ascontiguousarray(packed).view(dtype)


@compiled
def _transpose(words, tiles, first, last):
    count, width = words.shape
    for t in range(first, last):
        tile = tiles[t]
        for lane in range(64):
            position = 64 * t + lane
            if position < count:
                for w in range(width):
                    tile[w, lane] = words[position, w]
            else:
                for w in range(width):
                    tile[w, lane] = 0


@compiled
def _gather(tiles, positions, words):
    for i in range(len(positions)):
        for w in range(words.shape[1]):
            words[i, w] = tiles[positions[i] // 64, w, positions[i] % 64]


@intrinsic
def compare(typing_context: Any, tiles: Any, tile: Any, queries: Any, query: Any, limit: Any, out: Any) -> Any:
    """Write the distances of a tile's 64 codes to ``out``; return the mask of those that are ≤ ``limit``.

    tiles: (T, W, 64); queries: (Q, W, 64), see :func:`spread_queries`; limit: 0 … K; out: (64,); all of one
    type of words. Written in vectors of 64 lanes, which LLVM cuts to what the machine has: left to itself it
    widens the sums to 64 bits.
    """
    from llvmlite import ir
    from numba import types
    from numba.core import cgutils

    int64 = ir.IntType(64)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        word = ir.IntType(tiles.dtype.bitwidth)
        vector = ir.VectorType(word, LANES)
        popcounts = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(vector, [vector]), f"llvm.ctpop.v{LANES}i{word.width}"
        )
        codes, asked, distances = (
            context.make_array(signature.args[place])(context, builder, arguments[place]) for place in (0, 2, 5)
        )
        width = builder.extract_value(codes.shape, 1)

        def pointer(array: Any, place: Any) -> Any:
            start = builder.bitcast(array.data, vector.as_pointer())
            return builder.gep(start, [builder.mul(place, width)])

        tile_start, query_start = pointer(codes, arguments[1]), pointer(asked, arguments[3])
        total = cgutils.alloca_once_value(builder, ir.Constant(vector, None))

        def add_words(first: Any, count: int) -> None:
            counts = []
            for offset in range(count):
                place = [builder.add(first, int64(offset))]
                left = builder.load(builder.gep(tile_start, place), align=word.width // 8)
                right = builder.load(builder.gep(query_start, place), align=word.width // 8)
                counts.append(builder.call(popcounts, [builder.xor(left, right)]))
            while len(counts) > 1:  # in pairs, so that sums do not wait for each other
                pairs = [counts[i : i + 2] for i in range(0, len(counts), 2)]
                counts = [builder.add(*pair) if len(pair) == 2 else pair[0] for pair in pairs]
            builder.store(builder.add(builder.load(total), counts[0]), total)

        with cgutils.for_range(builder, builder.lshr(width, int64(3))) as eights:
            add_words(builder.shl(eights.index, int64(3)), 8)
        for count in (4, 2, 1):
            some_left = builder.icmp_unsigned("!=", builder.and_(width, int64(count)), int64(0))
            with builder.if_then(some_left):
                add_words(builder.and_(width, int64(-2 * count)), count)

        found = builder.load(total)
        builder.store(found, builder.bitcast(distances.data, vector.as_pointer()), align=word.width // 8)
        nothing = ir.Constant(vector, ir.Undefined)
        one = builder.insert_element(nothing, builder.trunc(arguments[4], word), ir.IntType(32)(0))
        limits = builder.shuffle_vector(one, nothing, ir.Constant(ir.VectorType(ir.IntType(32), LANES), None))
        return builder.bitcast(builder.icmp_unsigned("<=", found, limits), int64)

    return types.uint64(tiles, types.int64, queries, types.int64, types.int64, out), generate


@compiled
def lowest_lane(mask):
    """Number of the lowest one bit of a uint64 that is not 0."""
    return popcount((mask & (~mask + np.uint64(1))) - np.uint64(1))
