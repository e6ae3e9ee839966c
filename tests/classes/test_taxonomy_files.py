"""Taxonomies in the files that people have."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hashlens.classes import Taxonomy, is_taxonomy_file, read_taxonomy
from hashlens.errors import BadInput

PETS = [("animal", "dog"), ("animal", "cat"), ("cat", "polar cat, wild")]


@pytest.fixture
def write(tmp_path: Path):
    def to_file(content: str | bytes, name: str = "tree.txt") -> Path:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return to_file


@pytest.mark.parametrize(
    "content",
    [
        "animal dog\nanimal cat\ncat lynx\n",
        "animal\tdog\nanimal\tcat\ncat\tlynx",
        "animal,dog\nanimal,cat\ncat,lynx\n",
        "animal; dog\nanimal; cat\ncat; lynx\n",
        "animal   dog  \n\n# wild ones\n  animal cat\n   # too\ncat lynx\n",
        "animal, dog\r\nanimal, cat\r\ncat, lynx\r\n",
        "\ufeffanimal dog\nanimal cat\ncat lynx\n",
        "parent,child\nanimal,dog\nanimal,cat\ncat,lynx\n",
        "child parent\ndog animal\ncat animal\nlynx cat\n",
        "# mine\nParent\tName\nanimal\tdog\nanimal\tcat\ncat\tlynx\n\tanimal\n",
        '"Class","notes","parent"\n"dog","barks, loud\nand long","animal"\n"cat","","animal"\nlynx,,cat\n',
        "animal dog\nanimal dog\nanimal cat\nanimal cat\ncat lynx\n",
    ],
)
def test_edges_as_text(write, content: str) -> None:
    taxonomy = read_taxonomy(write(content))
    assert taxonomy.edges == (("animal", "dog"), ("animal", "cat"), ("cat", "lynx"))


@pytest.mark.parametrize("content", ["animal\tdog\nanimal\tcat\ncat\tpolar cat, wild\n",
                                     'animal,dog\nanimal,cat\ncat,"polar cat, wild"\n'])  # fmt: skip
def test_names_with_spaces_and_commas(write, content: str) -> None:
    assert read_taxonomy(write(content)) == Taxonomy(PETS)


def test_the_order_without_a_header(write, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "hashlens"):
        assert read_taxonomy(write("dog animal\ncat animal\nlynx cat\n")).root == "animal"
    assert "child, parent" in caplog.text
    caplog.clear()
    with caplog.at_level(logging.INFO, "hashlens"):
        # Both orders have one root, so the parent comes first; neither has, so it does too.
        assert read_taxonomy(write("a b\nb c\n")).root == "a"
        assert set(read_taxonomy(write("a c\nb c\na d\nb d\n")).leaves) == {"c", "d"}
    assert "child, parent" not in caplog.text
    assert read_taxonomy(write("a b\nb c\n"), "child-parent").root == "c"
    assert read_taxonomy(write("dog animal\ncat animal\n"), "parent-child").leaves == ("animal",)
    with pytest.raises(BadInput, match="'up'"):
        read_taxonomy(write("a b\n"), "up")  # type: ignore[arg-type]


def test_a_table_of_images(write) -> None:
    path = write("path,label,parent\n1.jpg,dog,animal\n2.jpg,oak,\n3.jpg,dog,animal\n4.jpg,,\n", "images.csv")
    taxonomy = read_taxonomy(path)
    assert taxonomy.parents("dog") == ("animal",)
    assert taxonomy.parents("oak") == (taxonomy.root,)
    assert set(taxonomy.leaves) == {"dog", "oak"}


def write_parquet(path: Path, names: list[str] | None, **columns: list) -> Path:
    table = pa.table(columns)
    if names is not None:
        features = {"label": {"names": names, "_type": "ClassLabel"}}
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    pq.write_table(table, path)
    return path


def test_parquet(tmp_path: Path) -> None:
    table = write_parquet(tmp_path / "t.parquet", None, child=["dog", "cat", "x"], parent=["pet", "pet", None])
    assert set(read_taxonomy(table).leaves) == {"dog", "cat", "x"}
    numbers = write_parquet(tmp_path / "n.parquet", None, label=[3, 4], parent=[7, 7])
    assert read_taxonomy(numbers).edges == (("7", "3"), ("7", "4"))
    images = write_parquet(
        tmp_path / "i.parquet", ["dog", "cat"], image=[b"", b"", b""], label=[1, 0, -1], parent=["pet", "pet", None]
    )
    assert read_taxonomy(images).edges == (("pet", "cat"), ("pet", "dog"))
    with pytest.raises(BadInput, match=r"needs a column 'parent'.*it has a, b"):
        read_taxonomy(write_parquet(tmp_path / "x.parquet", None, a=[1], b=[2]))
    cycle = write_parquet(tmp_path / "c.parquet", None, child=["a", "b", "c"], parent=["r", "c", "b"])
    with pytest.raises(BadInput, match=r"c.parquet, row 3: the taxonomy has a cycle"):
        read_taxonomy(cycle)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "no edges"),
        ("# nothing\n\n", "no edges"),
        ("parent,child\n", "no edges"),
        ("a b\nb c\n\nc a\n", "line 4: the taxonomy has a cycle"),
        ("a b\npolar bear cub\n", "line 2 has 3 names.*tab or a comma"),
        ("a,b\nc\n", "line 2 has 1 names"),
        ("parent,weight\na,1\n", "needs a column 'parent' and a column 'child'.*it has parent, weight"),
        ("child,parent\na,r\n,r\n", "line 3 has an empty child"),
        ("child,parent\na,r\nb\n", "line 3 has 1 columns, but the header has 2"),
        ("path,label,parent\n1.jpg,a|b,r\n", r"line 2 has one parent for the label set 'a\|b'"),
        (b"\xff\xfea\x00,\x00b\x00", "not UTF-8"),
    ],
)
def test_refusals_name_file_and_line(write, content: str | bytes, says: str) -> None:
    path = write(content)
    with pytest.raises(BadInput, match=f"tree.txt.*{says}"):
        read_taxonomy(path)


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"There is no taxonomy .*none.csv"):
        read_taxonomy(tmp_path / "none.csv")
    with pytest.raises(BadInput, match="cannot be read"):
        read_taxonomy(tmp_path)
    (tmp_path / "text.parquet").write_text("a,b")
    with pytest.raises(BadInput, match=r"text.parquet is not a parquet file"):
        read_taxonomy(tmp_path / "text.parquet")


def test_tables_of_images_are_told_from_taxonomies(write, tmp_path: Path) -> None:
    assert is_taxonomy_file(write("a b\n"))
    assert is_taxonomy_file(write('"path","label","Parent"\n', "images.csv"))
    assert is_taxonomy_file(write_parquet(tmp_path / "t.parquet", None, child=["a"], parent=["b"]))
    assert not is_taxonomy_file(write("\ufeffpath,label\n", "images.csv"))
    assert not is_taxonomy_file(write_parquet(tmp_path / "i.parquet", None, image=[b""], label=["b"]))
    assert not is_taxonomy_file(write("x", "text.parquet"))
    assert not is_taxonomy_file(write("x", "features.npz"))
    assert not is_taxonomy_file(tmp_path)
    assert not is_taxonomy_file("digits")
