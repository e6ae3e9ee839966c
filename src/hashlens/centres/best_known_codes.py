"""The codes with the largest minimum distance that we can construct, for any length and size."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hashlens.centres import conference_codes, kerdock_codes
from hashlens.centres.cyclic_codes import (
    QUADRATIC_RESIDUE_DISTANCES,
    bch_generators,
    independent_rows,
    quadratic_residue_generator,
)
from hashlens.centres.hadamard_codes import hadamard_matrix, has_hadamard_matrix
from hashlens.centres.symmetric_codes import LARGEST_SEARCHED_DIMENSION, symmetric_code

LARGEST_DIMENSION = 17  # 2^17 words are more than the largest codebook
LARGEST_SHORTENING = 24
LARGEST_POOL = 4096

Words = NDArray[np.uint8]


@dataclass(frozen=True)
class Construction:
    """A way to make at least so many words of one length, and the distance that it promises.

    Attributes:
        name: what it is, for people.
        length: bits of a word.
        distance: lower bound on the distance between two of the words.
        make: returns the words, (M, length) uint8 of 0 and 1.
    """

    name: str
    length: int
    distance: int
    make: Callable[[], Words]


def best_known_code(words: int, bits: int, goal: int | None = None) -> Construction:
    """The construction with the largest promised distance.

    Families: rows of Hadamard matrices, conference-matrix codes, extended BCH, quadratic-residue and Kerdock
    codes, and linear codes with a symmetry found by a search; each shortened (words that agree in a bit, without
    that bit), punctured (a bit dropped), lengthened by a parity bit, and set side by side with another.

    Args:
        words: least number of words, from 2 to 2^17.
        bits: from 1 to 1024.
        goal: the distance at which a search is not needed, an upper bound for example; ``None`` searches none.
    """
    found = _constructions(words, bits)[bits]
    dimension = (words - 1).bit_length()
    if goal is not None and found.distance < goal and 2 <= dimension <= LARGEST_SEARCHED_DIMENSION:
        generator, distance = symmetric_code(bits, dimension, goal)
        if distance > found.distance:
            name = f"linear code [{bits}, {dimension}] with a symmetry"
            return Construction(name, bits, distance, functools.partial(_span, generator))
    return found


def words_at_distance(words: int, bits: int, distance: int, goal: int | None = None) -> Words | None:
    """A large code to choose codewords from: at least ``words`` of them, at most 4096 if that suffices.

    Returns:
        (M, bits) uint8 of 0 and 1 with M ≥ ``words`` and pairwise distance ≥ ``distance``, as many as we can
        construct; ``None`` where not even ``words`` of them are known.
    """
    size = max(words, LARGEST_POOL)
    while True:
        if bits >= size.bit_length() - 1:
            construction = best_known_code(size, bits, None if size > words else goal)
            if construction.distance >= distance:
                return construction.make()[: max(words, LARGEST_POOL)]
        if size == words:
            return None
        size = max(words, size // 2)


@dataclass(frozen=True)
class Family:
    """A classical code before it is cut to length.

    Attributes:
        name, length, distance: as in :class:`Construction`.
        shortenings: how often it can be shortened before too few words are left.
        cut: makes the words, given how many bits are to be shortened away.
    """

    name: str
    length: int
    distance: int
    shortenings: int
    cut: Callable[[int], Words]


@functools.lru_cache(maxsize=128)
def _constructions(words: int, bits: int) -> list[Construction]:
    """The best construction for each length from 0 to ``bits``, without a search."""
    best = [
        Construction("no code", length, 0, lambda: np.zeros((words, 0), np.uint8)) for length in range(bits + 1)
    ]
    for family in _families(words, bits):
        for length in range(max(1, family.length - LARGEST_SHORTENING), min(bits, family.length) + 1):
            surplus = family.length - length
            shortened = min(family.shortenings, surplus)
            distance = family.distance - (surplus - shortened)
            if distance > best[length].distance:
                make = functools.partial(_puncture, family, shortened, surplus - shortened)
                best[length] = Construction(family.name, length, distance, make)
    distances = np.array([one.distance for one in best])
    for length in range(2, bits + 1):
        shorter = best[length - 1]
        if shorter.distance and shorter.distance + shorter.distance % 2 > best[length].distance:
            distance = shorter.distance + shorter.distance % 2
            best[length] = Construction(
                f"{shorter.name} and a parity bit", length, distance, functools.partial(_with_parity, shorter)
            )
        left, right = distances[1:length], distances[length - 1 : 0 : -1]
        sums = np.where((left > 0) & (right > 0), left + right, 0)
        ties = np.flatnonzero(sums == sums.max()) + 1
        split = int(ties[np.abs(2 * ties - length).argmin()])  # near the middle, so that parts nest few levels deep
        if sums[split - 1] > best[length].distance:
            parts = best[split], best[length - split]
            name = f"{parts[0].name} beside {parts[1].name}"
            make = functools.partial(_side_by_side, *parts)
            best[length] = Construction(name, length, int(sums[split - 1]), make)
        distances[length] = best[length].distance
    return best


def _families(words: int, bits: int) -> Iterator[Family]:
    dimension = (words - 1).bit_length()
    longest = bits + LARGEST_SHORTENING
    yield Family(
        f"all words of {dimension} bits", dimension, 1, 0, lambda _: _span(np.eye(dimension, dtype=np.uint8))
    )
    for degree in range(3, 11):
        if 2**degree <= longest:
            for generator, distance in bch_generators(degree, LARGEST_DIMENSION + LARGEST_SHORTENING):
                if len(generator) >= dimension:
                    name = f"extended BCH code [{2**degree}, {len(generator)}]"
                    yield _linear_family(name, generator, distance, dimension)
    for length, distance in QUADRATIC_RESIDUE_DISTANCES.items():
        if length <= longest and length // 2 >= dimension:
            generator = quadratic_residue_generator(length)
            name = f"quadratic-residue code [{length}, {length // 2}]"
            yield _linear_family(name, generator, distance, dimension)
    for length in kerdock_codes.LENGTHS:
        largest = 2 * (length.bit_length() - 1)
        if length <= longest and largest >= dimension:
            yield Family(
                f"Kerdock code of length {length}",
                length,
                kerdock_codes.kerdock_distance(length),
                min(largest, LARGEST_DIMENSION) - dimension,
                functools.partial(_cut_kerdock, length, dimension),
            )
    for order in range(max(4, -(-words // 8) * 4), longest + 1, 4):
        if has_hadamard_matrix(order):
            # The rows and their negatives take all values equally often on any three columns.
            shortenings = min(3, (2 * order // words).bit_length() - 1)
            name = f"Hadamard matrix of order {order}"
            yield Family(name, order, order // 2, shortenings, functools.partial(_cut_hadamard, order))
    for length in range(max(5, -(-words // 2) - 1), longest + 1):
        if conference_codes.exists(length):
            shortenings = int(length + 1 >= words)
            name = f"conference matrix of order {length + 1}"
            cut = functools.partial(_cut_conference, length)
            yield Family(name, length, (length - 1) // 2, shortenings, cut)


def _linear_family(name: str, generator: NDArray[np.uint8], distance: int, dimension: int) -> Family:
    cut = functools.partial(_cut_linear, generator, dimension)
    return Family(name, generator.shape[1], distance, len(generator) - dimension, cut)


def _cut_linear(generator: NDArray[np.uint8], dimension: int, shortened: int) -> Words:
    if shortened:
        # In echelon form the first rows own one column each; without them the others are zero there.
        echelon = independent_rows(generator)
        owned = echelon[:shortened].argmax(1)
        generator = np.delete(echelon[shortened:], owned, axis=1)
    return _span(generator[:dimension])


def _cut_kerdock(length: int, dimension: int, shortened: int) -> Words:
    return _shorten(kerdock_codes.kerdock_code(length, dimension + shortened), shortened)


def _cut_hadamard(order: int, shortened: int) -> Words:
    matrix = hadamard_matrix(order)
    assert matrix is not None
    return _shorten((np.concatenate([matrix, -matrix]) > 0).astype(np.uint8), shortened)


def _cut_conference(length: int, shortened: int) -> Words:
    return _shorten(conference_codes.conference_code(length), shortened)


def _shorten(words: Words, times: int) -> Words:
    """Keep the words with the more frequent value of the last bit, and drop that bit, ``times`` times."""
    for _ in range(times):
        ones = words[:, -1].astype(bool)
        words = words[ones if 2 * ones.sum() > len(ones) else ~ones, :-1]
    return words


def _puncture(family: Family, shortened: int, punctured: int) -> Words:
    words = family.cut(shortened)
    return words[:, : words.shape[1] - punctured]


def _with_parity(code: Construction) -> Words:
    words = code.make()
    parity = words.sum(1, keepdims=True, dtype=np.uint8) % 2
    if parity.min() == parity.max():  # a constant bit would be wasted, a repeated one at least separates
        parity = words[:, :1]
    return np.concatenate([words, parity], axis=1)


def _side_by_side(left: Construction, right: Construction) -> Words:
    both = left.make(), right.make()
    count = min(len(both[0]), len(both[1]))
    return np.concatenate([both[0][:count], both[1][:count]], axis=1)


def _span(generator: NDArray[np.uint8]) -> Words:
    """All sums of rows, (2^k, n); the first 2^j are those of the first j rows."""
    words = np.zeros((1, generator.shape[1]), np.uint8)
    for row in generator:
        words = np.concatenate([words, words ^ row])
    return words
