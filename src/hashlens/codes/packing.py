"""The one owner of the bit order: how ±1 codes become bytes, and bytes become machine words.

A packed code holds bit 0 in the most significant bit of byte 0, as :func:`numpy.packbits` does, and is
padded with zero bits to whole bytes. Padding is the same in every code, so it never adds to a distance.
"""

from __future__ import annotations

from numbers import Real

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hashlens.compute.kernels import compiled
from hashlens.errors import BadInput

MINIMUM_BITS, MAXIMUM_BITS = 8, 1024


def check_bits(bits: int) -> int:
    """Return ``bits`` if it is an integer from 8 to 1024, else raise :class:`BadInput`.

    Example:
        >>> check_bits(64)
        64
        >>> check_bits(4)
        Traceback (most recent call last):
        ...
        hashlens.errors.BadInput: A code of 4 bits is out of range; choose from 8 to 1024.
    """
    if not isinstance(bits, Real) or not MINIMUM_BITS <= bits <= MAXIMUM_BITS or int(bits) != bits:
        raise BadInput(f"A code of {bits} bits is out of range; choose from {MINIMUM_BITS} to {MAXIMUM_BITS}.")
    return int(bits)


def bytes_per_code(bits: int) -> int:
    """ceil(K/8), the length of a packed code.

    Example:
        >>> bytes_per_code(64), bytes_per_code(65)
        (8, 9)
    """
    return -(-bits // 8)


def binarize(continuous: ArrayLike, threshold: float = 0.0) -> NDArray[np.int8]:
    """Signs of continuous codes.

    Args:
        continuous: (N, K) real numbers.
        threshold: 0 for codes around zero, 0.5 for sigmoid codes.

    Returns:
        (N, K) int8 in {−1, +1}: +1 where the value is greater than ``threshold``.

    Example:
        >>> binarize([[0.3, -0.2, 0.0]])
        array([[ 1, -1, -1]], dtype=int8)
    """
    return np.where(np.asarray(continuous) > threshold, np.int8(1), np.int8(-1))


def pack(codes: ArrayLike, threshold: float = 0.0) -> NDArray[np.uint8]:
    """Pack codes into bytes.

    Args:
        codes: (N, K) or (K,) values; a bit is 1 where the value is greater than ``threshold``. So it takes
            ±1 codes, booleans, 0/1 bits and continuous codes alike.
        threshold: 0 for codes around zero, 0.5 for sigmoid codes.

    Returns:
        (N, ceil(K/8)) or (ceil(K/8),) uint8, most significant bit first, zero-padded.

    Example:
        >>> pack([[1, -1, 1, -1, -1, -1, -1, 1, 1]])  # 0b10100001, 0b10000000
        array([[161, 128]], dtype=uint8)
    """
    return np.packbits(np.asarray(codes) > threshold, axis=-1)


def unpack(packed: ArrayLike, bits: int) -> NDArray[np.int8]:
    """The inverse of :func:`pack`: (N, ceil(K/8)) uint8 → (N, K) int8 in {−1, +1}.

    Example:
        >>> unpack([[161, 128]], bits=9)
        array([[ 1, -1,  1, -1, -1, -1, -1,  1,  1]], dtype=int8)
    """
    ones = np.unpackbits(np.asarray(packed, dtype=np.uint8), axis=-1, count=bits)
    return (ones.astype(np.int8) << 1) - np.int8(1)


def as_packed(codes: ArrayLike, bits: int | None = None) -> tuple[NDArray[np.uint8], int]:
    """Accept codes in any of the forms people hold them in.

    Args:
        codes: (N, B) uint8 packed codes, or (N, K) ±1, boolean or continuous codes of any other type. One
            code alone, (B,) or (K,), counts as a batch of one.
        bits: code length K; needed only where K is not a multiple of 8 and the codes are packed.

    Returns:
        (N, ceil(K/8)) C-contiguous uint8 packed codes, bits beyond K cleared, and K.

    Raises:
        BadInput: the array is not one- or two-dimensional, holds NaN, or does not hold ``bits`` bits.

    Example:
        >>> as_packed([[0.5, -0.5] * 5])
        (array([[170, 128]], dtype=uint8), 10)
        >>> as_packed(np.array([255, 255], np.uint8), bits=10)
        (array([[255, 192]], dtype=uint8), 10)
    """
    array = np.asarray(codes)
    if array.ndim == 1:
        array = array[None, :]
    if array.ndim != 2:
        raise BadInput(f"Codes must form a (N, K) or packed (N, B) array, not one of shape {array.shape}.")
    if array.dtype != np.uint8:
        if np.issubdtype(array.dtype, np.floating) and np.isnan(array).any():
            raise BadInput("Codes contain NaN; check the model or the features they come from.")
        if bits is not None and bits != array.shape[1]:
            raise BadInput(f"Codes have {array.shape[1]} columns, but {bits} bits were asked for.")
        return np.ascontiguousarray(pack(array)), array.shape[1]
    if bits is None:
        bits = 8 * array.shape[1]
    if bytes_per_code(bits) != array.shape[1]:
        raise BadInput(f"Codes of {bits} bits take {bytes_per_code(bits)} bytes, but these have {array.shape[1]}.")
    padding = np.uint8(0xFF >> (bits % 8 or 8))
    if (array[:, -1:] & padding).any():
        array = array.copy()
        array[:, -1] &= ~padding
    return np.ascontiguousarray(array), int(bits)


def to_words(packed: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """Lay packed codes out for scanning: (N, B) uint8 → (W, N) uint64, W = ceil(B/8), zero-padded.

    Word w of all codes is contiguous, so a loop over codes is a loop over vectors for any code length.
    The result is a copy. The bit order inside a word depends on the machine; only counts of differing bits
    are meaningful.

    Example:
        >>> to_words(np.zeros((5, 9), np.uint8)).shape
        (2, 5)
    """
    count, width = packed.shape
    words = max(1, (width + 7) // 8)
    if width != 8 * words:
        padded = np.zeros((count, 8 * words), dtype=np.uint8)
        padded[:, :width] = packed
        packed = padded
    return np.array(np.ascontiguousarray(packed).view(np.uint64).T, order="C")


def bit_planes(packed: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """The n-th bits of all codes side by side: (N, B) packed → (8·B, ceil(N/64)) words, zero-padded.

    Example:
        >>> planes = bit_planes(np.array([[0b11000000], [0b10000000]], np.uint8))  # two codes
        >>> [[int(planes[bit, 0] >> code) & 1 for code in (0, 1)] for bit in (0, 1, 2)]
        [[1, 1], [1, 0], [0, 0]]
    """
    count, width = packed.shape
    planes = np.zeros((8 * width, 8 * -(-count // 64)), np.uint8)
    _transpose_bits(packed, planes)
    return planes.view(np.uint64)


@compiled
def _transpose_bits(packed, planes):
    count, width = packed.shape
    for first in range(0, count, 8):
        for place in range(width):
            eight = np.uint64(0)
            for row in range(min(8, count - first)):
                eight |= np.uint64(packed[first + row, place]) << np.uint64(8 * row)
            # An 8 × 8 matrix of bits is turned by swapping ever larger blocks off its diagonal (Warren, Hacker's
            # Delight, section 7-3).
            swapped = (eight ^ (eight >> np.uint64(7))) & np.uint64(0x00AA00AA00AA00AA)
            eight ^= swapped ^ (swapped << np.uint64(7))
            swapped = (eight ^ (eight >> np.uint64(14))) & np.uint64(0x0000CCCC0000CCCC)
            eight ^= swapped ^ (swapped << np.uint64(14))
            swapped = (eight ^ (eight >> np.uint64(28))) & np.uint64(0x00000000F0F0F0F0)
            eight ^= swapped ^ (swapped << np.uint64(28))
            for bit in range(8):
                planes[8 * place + 7 - bit, first // 8] = np.uint8((eight >> np.uint64(8 * bit)) & np.uint64(0xFF))
