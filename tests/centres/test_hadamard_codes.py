"""Hadamard codes: orthogonal where that is possible, and nearly so elsewhere."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hashlens.centres import bernoulli, hadamard, minimum_distance
from hashlens.centres.hadamard_codes import hadamard_matrix, has_hadamard_matrix

POWERS_OF_TWO = [8, 16, 32, 64, 128, 256, 1024]
BY_PALEY = [12, 20, 24, 28, 36, 48, 60, 100]


@pytest.mark.parametrize("order", [1, 2, 4, *POWERS_OF_TWO[:-1], *BY_PALEY])
def test_a_matrix_has_orthogonal_rows_of_signs(order: int) -> None:
    matrix = hadamard_matrix(order)
    assert matrix is not None
    assert matrix.shape == (order, order)
    assert set(np.unique(matrix).tolist()) <= {-1, 1}
    wide = matrix.astype(np.int64)
    np.testing.assert_array_equal(wide @ wide.T, order * np.eye(order, dtype=np.int64))


@pytest.mark.parametrize("order", [-4, 0, 3, 5, 6, 10, 14, 22, 30, 50])
def test_no_matrix_is_made_where_none_can_exist(order: int) -> None:
    assert hadamard_matrix(order) is None
    assert not has_hadamard_matrix(order)


@pytest.mark.parametrize("bits", [*POWERS_OF_TWO, *BY_PALEY])
def test_up_to_k_centres_are_orthogonal(bits: int) -> None:
    centres = hadamard(bits, bits, 3).astype(np.float32)  # exact for such small integers
    np.testing.assert_array_equal(centres @ centres.T, bits * np.eye(bits))


@pytest.mark.parametrize("bits", [*POWERS_OF_TWO[:-1], *BY_PALEY])
def test_up_to_twice_k_centres_are_at_least_half_the_bits_apart(bits: int) -> None:
    centres = hadamard(2 * bits, bits, 3).astype(np.int64)
    products = centres @ centres.T
    assert set(np.unique(products).tolist()) == {-bits, 0, bits}
    assert (products == -bits).sum(1).tolist() == [1] * (2 * bits)  # each has its negative
    assert minimum_distance(hadamard(2 * bits, bits, 3)) == bits // 2


@settings(deadline=None, max_examples=60)
@given(bits=st.integers(8, 200), share=st.floats(0, 1), seed=st.integers(0, 2**32))
def test_a_dropped_column_costs_at_most_one_unit_of_distance(bits: int, share: float, seed: int) -> None:
    order = next(n for n in range(bits, 4 * bits) if has_hadamard_matrix(n))
    classes = 2 + int(share * (2 * bits - 2))
    assert minimum_distance(hadamard(classes, bits, seed)) >= order // 2 - (order - bits)


@pytest.mark.parametrize(("classes", "bits"), [(17, 8), (33, 16), (129, 64), (500, 64), (25, 12)])
def test_more_than_twice_k_classes_get_random_centres(classes: int, bits: int) -> None:
    np.testing.assert_array_equal(hadamard(classes, bits, 5), bernoulli(classes, bits, 5))


@pytest.mark.parametrize("bits", [16, 24, 64])
def test_no_class_is_given_a_constant_code_and_no_bit_a_constant_column(bits: int) -> None:
    for seed in range(5):
        centres = hadamard(bits, bits, seed)
        assert not (np.abs(centres.sum(1)) == bits).any()
        assert not (np.abs(centres.sum(0)) == bits).any()
