"""List files as HashNet publishes them: a path and a 0 or 1 for each class."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import hashlens as hl
from hashlens.errors import BadInput
from refusals import is_one_sentence


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_several_ones_in_a_line_make_label_sets(tmp_path: Path) -> None:
    source = hl.open_source(write(tmp_path / "a.txt", "x/1.jpg 1 0 1\n\ny/a b.jpg 0 0 0 \n0 0 1 0\n"))
    assert [source.key(item) for item in range(3)] == ["x/1.jpg", "y/a b.jpg", "0"]
    assert source.class_names == ("0", "1", "2")
    np.testing.assert_array_equal(source.labels, np.array([[1, 0, 1], [0, 0, 0], [0, 1, 0]], bool))
    np.testing.assert_array_equal(source.has_label(), [True, False, True])
    assert source.location(0) == str(tmp_path / "x" / "1.jpg")


def test_one_in_every_line_makes_class_numbers(tmp_path: Path) -> None:
    source = hl.open_source(write(tmp_path / "a.txt", "\ufeffx/1.jpg 0 0 1\r\nx/2.jpg\t1 0 0\r\n"))
    assert source.labels is not None and source.labels.tolist() == [2, 0]
    assert source.class_names == ("0", "1", "2")  # also the class that no line has


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "lists no images"),
        ("dear reader,\nthis is no list\n", "line 1"),
        ("1.jpg\n", "line 1"),
        ("1.jpg 3\n", "line 1"),
        ("1.jpg 0 1\n2.jpg 0 1 1\n", "line 2"),
        ("1.jpg 0 1\n2.jpg 1\n", "line 2"),
        ("1.jpg 0 1\n\n2.jpg 0 0.5 1\n", "line 3"),
        ("0 1\n1 1 0\n", "line 2"),
    ],
)
def test_other_files_are_refused_by_their_line(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(BadInput, match=says) as refusal:
        hl.open_source(write(tmp_path / "a.txt", text))
    assert is_one_sentence(refusal)


def test_a_list_has_no_splits_and_is_text(tmp_path: Path) -> None:
    path = write(tmp_path / "a.txt", "1.jpg 0 1\n")
    with pytest.raises(BadInput, match="a file of its own"):
        hl.open_source(f"{path}:test")
    path.write_bytes(b"1.jpg 0 1\n\xff\xfe")
    with pytest.raises(BadInput, match="UTF-8"):
        hl.open_source(path)
