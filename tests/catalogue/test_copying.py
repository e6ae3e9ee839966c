"""An index copied to a file: what arrives, what a second copy does, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from copies import BITS, assert_same, features, opened, run

import hashlens as hl
from hashlens.catalogue import Catalogue, copy_to, search_table
from hashlens.engines import Rows
from hashlens.errors import BadInput
from refusals import is_one_sentence


@pytest.fixture(scope="module")
def model() -> hl.HashModel:
    return hl.fit(features(60), "orthohash", bits=BITS, epochs=1, device="cpu")


@pytest.fixture
def catalogue(model: hl.HashModel, tmp_path: Path) -> Catalogue:
    made = Catalogue.create(tmp_path / "index", model)
    made.update(features(60))
    return made


@pytest.mark.parametrize("name", ["codes.parquet", "codes.npy"])
def test_a_copy_holds_the_index_and_follows_it(catalogue: Catalogue, name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    first = copy_to(catalogue, opened(path))
    assert (first.added, first.changed, first.removed, first.unchanged) == (60, 0, 0, 0)
    assert (first.recall, first.sample) == (1.0, 60)
    assert_same(opened(path, None), catalogue)

    table = opened(path)
    rows = table.rows(table.search(np.zeros((1, 3), np.uint8), 4)[1][0])
    table.put(Rows(rows.ids[:2], rows.codes[:2] ^ 128, rows.paths[:2], rows.labels[:2]))  # two other codes
    table.put(Rows(rows.ids[2:3], rows.codes[2:3], rows.paths[2:3], [("bird",)]))  # another label
    table.put(Rows(np.array([10**9]), rows.codes[:1], ["gone"], [()]))  # an image that there is no more
    table.remove(rows.ids[3:])
    table.flush()
    second = copy_to(catalogue, opened(path))
    assert (second.added, second.changed, second.removed, second.unchanged) == (1, 3, 1, 56)
    assert_same(opened(path), catalogue)
    third = copy_to(catalogue, opened(path))
    assert (third.added, third.changed, third.removed, third.unchanged) == (0, 0, 0, 60)


def test_duckdb_computes_the_same_distances(catalogue: Catalogue, tmp_path: Path) -> None:
    path = tmp_path / "codes.parquet"
    copy_to(catalogue, opened(path))
    document = (Path(__file__).parents[2] / "docs" / "engines.md").read_text(encoding="utf-8")
    statement = document.split("```sql\n")[1].split("```")[0].replace("codes.parquet", str(path))
    found = duckdb.sql(statement).fetchall()
    distances, ids = catalogue.engine().search(catalogue.entries([1])[0].code, 10)
    assert [(one, distance) for one, _, distance in found] == list(
        zip(ids[0].tolist(), distances[0].tolist(), strict=True)
    )


def test_the_command_copies_and_says_what_is_found(
    catalogue: Catalogue, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "codes.parquet"
    assert run("copy", catalogue.folder, path) == 0
    assert capsys.readouterr().out == "recall@10 of 60 images, against exact search: 1.0000\n"
    assert_same(opened(path), catalogue)
    assert run("copy", catalogue.folder, tmp_path / "codes") == 2


def test_what_cannot_be_copied_to_is_refused_and_stays(catalogue: Catalogue, tmp_path: Path) -> None:
    path = tmp_path / "codes.parquet"
    table = opened(path)
    table.add(np.zeros((1, 3), np.uint8), [1])
    table.belong_to("another model")
    table.flush()
    before = path.read_bytes()

    foreign = tmp_path / "foreign.parquet"
    pq.write_table(pa.table({"id": [1], "code": [b"abc"], "path": ["x"], "labels": [["y"]]}), foreign)
    cut = tmp_path / "cut.parquet"
    cut.write_bytes(before[:-20])
    for wrong in (
        lambda: copy_to(catalogue, opened(path)),
        lambda: opened(path, 64),
        lambda: opened(foreign),
        lambda: opened(cut),
        lambda: opened(tmp_path / "nothing.parquet", None),
        lambda: opened(tmp_path / "nowhere" / "codes.parquet"),
    ):
        with pytest.raises(BadInput) as error:
            wrong()
        assert is_one_sentence(error)
    assert path.read_bytes() == before


def test_a_table_that_is_damaged_inside_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "codes.parquet"
    table = opened(path)
    table.add(np.zeros((2, 3), np.uint8), [1, 2])
    table.flush()
    good = pq.read_table(path)
    for column, values in (
        ("code", pa.array([b"abcd", b"efgh"], pa.binary(4))),
        ("code", pa.array([b"abc", None], pa.binary(3))),
        ("id", pa.array(["1", "2"])),
        ("id", pa.array([1, None], pa.int64())),
        ("id", pa.array([1, 1], pa.int64())),
    ):
        bad = good.set_column(good.column_names.index(column), column, values)
        pq.write_table(bad, path)
        with pytest.raises(BadInput) as error:
            opened(path)
        assert is_one_sentence(error)


def test_a_changed_byte_among_the_codes_of_a_copy_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "codes.parquet"
    table = opened(path)
    table.add(np.random.default_rng(0).integers(0, 16, (200, 3), np.uint8) << 4, np.arange(200))
    table.flush()
    content = path.read_bytes()
    column = pq.read_metadata(path).row_group(0).column(1)
    start = column.dictionary_page_offset or column.data_page_offset
    refused = []
    for place in range(start, start + column.total_compressed_size, 7):
        path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        try:
            np.testing.assert_array_equal(opened(path).rows(np.arange(200)).codes, table.rows(np.arange(200)).codes)
        except BadInput as error:
            refused.append(str(error))
    assert len(refused) > 100  # not all: some bytes say nothing, such as statistics
    assert all("cannot be read" in reason and reason.endswith(".") for reason in refused)


def test_numpy_reads_a_copy_and_computes_the_same_distances(catalogue: Catalogue, tmp_path: Path) -> None:
    copy_to(catalogue, opened(tmp_path / "codes.npy"))
    rows = np.load(tmp_path / "codes.npy")
    distances = np.unpackbits(rows["code"] ^ rows["code"][0], axis=1).sum(1)
    found, ids = catalogue.engine().search(rows["code"][:1], len(rows))
    assert dict(zip(rows["id"].tolist(), distances.tolist(), strict=True)) == dict(
        zip(ids[0].tolist(), found[0].tolist(), strict=True)
    )
    assert json.loads(rows["labels"][1]) == ["dog"] and rows["path"][1].decode().endswith("mine#1")


def test_no_damaged_byte_of_a_numpy_file_is_answered_from(catalogue: Catalogue, tmp_path: Path) -> None:
    path = tmp_path / "codes.npy"
    copy_to(catalogue, opened(path))
    content, refused = path.read_bytes(), 0
    for place in [*range(0, len(content), 7), len(content) - 1]:
        path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        try:
            table = opened(path)
        except BadInput as error:
            refused += 1
            assert str(error).endswith(".") and "\n" not in str(error)
        else:  # the byte says nothing, as a space of the header does
            assert table.model == catalogue.copy_fingerprint
            assert_same(table, catalogue)
    assert refused > len(content) / 7 * 0.9
    for other in (np.zeros(3), np.zeros(3, [("id", "<i8")]), np.array("text")):
        np.save(path, other)
        with pytest.raises(BadInput) as error:
            opened(path)
        assert is_one_sentence(error)


def test_a_search_in_the_copy_finds_what_the_index_finds(catalogue: Catalogue, tmp_path: Path) -> None:
    path = tmp_path / "codes.parquet"
    copy_to(catalogue, opened(path))
    table, model, queries = opened(path, None), catalogue.model(), [features(5, seed=1)]
    for labels in ((), ("dog",), ("cat", "dog")):
        found = search_table(table, model, queries, 7, labels)
        expected = catalogue.search_images(queries, 7, labels, rescore=False)
        assert found.answers == expected.answers and len(found.answers) == 5
        assert found.ties == expected.ties
    other = hl.fit(features(60, seed=2), "orthohash", bits=BITS, epochs=1, device="cpu")
    for wrong in (
        lambda: search_table(table, model, queries, 7, ["bird"]),
        lambda: search_table(table, other, queries),
    ):
        with pytest.raises(BadInput) as error:
            wrong()
        assert is_one_sentence(error)


def test_the_command_searches_in_the_copy(
    catalogue: Catalogue, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, query = tmp_path / "codes.parquet", tmp_path / "query.npy"
    copy_to(catalogue, opened(path))
    x = np.random.default_rng(0).normal(size=(60, 8)).astype(np.float32)
    np.save(query, x[:2])
    model = catalogue.folder / "model"
    assert run("search", path, query, "--model", model, "-k", 3, "--json") == 0
    answers = json.loads(capsys.readouterr().out)
    assert [answer["results"][0]["distance"] for answer in answers] == [0, 0]
    assert run("search", path, query, "--model", model, "--html", tmp_path / "page.html") == 2
    assert run("search", catalogue.folder / "codes-1", query, "--model", model) == 2


def test_what_is_no_kind_of_table_is_refused_and_nothing_is_made(
    catalogue: Catalogue, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = set(tmp_path.iterdir())
    (tmp_path / "empty").mkdir()
    assert run("copy", catalogue.folder, tmp_path / "odd.csv") == 2
    assert "odd.csv is no kind of table that can be written; name a table such as" in capsys.readouterr().err
    assert run("copy", catalogue.folder, tmp_path / "empty") == 2
    assert run("copy", catalogue.folder, catalogue.folder / "codes-1") == 2
    assert "keeps codes alone" in capsys.readouterr().err
    assert set(tmp_path.iterdir()) == before | {tmp_path / "empty"} and not any((tmp_path / "empty").iterdir())
