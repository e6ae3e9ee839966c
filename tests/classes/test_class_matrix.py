"""One check for every matrix over classes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hashlens.classes import check_class_distances, check_similarity, class_distances, read_similarity
from hashlens.classes.class_matrix import check_class_matrix
from hashlens.errors import BadInput
from refusals import is_one_sentence


@pytest.mark.parametrize(
    ("matrix", "says"),
    [
        ([[0, 1]], "matrix"),
        (np.zeros((2, 2, 2)), "matrix"),
        ([[0, 1], [0]], "matrix of numbers"),
        ([["a", "b"], ["c", "d"]], "matrix of numbers"),
        (None, "matrix"),
        (np.zeros((3, 3)), "for 3 classes, but there are 2"),
        ([[0, np.nan], [np.nan, 0]], "finite"),
        ([[0, np.inf], [np.inf, 0]], "finite"),
        ([[0, 1.1], [1.1, 0]], "between 0 and 1"),
        ([[0, -0.1], [-0.1, 0]], "between 0 and 1"),
        ([[0, 1], [0.5, 0]], "symmetric"),
        ([[0.1, 1], [1, 0]], "diagonal"),
    ],
)
def test_what_is_no_matrix_of_distances_is_refused(matrix: Any, says: str) -> None:
    with pytest.raises(BadInput, match=says) as refusal:
        check_class_distances(matrix, classes=2)
    assert is_one_sentence(refusal)


def test_rounding_is_forgiven_and_taken_back() -> None:
    given = np.array([[1e-8, 1 + 1e-7], [1, -1e-8]])
    np.testing.assert_array_equal(check_class_distances(given), [[1e-8, 1], [1, 0]])
    np.testing.assert_array_equal(check_similarity([[1 + 1e-7, -1 - 1e-7], [-1, 1]]), [[1, -1], [-1, 1]])


def test_where_only_ratios_count_distances_have_no_limit() -> None:
    np.testing.assert_array_equal(check_class_distances([[0, 7], [7, 0]], most=np.inf), [[0, 7], [7, 0]])
    with pytest.raises(BadInput, match="finite"):
        check_class_distances([[0, np.inf], [np.inf, 0]], most=np.inf)


def test_any_finite_matrix_will_do_where_nothing_more_is_asked() -> None:
    assert check_class_matrix([[1, 2], [3, 4]], "confusion").tolist() == [[1, 2], [3, 4]]
    with pytest.raises(BadInput, match=r"^A confusion must be finite, without NaN\.$"):
        check_class_matrix([[1, np.nan], [3, 4]], "confusion")


def test_numbers_of_classes_are_rows_of_a_matrix_of_more_of_them() -> None:
    between = np.abs(np.subtract.outer(np.arange(5), np.arange(5))) / 4
    np.testing.assert_array_equal(class_distances(between, ["1", "4"]), [[0, 0.75], [0.75, 0]])
    np.testing.assert_array_equal(class_distances(between, list("12345")), between)  # in the order of the names
    for names in (["1", "5"], ["1", "cat"]):
        with pytest.raises(BadInput, match="for 5 classes, but there are 2"):
            class_distances(between, names)


def test_files_of_matrices_are_read_by_the_same_door(tmp_path: Path) -> None:
    np.save(tmp_path / "d.npy", np.array([["a"]]))
    for read in (class_distances, read_similarity):
        with pytest.raises(BadInput, match=r"d\.npy is not a \.npy file of .*<U1") as refusal:
            read(tmp_path / "d.npy", ["a"])
        assert is_one_sentence(refusal)
