"""Distance bounds against known tables and against codes that exist."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hashlens.centres import distance_upper_bound, gilbert_varshamov_distance
from hashlens.centres.best_known_codes import best_known_code
from hashlens.errors import BadInput

# The largest numbers of words A(n, d) that are known (Brouwer's and Agrell, Vardy and Zeger's tables).
LARGEST_CODES = {
    (8, 3): 20,
    (8, 4): 16,
    (8, 5): 4,
    (8, 6): 2,
    (9, 4): 20,
    (10, 4): 40,
    (10, 6): 6,
    (11, 6): 12,
    (12, 6): 24,
    (13, 6): 32,
    (14, 6): 64,
    (15, 6): 128,
    (16, 6): 256,
    (16, 8): 32,
    (20, 8): 256,
    (23, 7): 4096,
    (24, 8): 4096,
    (24, 12): 48,
}


@pytest.mark.parametrize(
    ("bits", "classes", "distance"),
    [
        (16, 100, 4),
        (24, 50, 8),
        (32, 100, 10),
        (48, 100, 17),
        (64, 10, 28),
        (64, 100, 24),
        (64, 1000, 21),
        (128, 1000, 48),
        (8, 256, 1),
        (8, 1, 9),
    ],
)
def test_the_distance_of_the_papers(bits: int, classes: int, distance: int) -> None:
    assert gilbert_varshamov_distance(classes, bits) == distance


@pytest.mark.parametrize(
    ("bits", "classes", "distance"),
    [
        (64, 10, 35),
        (64, 100, 32),
        (16, 100, 6),
        (24, 50, 11),
        (32, 100, 14),
        (48, 100, 23),
        (128, 1000, 61),
        (16, 257, 5),
        (23, 4097, 6),
        (24, 4097, 7),
        (8, 256, 1),
        (64, 129, 31),
        (1024, 2048, 512),
    ],
)
def test_upper_bounds(bits: int, classes: int, distance: int) -> None:
    assert distance_upper_bound(classes, bits) == distance


@pytest.mark.parametrize(("size", "words"), LARGEST_CODES.items())
def test_codes_that_exist_are_not_excluded(size: tuple[int, int], words: int) -> None:
    bits, distance = size
    assert distance_upper_bound(words, bits) >= distance


def test_plotkin_cases_are_exact() -> None:
    for (bits, distance), words in LARGEST_CODES.items():
        if 2 * distance >= bits:
            assert distance_upper_bound(words + 1, bits) < distance


@settings(max_examples=60, deadline=None)
@given(st.integers(8, 300), st.integers(2, 100_000))
def test_bounds_are_in_order(bits: int, classes: int) -> None:
    classes = min(classes, 2**bits)
    upper = distance_upper_bound(classes, bits)
    assert 1 <= best_known_code(classes, bits).distance <= upper <= bits
    assert gilbert_varshamov_distance(classes, bits) - 1 <= upper
    if classes > 2:
        assert upper <= distance_upper_bound(classes - 1, bits)


def test_few_classes() -> None:
    assert distance_upper_bound(1, 20) == distance_upper_bound(2, 20) == 20
    assert distance_upper_bound(3, 20) == 13
    assert distance_upper_bound(4, 8) == 5


@pytest.mark.parametrize(("classes", "bits"), [(0, 16), (100_001, 64), (300, 8), (10, 7), (10, 1025)])
def test_refusals(classes: int, bits: int) -> None:
    with pytest.raises(BadInput):
        distance_upper_bound(classes, bits)
    with pytest.raises(BadInput):
        gilbert_varshamov_distance(classes, bits)
