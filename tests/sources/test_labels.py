"""Class numbers change from source to source; what they name does not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashlens.errors import BadInput
from hashlens.sources import FeatureArray, ImageArray
from hashlens.sources.labels import (
    NO_LABEL,
    Labels,
    as_multi_hot,
    number_classes,
    number_integers,
    number_label_sets,
    share_numbering,
)
from refusals import is_one_sentence

NAMES = st.lists(st.text("abcd", min_size=1, max_size=2), unique=True, max_size=5)


@st.composite
def labelled(draw: st.DrawFn) -> tuple[Labels, list[str]]:
    names = draw(NAMES)
    if draw(st.booleans()):
        numbers = draw(st.lists(st.integers(NO_LABEL, len(names) - 1), max_size=8))
        return np.array(numbers, np.int64), names
    rows = st.lists(st.booleans(), min_size=len(names), max_size=len(names))
    drawn = draw(st.lists(rows, max_size=8))
    return np.array(drawn, bool).reshape(len(drawn), len(names)), names


def named(labels: Labels, names: list[str] | tuple[str, ...]) -> list[set[str]]:
    if labels.ndim == 1:
        return [{names[number]} if number >= 0 else set() for number in labels]
    return [{names[number] for number in np.flatnonzero(row)} for row in labels]


@given(labelled(), labelled())
def test_a_common_numbering_keeps_the_names_of_every_item(
    first: tuple[Labels, list[str]], second: tuple[Labels, list[str]]
) -> None:
    one, two, names = share_numbering(*first, *second)
    assert named(one, names) == named(*first)
    assert named(two, names) == named(*second)
    assert sorted(names) == sorted({*first[1], *second[1]})
    assert names[: len(first[1])] == tuple(first[1])
    both_single = first[0].ndim == second[0].ndim == 1
    assert (one.ndim, two.ndim) == ((1, 1) if both_single else (2, 2))
    if not both_single:
        assert one.shape[1] == two.shape[1] == len(names)
        assert one.dtype == two.dtype == bool


@given(labelled())
def test_a_source_shares_its_numbering_with_itself_unchanged(source: tuple[Labels, list[str]]) -> None:
    one, two, names = share_numbering(*source, *source)
    np.testing.assert_array_equal(one, source[0])
    np.testing.assert_array_equal(two, source[0])
    assert names == tuple(source[1])


@given(st.lists(st.none() | st.text("abc ", max_size=3)))
def test_class_names_are_numbered_in_sorted_order(texts: list[str | None]) -> None:
    labels, names = number_classes(texts)
    assert list(names) == sorted({text for text in texts if text})
    if not names:
        assert labels is None
        return
    assert labels is not None
    assert labels.dtype == np.int64
    assert [names[number] if number != NO_LABEL else None for number in labels] == [text or None for text in texts]


@given(st.lists(st.lists(st.text("abc", min_size=1, max_size=2), max_size=4)))
def test_label_sets_become_multi_hot_rows_and_repetitions_do_not_count(sets: list[list[str]]) -> None:
    labels, names = number_label_sets(sets)
    assert (labels.shape, labels.dtype) == ((len(sets), len(names)), bool)
    assert list(names) == sorted(set().union(*sets))
    assert named(labels, names) == [set(one) for one in sets]


@given(labelled())
def test_labels_of_either_kind_become_multi_hot(source: tuple[Labels, list[str]]) -> None:
    labels, names = source
    wide = as_multi_hot(labels, len(names))
    assert (wide.shape, wide.dtype) == ((len(labels), len(names)), bool)
    assert named(wide, names) == named(labels, names)


@pytest.mark.parametrize("dtype", [np.int8, np.int64, np.uint8, np.uint64])
def test_numbers_name_themselves_where_no_names_are_given(dtype: type) -> None:
    numbers, names = number_integers(np.array([3, 1, 3], dtype), None, "here")
    assert (numbers.tolist(), names) == ([3, 1, 3], ("0", "1", "2", "3"))
    numbers, names = number_integers(np.array([], dtype), None, "here")
    assert (numbers.tolist(), names) == ([], ())
    numbers, names = number_integers(np.array([1], dtype), ["a", "b", "c"], "here")
    assert (numbers.tolist(), names) == ([1], ("a", "b", "c"))


@pytest.mark.parametrize(("values", "names"), [([0, -2], None), ([2], ["a", "b"]), ([-2], ["a"]), ([0], [])])
def test_numbers_without_a_name_are_refused(values: list[int], names: list[str] | None) -> None:
    with pytest.raises(BadInput, match=r"^here has .*label.*\.$"):
        number_integers(np.array(values), names, "here")


def test_label_sets_of_numbers_are_named_by_them_or_by_the_names_given() -> None:
    marks, names = number_label_sets([[2, 0], [], [-1], [2, 2]], None, "here")
    assert (marks.astype(int).tolist(), names) == ([[1, 0, 1], [0, 0, 0], [0, 0, 0], [0, 0, 1]], ("0", "1", "2"))
    marks, names = number_label_sets([[1]], ["cat", "dog"], "here")
    assert (marks.astype(int).tolist(), names) == ([[0, 1]], ("cat", "dog"))
    with pytest.raises(BadInput, match="different kinds") as refusal:
        number_label_sets([["cat"], [1]], None, "here")
    assert is_one_sentence(refusal)


def test_a_number_means_the_same_in_every_source_and_classes_that_none_has_can_be_left_out() -> None:
    database = FeatureArray("database", np.eye(4), [1, 5, 3, -1])
    queries = FeatureArray("queries", np.eye(3), [5.0, np.nan, 3.0])
    assert database.labels is not None and queries.labels is not None
    assert (database.labels.tolist(), queries.labels.tolist()) == ([1, 5, 3, -1], [5, -1, 3])
    own = database.with_own_classes(), queries.with_own_classes()
    assert (own[0].class_names, own[1].class_names) == (("1", "3", "5"), ("3", "5"))
    assert [own[0].label_names(item) for item in range(4)] == [["1"], ["5"], ["3"], []]
    sets = FeatureArray("sets", np.eye(2), [[4, 1], [1]]).with_own_classes()
    assert (sets.class_names, sets.label_names(0)) == (("1", "4"), ["1", "4"])


@pytest.mark.parametrize(
    ("labels", "class_names", "names"),
    [
        ([1, -1, 0], ("cat", "dog"), [["dog"], [], ["cat"]]),
        (np.array([2, 0, 2], np.uint8), (), [["2"], ["0"], ["2"]]),
        (["dog", "", "cat"], (), [["dog"], [], ["cat"]]),
        ([[1, 0], [1, 1], [0, 0]], ("cat", "dog"), [["cat"], ["cat", "dog"], []]),
        ([[0.0, 1.0]] * 3, (), [["1"]] * 3),
        (np.array([[0, 1]] * 3, object), (), [["1"]] * 3),
        (np.array([200, 100, 200], np.uint8), (), [["200"], ["100"], ["200"]]),
        ([3.0, np.nan, 1.0], (), [["3"], [], ["1"]]),
        (np.array([10, None, 2], object), (), [["10"], [], ["2"]]),
        (pandas.array([10, None, 2], "Int64"), (), [["10"], [], ["2"]]),
        ([["a", "b"], ["c"], []], (), [["a", "b"], ["c"], []]),
        ([["a", "b"], ["c", "a"], ["b", ""]], (), [["a", "b"], ["a", "c"], ["b"]]),
        ([("a",), None, {"c"}], (), [["a"], [], ["c"]]),
        ([["a"], "b", np.nan], (), [["a"], ["b"], []]),
        ([[7], [7, 5], []], (), [["7"], ["5", "7"], []]),
        ([[1], [1, 0], []], ("cat", "dog"), [["dog"], ["cat", "dog"], []]),
        (pandas.Series([["a"], ["b"], ["a"]]), (), [["a"], ["b"], ["a"]]),
        (["", "", ""], (), [[], [], []]),
    ],
)
def test_a_source_takes_labels_in_any_form(
    labels: Any, class_names: tuple[str, ...], names: list[list[str]]
) -> None:
    for source in (
        FeatureArray("mine", np.eye(3), labels, class_names),
        ImageArray("mine", np.zeros((3, 2, 2), np.uint8), labels, class_names),
    ):
        assert [source.label_names(item) for item in range(3)] == names
        assert [source.select([2, 1]).label_names(item) for item in (0, 1)] == [names[2], names[1]]
        assert source.labels is None or source.labels.dtype in (np.int64, bool)


@pytest.mark.parametrize(
    ("labels", "class_names", "says"),
    [
        ([0, 1], (), "3 items, but 2 labels"),
        ([0, 1, 2], ("cat", "dog"), "from 0 to 2, but names for 2 classes"),
        ([0, -2, 1], (), "-2"),
        ([0.5, 1, 2], (), "must hold labels"),
        ([True, False, True], (), "must hold labels"),
        ([[0, 2]] * 3, (), "must hold labels"),
        ([["a"], [1], []], (), "sets of labels of different kinds"),
        ([[0, 1]] * 3, ("cat",), "2 label columns, but 1 class names"),
        (np.zeros((3, 1, 1), int), (), "must hold labels"),
    ],
)
def test_a_source_refuses_what_are_no_labels_of_its_items(
    labels: Any, class_names: tuple[str, ...], says: str
) -> None:
    with pytest.raises(BadInput, match=says) as refusal:
        FeatureArray("mine", np.eye(3), labels, class_names)
    assert is_one_sentence(refusal)


@pytest.mark.parametrize(
    "make",
    [
        lambda: FeatureArray("mine", np.ones(3)),
        lambda: FeatureArray("mine", np.ones((3, 0))),
        lambda: FeatureArray("mine", [["a"]]),
        lambda: FeatureArray("mine", [[np.nan]]),
        lambda: ImageArray("mine", np.ones((3, 4, 4))),
        lambda: ImageArray("mine", np.ones((3, 4, 4, 4), np.uint8)),
        lambda: ImageArray("mine", np.ones((3, 4), np.uint8)),
    ],
)
def test_a_source_refuses_what_are_no_items(make: Any) -> None:
    with pytest.raises(BadInput, match="mine") as refusal:
        make()
    assert is_one_sentence(refusal)


@pytest.mark.parametrize("items", [[3], [-1], [0.5], [[0, 1]], ["a"], 0])
def test_items_that_are_not_there_cannot_be_chosen(items: Any) -> None:
    with pytest.raises(BadInput, match="Items are") as refusal:
        FeatureArray("mine", np.eye(3)).select(items)
    assert is_one_sentence(refusal)
