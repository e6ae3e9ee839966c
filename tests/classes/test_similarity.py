"""Class similarity against the formulas written out in loops."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hashlens.classes import (
    check_similarity,
    confusion_similarity,
    embedding_similarity,
    normalize_similarity,
    read_similarity,
)
from hashlens.errors import BadInput


def scaled(matrix: list[list[float]]) -> list[list[float]]:
    """Symmetrise, centre and scale every row, symmetrise, 1 on the diagonal."""
    n = len(matrix)
    even = [[(matrix[i][j] + matrix[j][i]) / 2 for j in range(n)] for i in range(n)]
    rows = []
    for i in range(n):
        mean = sum(even[i]) / n
        scale = max(abs(max(even[i]) - mean), abs(min(even[i]) - mean))
        rows.append([(even[i][j] - mean) / (scale if scale > 1e-12 else 1) for j in range(n)])
    return [[1.0 if i == j else (rows[i][j] + rows[j][i]) / 2 for j in range(n)] for i in range(n)]


def confusion_in_loops(logits: np.ndarray, label_sets: list[list[int]]) -> list[list[float]]:
    classes = logits.shape[1]
    confusion = [[0.0] * classes for _ in range(classes)]
    for row, own in zip(logits.tolist(), label_sets, strict=True):
        weights = [0.0 if c in own else math.exp(value) for c, value in enumerate(row)]
        for y in own:
            for c in range(classes):
                confusion[y][c] += weights[c] / sum(weights)
    return scaled(confusion)


@pytest.mark.parametrize("seed", range(4))
def test_confusion_follows_its_definition(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = np.concatenate([np.arange(5), rng.integers(0, 5, 40)])
    logits = rng.normal(size=(45, 5)) * 3
    found = confusion_similarity(logits, labels)
    np.testing.assert_allclose(found, confusion_in_loops(logits, [[int(y)] for y in labels]), atol=1e-12)


def test_confusion_of_label_sets_leaves_all_labels_of_an_item_out() -> None:
    rng = np.random.default_rng(1)
    marks = rng.random((30, 5)) < 0.3
    marks[np.arange(30), np.arange(30) % 5] = True
    marks[:, 4] &= marks.sum(1) < 5
    logits = rng.normal(size=(30, 5))
    expected = confusion_in_loops(logits, [np.flatnonzero(row).tolist() for row in marks])
    np.testing.assert_allclose(confusion_similarity(logits, marks), expected, atol=1e-12)


def test_what_is_confused_most_is_most_alike() -> None:
    logits = np.array([[9.0, 5, 0, 0], [5, 9, 0, 0], [0, 0, 9, 4], [0, 0, 4, 9]])
    found = confusion_similarity(logits, [0, 1, 2, 3])
    assert found[0, 1] == pytest.approx(1)
    assert found[2, 3] == pytest.approx(1)
    assert found[0, 2] < 0


def test_huge_logits_do_not_overflow() -> None:
    logits = np.array([[1e4, 3, 2], [-1e4, 5, 4], [0, 1, 1e5]])
    assert np.isfinite(confusion_similarity(logits, [0, 1, 2])).all()


@given(seed=st.integers(0, 1000), classes=st.integers(2, 12))
@settings(max_examples=40, deadline=None)
def test_every_similarity_is_one_that_centres_can_be_made_for(seed: int, classes: int) -> None:
    rng = np.random.default_rng(seed)
    labels = np.concatenate([np.arange(classes), rng.integers(0, classes, 20)])
    for matrix in (
        confusion_similarity(rng.normal(size=(len(labels), classes)), labels),
        embedding_similarity(rng.normal(size=(classes, 6))),
        normalize_similarity(rng.normal(size=(classes, classes))),
    ):
        np.testing.assert_array_equal(check_similarity(matrix, classes), matrix)


def test_embeddings_in_the_same_direction_are_alike() -> None:
    found = embedding_similarity([[10, 1, 0], [10, 1.1, 0], [10, 0, 1], [10, 0, 1.2]])
    assert found[0, 1] > 0.9
    assert found[2, 3] > 0.9
    assert found[0, 2] < 0


def test_equal_rows_are_no_reason_to_fail() -> None:
    found = normalize_similarity(np.full((4, 4), 0.3))
    np.testing.assert_array_equal(found, np.eye(4))


@pytest.mark.parametrize(
    ("logits", "labels", "says"),
    [
        (np.zeros((3, 2)), [0, 1], "do not go together"),
        (np.zeros((2, 2)), [0, 0], "Class 1 has no items"),
        (np.zeros((2, 2)), [0, 2], "from 0 to 2"),
        (np.full((2, 2), np.nan), [0, 1], "NaN"),
        (np.zeros((2, 1)), [0, 0], "One class"),
    ],
)
def test_confusion_refuses(logits: np.ndarray, labels: list[int], says: str) -> None:
    with pytest.raises(BadInput, match=says):
        confusion_similarity(logits, labels)


@pytest.mark.parametrize(
    ("matrix", "says"),
    [
        (np.zeros((2, 3)), r"\(2, 3\)"),
        (np.eye(3), "for 3 classes, but there are 2"),
        (np.array([[1, 2], [2, 1]]), "between"),
        (np.array([[1, np.nan], [np.nan, 1]]), "NaN"),
        (np.array([[1, 0.1], [0.2, 1]]), "symmetric"),
        (np.array([[0, 0.1], [0.1, 1]]), "diagonal"),
    ],
)
def test_wrong_similarities_are_refused(matrix: np.ndarray, says: str) -> None:
    with pytest.raises(BadInput, match=says):
        check_similarity(matrix, 2)


def test_files_of_similarities(tmp_path: Path) -> None:
    matrix = np.array([[1, 0.5, -0.25], [0.5, 1, 0], [-0.25, 0, 1]])
    np.save(tmp_path / "s.npy", matrix)
    np.testing.assert_array_equal(read_similarity(tmp_path / "s.npy", ["a", "b", "c"]), matrix)
    (tmp_path / "s.csv").write_text(",c,a,b\nb,0,0.5,1\nc,1,-0.25,0\na,-0.25,1,0.5\n")
    np.testing.assert_array_equal(read_similarity(tmp_path / "s.csv", ["a", "b", "c"]), matrix)
    with pytest.raises(BadInput, match="'d'"):
        read_similarity(tmp_path / "s.csv", ["a", "d"])
    for name, content in (("x.csv", ",a\na,many\n"), ("x.npy", "nothing")):
        (tmp_path / name).write_text(content)
        with pytest.raises(BadInput, match=name):
            read_similarity(tmp_path / name, ["a"])
    with pytest.raises(BadInput, match="missing"):
        read_similarity(tmp_path / "missing.csv", ["a"])
