"""What a codebook may be, and how its distances and its quality are counted."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from hashlens.centres import GENERATORS, check_codebook, minimum_distance, needs_similarity, quality
from hashlens.centres.codebook import LARGEST_CODEBOOK, check_size, distance_counts
from hashlens.errors import BadInput

Codebook = NDArray[np.int8]

ALONE = sorted(name for name in GENERATORS if not needs_similarity(name))


def random_codebook(classes: int, bits: int, seed: int = 0) -> Codebook:
    """Distinct rows by rejection, one row after the other."""
    random = np.random.default_rng(seed)
    rows: dict[bytes, Codebook] = {}
    while len(rows) < classes:
        row = random.choice(np.array([-1, 1], np.int8), bits)
        rows[row.tobytes()] = row
    return np.stack(list(rows.values()))


def pair_distances(codebook: Codebook) -> list[int]:
    return [int((one != other).sum()) for one, other in itertools.combinations(codebook, 2)]


def naive_quality(codebook: Codebook) -> dict[str, Any]:
    classes, bits = codebook.shape
    distances = pair_distances(codebook)
    cosines = [
        abs(sum(int(a) * int(b) for a, b in zip(one, other, strict=True))) / bits
        for one, other in itertools.combinations(codebook, 2)
    ]
    return {
        "classes": classes,
        "bits": bits,
        "minimum_distance": min(distances),
        "mean_distance": sum(distances) / len(distances),
        "maximum_distance": max(distances),
        "pairs_at_minimum": distances.count(min(distances)),
        "mean_absolute_cosine": sum(cosines) / len(cosines),
        "maximum_absolute_cosine": max(cosines),
        "bit_balance_deviation": sum(
            abs(sum(value == 1 for value in column) / classes - 0.5) for column in codebook.T.tolist()
        )
        / bits,
    }


def assert_one_sentence(refusal: pytest.ExceptionInfo[BadInput]) -> None:
    text = str(refusal.value)
    assert text.endswith(".") and ". " not in text and "\n" not in text


@settings(deadline=None, max_examples=60)
@given(classes=st.integers(2, 20), bits=st.integers(8, 140), seed=st.integers(0, 2**32))
def test_distances_and_quality_equal_those_counted_pair_by_pair(classes: int, bits: int, seed: int) -> None:
    codebook = random_codebook(classes, bits, seed)
    counts = distance_counts(codebook)
    assert counts.tolist() == np.bincount(pair_distances(codebook), minlength=bits + 1).tolist()
    assert minimum_distance(codebook) == min(pair_distances(codebook))
    found = quality(codebook)
    naive = naive_quality(codebook)
    assert {name: found[name] for name in naive} == pytest.approx(naive)
    assert found["minimum_distance"] <= found["upper_bound"] <= bits


def test_quality_is_made_of_plain_numbers_that_json_can_hold() -> None:
    facts = quality(random_codebook(5, 16))
    assert {type(value) for value in facts.values()} <= {int, float}


def test_equal_rows_are_at_distance_zero() -> None:
    codebook = random_codebook(4, 12)
    codebook[3] = codebook[1]
    assert minimum_distance(codebook) == 0


def test_complementary_rows_are_as_far_apart_as_bits_allow_but_not_orthogonal() -> None:
    row = random_codebook(1, 21)
    facts = quality(np.concatenate([row, -row]))
    assert facts["minimum_distance"] == facts["upper_bound"] == 21
    assert facts["maximum_absolute_cosine"] == 1
    assert facts["bit_balance_deviation"] == 0


@pytest.mark.parametrize("kind", [np.int8, np.int64, np.float32, np.float64])
def test_a_codebook_of_any_signed_number_type_is_taken_and_becomes_int8(kind: type) -> None:
    codebook = random_codebook(6, 9)
    for form in (codebook.astype(kind), np.asfortranarray(codebook.astype(kind)), codebook.astype(kind).tolist()):
        checked = check_codebook(form, classes=6, bits=9)
        assert checked.dtype == np.int8
        np.testing.assert_array_equal(checked, codebook)


def changed(place: tuple[int, int], value: float) -> NDArray[np.float64]:
    codebook = random_codebook(6, 9).astype(float)
    codebook[place] = value
    return codebook


@pytest.mark.parametrize(
    ("codebook", "said"),
    [
        pytest.param(random_codebook(6, 9)[0], r"\(9,\)", id="one row alone"),
        pytest.param(random_codebook(6, 9)[None], r"\(1, 6, 9\)", id="three axes"),
        pytest.param(random_codebook(6, 9) > 0, "bool", id="booleans"),
        pytest.param((random_codebook(6, 9) > 0).astype(int), "−1 and \\+1", id="zeros and ones"),
        pytest.param(changed((2, 3), np.nan), "−1 and \\+1", id="NaN"),
        pytest.param(changed((2, 3), 0.5), "−1 and \\+1", id="a fraction"),
        pytest.param(random_codebook(6, 9).astype(complex), "complex", id="complex numbers"),
        pytest.param(random_codebook(6, 9).astype(str), "<U", id="text"),
        pytest.param(random_codebook(6, 9)[:, :7], "7 bits", id="too few bits"),
        pytest.param(np.ones((1, 1025), np.int8), "1025 bits", id="too many bits"),
        pytest.param(np.ones((0, 9), np.int8), "0 classes", id="no row"),
        pytest.param(random_codebook(6, 9)[[0, 1, 2, 1, 3, 1]], "4 distinct rows.* 3 times", id="equal rows"),
    ],
)
def test_what_is_no_codebook_is_refused_with_what_is_wrong(codebook: NDArray, said: str) -> None:
    with pytest.raises(BadInput, match=said) as refusal:
        check_codebook(codebook)
    assert_one_sentence(refusal)


@pytest.mark.parametrize(
    ("wanted", "said"), [({"classes": 5}, "6 classes, but 5"), ({"bits": 10}, "9 bits, but 10")]
)
def test_a_codebook_of_another_size_than_needed_is_refused(wanted: dict[str, int], said: str) -> None:
    with pytest.raises(BadInput, match=said) as refusal:
        check_codebook(random_codebook(6, 9), **wanted)
    assert_one_sentence(refusal)


def test_the_quality_of_one_class_is_refused() -> None:
    with pytest.raises(BadInput, match="one class") as refusal:
        quality(random_codebook(1, 8))
    assert_one_sentence(refusal)


@pytest.mark.parametrize(("classes", "bits"), [(1, 8), (256, 8), (512, 9), (1, 1024), (LARGEST_CODEBOOK, 1024)])
def test_sizes_up_to_the_limits_are_taken(classes: int, bits: int) -> None:
    check_size(classes, bits)


@pytest.mark.parametrize(
    ("classes", "bits", "said"),
    [
        (0, 16, "out of range"),
        (-3, 16, "out of range"),
        (100_001, 64, "100,000"),
        (10, 7, "8 to 1024"),
        (10, 0, "8 to 1024"),
        (10, 1025, "8 to 1024"),
        (10, 16.5, "16.5 bits"),
        (257, 8, "256 distinct codes, too few for 257"),
        (8193, 13, "8192 distinct codes, too few for 8193"),
    ],
)
@pytest.mark.parametrize("generator", [*map(GENERATORS.__getitem__, ALONE), check_size])
def test_every_generator_refuses_sizes_that_do_not_exist(generator, classes: int, bits: int, said: str) -> None:
    with pytest.raises(BadInput, match=said) as refusal:
        generator(classes, bits)
    assert_one_sentence(refusal)


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(
    name=st.sampled_from(ALONE),
    classes=st.integers(1, 40),
    bits=st.integers(8, 130),
    seed=st.integers(0, 2**63),
)
def test_every_generator_makes_distinct_signs_that_the_seed_decides(
    name: str, classes: int, bits: int, seed: int
) -> None:
    if name == "mds":  # whose program takes minutes for more
        classes, bits = min(classes, 10), min(bits, 24)
    codebook = GENERATORS[name](classes, bits, seed)
    assert codebook.dtype == np.int8
    assert codebook.shape == (classes, bits)
    assert set(np.unique(codebook).tolist()) <= {-1, 1}
    assert len({row.tobytes() for row in codebook}) == classes
    np.testing.assert_array_equal(codebook, GENERATORS[name](classes, bits, seed))
    np.testing.assert_array_equal(codebook, check_codebook(codebook, classes, bits))


@pytest.mark.parametrize("name", sorted({*ALONE} - {"csq", "mds"}))  # of balanced rows; too slow
@pytest.mark.parametrize("bits", [8, 9])
def test_every_generator_can_use_up_all_codes(name: str, bits: int) -> None:
    codebook = GENERATORS[name](2**bits, bits, 0)
    assert len(np.unique(codebook, axis=0)) == 2**bits
    assert quality(codebook)["minimum_distance"] == 1


@pytest.mark.parametrize("name", ALONE)
@pytest.mark.parametrize("size", [(10, 64), (100, 33), (200, 16)])
def test_another_seed_makes_another_codebook(name: str, size: tuple[int, int]) -> None:
    if name == "mds" and size != (10, 64):
        pytest.skip("its program takes minutes")
    books = {GENERATORS[name](*size, seed).tobytes() for seed in range(5)}
    assert len(books) == 5


@pytest.mark.parametrize("name", ALONE)
def test_no_state_is_left_behind_from_one_codebook_to_the_next(name: str) -> None:
    first = GENERATORS[name](20, 24, 7)
    kept = first.copy()
    first[:] = 0  # what a caller does with its array is its own business
    np.random.default_rng(0).random(10)
    np.testing.assert_array_equal(GENERATORS[name](20, 24, 7), kept)
