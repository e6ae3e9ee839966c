"""A taxonomy of numbers, as Barz and Denzler give CIFAR-100's, and the file that names its classes."""

from __future__ import annotations

from pathlib import Path

import pytest

from hashlens.classes import open_taxonomy
from hashlens.errors import BadInput

EDGES = [(5, 3), (5, 4), (3, 0), (3, 1), (4, 2)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "edges.txt").write_text("".join(f"{parent} {child}\n" for parent, child in EDGES))
    (tmp_path / "class_names.txt").write_text("0 apple\n1 pear\n2 pickup truck\n3 fruit\n4 vehicle\n")
    return tmp_path


def test_classes_are_found_by_the_names_beside_the_file(folder: Path) -> None:
    taxonomy = open_taxonomy(folder / "edges.txt", ["pear", "apple", "pickup truck"])
    numbered = open_taxonomy(folder / "edges.txt", ["1", "0", "2"])
    names, numbers = ["pear", "apple", "pickup truck"], ["1", "0", "2"]
    assert taxonomy.similarity_matrix(names).tolist() == numbered.similarity_matrix(numbers).tolist()
    assert set(taxonomy.leaves) == set(names)


def test_names_that_are_missing_or_twice_there_are_refused(folder: Path) -> None:
    with pytest.raises(BadInput, match="plum"):
        open_taxonomy(folder / "edges.txt", ["apple", "plum"])
    (folder / "class_names.txt").write_text("0 apple\n1 apple\n")
    with pytest.raises(BadInput, match="'apple' to both 0 and 1"):
        open_taxonomy(folder / "edges.txt", ["apple"])
    (folder / "class_names.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(BadInput, match="cannot be read"):
        open_taxonomy(folder / "edges.txt", ["apple"])
