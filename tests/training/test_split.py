"""Which images are held out, for labels of every kind."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from hashlens.training.split import LARGEST_HELD_OUT, SMALLEST_CLASS, SMALLEST_HELD_OUT, hold_out

SHARES = st.one_of(st.sampled_from([0.0, 0.1, 0.5, 0.99]), st.floats(0, 0.999))


@st.composite
def class_labels(draw: st.DrawFn) -> NDArray[np.int64]:
    """Labels of up to eight classes of very different sizes, in a random order."""
    sizes = draw(st.lists(st.integers(1, 60), min_size=1, max_size=8))
    labels = np.repeat(np.arange(len(sizes)), sizes)
    return np.random.default_rng(draw(st.integers(0, 99))).permutation(labels)


def check_parts(train: NDArray[np.int64], held_out: NDArray[np.int64], count: int) -> None:
    for part in (train, held_out):
        assert np.issubdtype(part.dtype, np.integer)
        assert (np.diff(part) > 0).all()
    np.testing.assert_array_equal(np.sort(np.concatenate([train, held_out])), np.arange(count))
    assert len(held_out) == 0 or len(held_out) >= SMALLEST_HELD_OUT


@settings(deadline=None, max_examples=200)
@given(labels=class_labels(), share=SHARES, seed=st.integers(0, 2**32))
def test_single_labels_fall_into_two_parts_class_by_class(
    labels: NDArray[np.int64], share: float, seed: int
) -> None:
    train, held_out = hold_out(labels, share, seed)
    check_parts(train, held_out, len(labels))
    sizes, given_away = np.bincount(labels), np.bincount(labels[held_out], minlength=labels.max() + 1)
    assert ((given_away == 0) | (given_away >= 2)).all()
    assert (given_away[sizes < SMALLEST_CLASS] == 0).all()
    assert (given_away < sizes).all(), "a class has nothing left to train on"
    if len(held_out):
        large = sizes >= SMALLEST_CLASS
        wanted = np.clip(share * sizes[large], 2, sizes[large] - 1)
        assert (np.abs(given_away[large] - wanted) <= 0.5).all()


@settings(deadline=None, max_examples=100)
@given(
    count=st.integers(1, 300), classes=st.integers(1, 10), share=SHARES, seed=st.integers(0, 2**32), data=st.data()
)
def test_label_sets_fall_into_two_parts(
    count: int, classes: int, share: float, seed: int, data: st.DataObject
) -> None:
    density = data.draw(st.floats(0, 1))
    labels = np.random.default_rng(seed).random((count, classes)) < density
    train, held_out = hold_out(labels, share, seed)
    check_parts(train, held_out, count)
    assert len(train) >= 1
    if len(held_out):
        assert abs(len(held_out) - min(share * count, count - 2)) <= 0.5


@pytest.mark.parametrize("multi_label", [False, True])
def test_the_split_depends_on_the_seed_alone(multi_label: bool) -> None:
    labels: NDArray = np.arange(400) % 4
    if multi_label:
        labels = np.eye(4, dtype=bool)[labels]
    first = hold_out(labels, 0.2, 7)[1]
    np.random.seed(3)  # noqa: NPY002
    np.testing.assert_array_equal(hold_out(labels, 0.2, 7)[1], first)
    np.testing.assert_array_equal(hold_out(labels.copy(), 0.2, 7)[1], first)
    assert set(hold_out(labels, 0.2, 8)[1]) != set(first)


@pytest.mark.parametrize("multi_label", [False, True])
def test_held_out_images_are_drawn_from_the_whole_source(multi_label: bool) -> None:
    labels: NDArray = np.zeros(1000, np.int64)
    if multi_label:
        labels = np.ones((1000, 1), bool)
    held_out = hold_out(labels, 0.2, 0)[1]
    assert len(held_out) == 200
    quarters = np.bincount(held_out // 250, minlength=4)
    assert (quarters > 25).all()


@pytest.mark.parametrize("labels", [np.arange(500) % 5, np.ones((500, 3), bool)])
def test_a_share_of_zero_holds_nothing_out(labels: NDArray) -> None:
    train, held_out = hold_out(labels, 0.0, 0)
    assert len(held_out) == 0
    np.testing.assert_array_equal(train, np.arange(500))


@pytest.mark.parametrize(
    ("labels", "share", "wanted"),
    [
        pytest.param(np.arange(100) % 10, 0.1, 20, id="two of each of ten classes"),
        pytest.param(np.arange(90) % 9, 0.1, 0, id="two of each of nine classes are too few"),
        pytest.param(np.arange(400) % 2, 0.25, 100, id="a quarter"),
        pytest.param(np.arange(70) % 10, 0.5, 0, id="all classes too small"),
        pytest.param(np.ones((200, 3), bool), 0.1, 20, id="twenty label sets"),
        pytest.param(np.ones((190, 3), bool), 0.1, 0, id="nineteen label sets are too few"),
    ],
)
def test_small_sources_hold_out_what_was_worked_out_by_hand(labels: NDArray, share: float, wanted: int) -> None:
    assert len(hold_out(labels, share, 0)[1]) == wanted


@pytest.mark.parametrize("labels", [np.arange(200_000) % 10, np.ones((200_000, 2), bool)])
def test_large_sources_hold_out_no_more_than_is_useful(labels: NDArray) -> None:
    assert len(hold_out(labels, 0.3, 0)[1]) == LARGEST_HELD_OUT
