"""The distances that maximum-distance codebooks must reach, and what they must never fall below."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hashlens.centres import bernoulli, hadamard, maximum_distance, minimum_distance, quality
from hashlens.centres.distant_codes import ANNEALED_CLASSES

# bits, classes, a distance that a code of textbooks has, and which code that is
REACHED = [
    (64, 10, 32, "rows of a Hadamard matrix"),
    (64, 100, 32, "rows of a Hadamard matrix and their negatives"),
    (64, 128, 32, "first-order Reed-Muller, 2K words at K/2"),
    (32, 64, 16, "first-order Reed-Muller"),
    (128, 256, 64, "first-order Reed-Muller"),
    (12, 24, 6, "rows of Paley's matrix of order 12 and their negatives"),
    (16, 100, 6, "Nordstrom-Robinson, 256 words"),
    (16, 256, 6, "Nordstrom-Robinson"),
    (15, 128, 6, "Nordstrom-Robinson, shortened once"),
    (15, 256, 5, "Nordstrom-Robinson, punctured"),
    (32, 100, 12, "extended BCH [32, 11, 12]"),
    (24, 4096, 8, "extended Golay"),
    (23, 4096, 7, "Golay"),
    (8, 16, 4, "extended Hamming [8, 4, 4]"),
    (8, 128, 2, "even weights"),
    (31, 32, 15, "simplex with its complement"),
    (63, 64, 31, "simplex, punctured Hadamard"),
    (64, 1000, 28, "extended BCH [64, 10, 28]"),
    (128, 1000, 56, "extended BCH [128, 15, 56]"),
]


@pytest.mark.parametrize(("bits", "classes", "least", "code"), REACHED)
def test_a_codebook_is_no_worse_than_a_textbook_code(bits: int, classes: int, least: int, code: str) -> None:
    facts = quality(maximum_distance(classes, bits, seed=1))
    assert facts["minimum_distance"] >= least, code
    assert facts["minimum_distance"] <= facts["upper_bound"]


@pytest.mark.parametrize("bits", [8, 13, 64, 255, 1024])
def test_two_classes_differ_in_every_bit(bits: int) -> None:
    one, other = maximum_distance(2, bits)
    np.testing.assert_array_equal(one, -other)


@pytest.mark.parametrize("bits", [9, 12, 14, 30, 100])
@pytest.mark.parametrize("classes", [3, 4])
def test_three_or_four_classes_differ_in_two_thirds_of_the_bits(classes: int, bits: int) -> None:
    # Each bit separates at most 2 of 3 pairs, or 4 of 6, so two thirds on average are the most.
    assert minimum_distance(maximum_distance(classes, bits)) == 2 * bits // 3


@pytest.mark.parametrize("bits", [8, 9])
def test_few_classes_reach_the_best_distance_there_is(bits: int) -> None:
    words = [np.array(word, np.int8) for word in itertools.product((-1, 1), repeat=bits)]
    for classes in (3, 5, 8):
        found = minimum_distance(maximum_distance(classes, bits))
        assert not exists(words, classes, found + 1), f"{classes} words of {bits} bits can be farther apart"


def exists(words: list[np.ndarray], classes: int, distance: int) -> bool:
    """Whether some ``classes`` of the words are that far apart, by trying all; the first word is given."""
    table = np.array([[int((a != b).sum()) for b in words] for a in words]) >= distance

    def extend(candidates: np.ndarray, missing: int) -> bool:
        if missing == 0:
            return True
        while len(candidates) >= missing:
            first, candidates = candidates[0], candidates[1:]
            if extend(candidates[table[first][candidates]], missing - 1):
                return True
        return False

    return extend(np.flatnonzero(table[0]), classes - 1)


@settings(deadline=None, max_examples=20)
@given(bits=st.integers(8, 80), classes=st.integers(2, 150), seed=st.integers(0, 2**32))
def test_no_other_generator_and_no_greedy_choice_is_farther_apart(bits: int, classes: int, seed: int) -> None:
    distance = minimum_distance(maximum_distance(classes, bits, seed))
    assert distance >= minimum_distance(bernoulli(classes, bits, seed))
    assert distance >= minimum_distance(hadamard(classes, bits, seed))


@pytest.mark.parametrize(("bits", "classes"), [(64, 100), (16, 100), (20, 30), (24, ANNEALED_CLASSES)])
def test_the_distance_does_not_depend_on_the_seed(bits: int, classes: int) -> None:
    assert len({minimum_distance(maximum_distance(classes, bits, seed)) for seed in range(3)}) == 1


@pytest.mark.parametrize("classes", [ANNEALED_CLASSES, ANNEALED_CLASSES + 1, 3000])
def test_many_classes_are_still_farther_apart_than_random_ones(classes: int) -> None:
    distant, random = maximum_distance(classes, 48), bernoulli(classes, 48)
    assert len(np.unique(distant, axis=0)) == classes
    assert minimum_distance(distant) >= minimum_distance(random) + 5


@pytest.mark.parametrize(("bits", "classes"), [(64, 64), (16, 100), (33, 40)])
def test_no_class_is_given_a_constant_code(bits: int, classes: int) -> None:
    constant = sum((np.abs(maximum_distance(classes, bits, seed).sum(1)) == bits).sum() for seed in range(4))
    assert constant == 0


def test_a_seed_gives_the_classes_other_codes() -> None:
    one, other = maximum_distance(100, 64, 0), maximum_distance(100, 64, 1)
    assert (one != other).any(1).mean() > 0.9
