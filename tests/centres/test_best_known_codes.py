"""Every construction against the distance that it promises, computed pair by pair or word by word."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from hashlens.centres import distance_upper_bound, maximum_distance, minimum_distance
from hashlens.centres.best_known_codes import best_known_code, words_at_distance
from hashlens.centres.conference_codes import conference_code
from hashlens.centres.cyclic_codes import (
    QUADRATIC_RESIDUE_DISTANCES,
    bch_generators,
    independent_rows,
    quadratic_residue_generator,
)
from hashlens.centres.finite_fields import powers_of_generator, prime_power, quadratic_character
from hashlens.centres.hadamard_codes import hadamard_matrix, has_hadamard_matrix
from hashlens.centres.kerdock_codes import kerdock_code, kerdock_distance
from hashlens.centres.symmetric_codes import symmetric_code
from hashlens.codes.distances import distances_in_block
from hashlens.errors import BadInput


def distance_of(words: NDArray[np.uint8]) -> int:
    return minimum_distance(words.astype(np.int8) * 2 - 1)


def lightest_word(generator: NDArray[np.uint8]) -> int:
    words = np.zeros((1, generator.shape[1]), np.uint8)
    for row in generator:
        words = np.concatenate([words, words ^ row])
    return int(words[1:].sum(1, dtype=np.int64).min())


@pytest.mark.parametrize("length", [5, 9, 13, 17, 25, 29, 37, 49, 81, 125])
def test_conference_codes(length: int) -> None:
    words = conference_code(length)
    assert words.shape == (2 * length + 2, length)
    assert distance_of(words) == (length - 1) // 2


@pytest.mark.parametrize(
    ("length", "dimension", "distance"),
    [
        (16, 5, 8),
        (16, 8, 6),
        (64, 7, 32),
        (64, 8, 28),
        (64, 12, 28),
        (256, 9, 128),
        (256, 12, 120),
        (1024, 11, 512),
    ],
)
def test_kerdock_codes(length: int, dimension: int, distance: int) -> None:
    words = kerdock_code(length, dimension)
    assert words.shape == (2**dimension, length)
    assert distance_of(words) == distance >= kerdock_distance(length)


def test_the_whole_kerdock_code_of_length_256_by_its_weights() -> None:
    weights = kerdock_code(256, 16).sum(1, dtype=np.int64)
    np.testing.assert_array_equal(np.unique(weights), [0, 120, 128, 136, 256])


@pytest.mark.parametrize("degree", range(3, 11))
def test_bch_codes(degree: int) -> None:
    codes = [(generator, distance) for generator, distance in bch_generators(degree, 41) if len(generator) <= 16]
    assert codes
    for generator, distance in codes:
        assert len(independent_rows(generator)) == len(generator)
        assert lightest_word(generator) >= distance


@pytest.mark.parametrize("length", QUADRATIC_RESIDUE_DISTANCES)
def test_quadratic_residue_codes(length: int) -> None:
    generator = quadratic_residue_generator(length)
    assert generator.shape == (length // 2, length)
    # All 2^24 words of the longest, one in each machine word.
    numbers = (generator.astype(np.uint64) << np.arange(length, dtype=np.uint64)).sum(1, dtype=np.uint64)
    words = np.zeros(1, np.uint64)
    for number in numbers:
        words = np.concatenate([words, words ^ number])
    weights = np.empty(len(words), np.int16)
    distances_in_block(words[None], np.zeros(1, np.uint64), 0, len(words), weights)
    assert weights[1:].min() == QUADRATIC_RESIDUE_DISTANCES[length]


@pytest.mark.parametrize(("length", "dimension", "least"), [(32, 7, 14), (40, 7, 18), (64, 9, 28), (128, 10, 58)])
def test_searched_codes(length: int, dimension: int, least: int) -> None:
    generator, distance = symmetric_code(length, dimension, least)
    assert len(independent_rows(generator)) == dimension
    assert lightest_word(generator) == distance >= least


@settings(max_examples=60, deadline=None)
@given(st.integers(8, 150), st.integers(2, 3000))
@example(8, 256)
@example(16, 256)
@example(1024, 2048)
@example(13, 3)
@example(41, 2000)
def test_any_size_keeps_its_promise(bits: int, words: int) -> None:
    words = min(words, 2**bits)
    code = best_known_code(words, bits)
    made = code.make()[:words]
    assert made.shape == (words, bits)
    assert distance_of(made) >= code.distance >= 1


def test_large_codes() -> None:
    for words, bits, least in ((40_000, 64, 24), (65_536, 256, 120), (100_000, 48, 12)):
        code = best_known_code(words, bits)
        assert code.distance >= least
        assert len(code.make()) >= words


@pytest.mark.parametrize(
    ("bits", "classes", "least"),
    [
        (16, 100, 6),
        (24, 50, 11),
        (32, 100, 14),
        (32, 200, 12),
        (48, 100, 23),
        (64, 10, 35),
        (64, 100, 32),
        (64, 1000, 28),
        (128, 1000, 58),
        (8, 2, 8),
        (8, 256, 1),
        (9, 20, 4),
        (100, 100, 50),
    ],
)
def test_maximum_distance_reaches(bits: int, classes: int, least: int) -> None:
    codebook = maximum_distance(classes, bits, seed=3)
    assert codebook.shape == (classes, bits)
    assert least <= minimum_distance(codebook) <= distance_upper_bound(classes, bits)
    np.testing.assert_array_equal(codebook, maximum_distance(classes, bits, seed=3))
    assert not np.array_equal(codebook, maximum_distance(classes, bits, seed=4))


@pytest.mark.parametrize(("words", "bits", "distance"), [(100, 32, 12), (100, 64, 32), (20, 17, 6), (5000, 64, 20)])
def test_codes_to_choose_from(words: int, bits: int, distance: int) -> None:
    code = words_at_distance(words, bits, distance)
    assert code is not None
    assert len(code) >= words
    assert code.shape[1] == bits
    assert distance_of(code) >= distance


def test_no_code_to_choose_from() -> None:
    assert words_at_distance(100, 32, 15) is None


@pytest.mark.parametrize("order", [2, 3, 4, 5, 8, 9, 25, 27, 49, 64, 121])
def test_powers_run_through_the_field(order: int) -> None:
    assert sorted(powers_of_generator(order)) == list(range(1, order))


@pytest.mark.parametrize("order", [5, 7, 9, 25, 27, 49])
def test_the_quadratic_character_is_nearly_orthogonal(order: int) -> None:
    core = quadratic_character(order).astype(np.int64)
    np.testing.assert_array_equal(core @ core.T, order * np.eye(order) - np.ones((order, order)))
    np.testing.assert_array_equal(core.T, core if order % 4 == 1 else -core)


def test_prime_powers() -> None:
    found = [number for number in range(30) if prime_power(number)]
    assert found == [2, 3, 4, 5, 7, 8, 9, 11, 13, 16, 17, 19, 23, 25, 27, 29]
    assert prime_power(243) == (3, 5)


def test_hadamard_matrices_of_prime_powers_and_products() -> None:
    for order in range(1, 257):
        matrix = hadamard_matrix(order)
        assert (matrix is not None) == has_hadamard_matrix(order)
        if matrix is not None:
            wide = matrix.astype(np.int64)
            np.testing.assert_array_equal(wide @ wide.T, order * np.eye(order))
    assert has_hadamard_matrix(52)
    assert not has_hadamard_matrix(92)


def test_refusals() -> None:
    with pytest.raises(BadInput, match="no field"):
        powers_of_generator(6)
    with pytest.raises(BadInput, match="conference"):
        conference_code(7)
    with pytest.raises(BadInput, match="Kerdock"):
        kerdock_code(32, 4)
    with pytest.raises(BadInput, match="dimension"):
        kerdock_code(16, 9)
