"""A byte for each bit keeps the cosines of continuous codes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashlens.codes import as_details, detail_cosines


@given(seed=st.integers(0, 2**32), bits=st.sampled_from([8, 13, 64, 256]), scale=st.floats(1e-3, 1e3))
def test_cosines_are_those_of_the_continuous_codes(seed: int, bits: int, scale: float) -> None:
    rng = np.random.default_rng(seed)
    continuous = scale * rng.normal(size=(20, bits))
    details = as_details(continuous)
    assert (details.dtype, details.shape) == (np.int8, (20, bits))
    unit = continuous / np.linalg.norm(continuous, axis=1, keepdims=True)
    np.testing.assert_allclose(detail_cosines(details[0], details), unit @ unit[0], atol=0.02)
    assert detail_cosines(details[0], details)[0] == pytest.approx(1, abs=1e-6)


def test_sigmoid_codes_lie_around_a_half() -> None:
    np.testing.assert_array_equal(as_details([[0.0, 0.5, 1.0]], 0.5), [[-127, 0, 127]])


def test_nothing_and_no_codes_are_no_trouble() -> None:
    assert as_details(np.zeros((2, 8))).tolist() == [[0] * 8] * 2
    assert as_details(np.empty((0, 8))).shape == (0, 8)
    assert detail_cosines(np.zeros(8, np.int8), np.zeros((3, 8), np.int8)).tolist() == [0, 0, 0]
