"""Bernoulli codes are fair coins, but for repeated rows."""

from __future__ import annotations

import numpy as np
import pytest

from hashlens.centres import bernoulli, minimum_distance
from hashlens.centres.random_codes import ENUMERABLE_BITS


@pytest.mark.parametrize("bits", [ENUMERABLE_BITS - 1, ENUMERABLE_BITS, ENUMERABLE_BITS + 1, 64, 100])
def test_entries_are_fair_coins_in_every_column(bits: int) -> None:
    classes = 4000
    codebook = bernoulli(classes, bits, 1)
    deviation = np.abs((codebook > 0).mean(0) - 0.5)
    assert deviation.max() < 5 * 0.5 / np.sqrt(classes)  # five standard deviations of a fair coin


@pytest.mark.parametrize("bits", [ENUMERABLE_BITS, 64])
def test_columns_are_independent_of_each_other(bits: int) -> None:
    classes = 4000
    signs = bernoulli(classes, bits, 2).astype(float)
    correlation = np.abs(signs.T @ signs / classes - np.eye(bits))
    assert correlation.max() < 6 / np.sqrt(classes)


def test_rows_are_half_the_bits_apart_on_average() -> None:
    signs = bernoulli(300, 128, 3).astype(float)
    cosines = (signs @ signs.T / 128)[np.triu_indices(300, 1)]
    assert abs(cosines.mean()) < 0.005
    assert cosines.std() == pytest.approx(1 / np.sqrt(128), rel=0.05)


@pytest.mark.parametrize(("classes", "bits"), [(60_000, 16), (50_000, 17), (100_000, 25), (100_000, 1024)])
def test_rows_differ_even_where_chance_would_repeat_some(classes: int, bits: int) -> None:
    codebook = bernoulli(classes, bits, 4)
    assert codebook.shape == (classes, bits)
    assert len(np.unique(np.packbits(codebook > 0, axis=1), axis=0)) == classes


def test_a_large_codebook_still_has_distinct_rows_by_the_distance_count() -> None:
    assert minimum_distance(bernoulli(3000, 26, 5)) >= 1
