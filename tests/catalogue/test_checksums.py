"""A database of which a row was damaged, or changed by another program: refused, or answered from as before."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hashlens as hl
from hashlens.catalogue import Catalogue, merge
from hashlens.catalogue.comparison import Comparison
from hashlens.errors import BadInput
from hashlens.sources import Skipped, Source

FORMATS = Path(__file__).parents[1] / "formats"
COUNT = 130  # more than are ordered by their details at a time


def source() -> Source:
    return hl.open_source("digits").select(range(COUNT))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole") / "index"
    model = hl.fit(source(), "itq", bits=16, image_size=32, device="cpu")
    catalogue = Catalogue.create(folder, model)
    catalogue.update(source(), device="cpu")
    with catalogue._database.connect() as rows:
        compared = Comparison(rows, source())
        with rows:
            compared.leave_out([(129, Skipped(129, "129", "gone"))])
    catalogue.prepare()
    return folder


def answers(folder: Path) -> dict[str, Callable[[], Any]]:
    """Everything that an index can be asked, by name."""

    def asked(question: Callable[[Catalogue], Any]) -> Callable[[], Any]:
        return lambda: question(Catalogue.open(folder))

    codes = np.random.default_rng(1).integers(0, 256, (3, 2), np.uint8)
    details = np.random.default_rng(2).integers(-128, 128, (3, 16), np.int8)
    return {
        "size": asked(len),
        "search": asked(lambda catalogue: catalogue.search(codes, 200)),
        "ordered by details": asked(lambda catalogue: catalogue.search(codes, 20, details=details)),
        "of a label": asked(lambda catalogue: catalogue.search(codes, 200, labels=["0", "7"])),
        "by id": asked(lambda catalogue: catalogue.search_ids(range(1, 130, 9), 20)),
        "by path": asked(lambda catalogue: catalogue.search_paths([source().location(7)], 20)),
        "by content": asked(lambda catalogue: catalogue.search_images([source().select([3, 4])], 20)),
        "entries": asked(lambda catalogue: [vars(one) for one in catalogue.entries(range(200))]),
        "labels": asked(lambda catalogue: catalogue.labels()),
        "sources": asked(lambda catalogue: catalogue.sources()),
        "skipped": asked(lambda catalogue: catalogue.skipped()),
        "facts": asked(lambda catalogue: catalogue.facts_of_model()),
        "codes": asked(lambda catalogue: [array.tolist() for batch in catalogue.codes(50) for array in batch]),
    }


@pytest.fixture(scope="module")
def true(whole: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    copied = tmp_path_factory.mktemp("true") / "index"
    shutil.copytree(whole, copied)
    return {name: repr(question()) for name, question in answers(copied).items()}


CHANGES = (
    "UPDATE images SET code = x'0102' WHERE id = 7",
    "UPDATE images SET path = 'elsewhere' WHERE id = 7",
    "UPDATE images SET path = (SELECT group_concat(path) FROM images WHERE id < 3) WHERE id = 7",
    "UPDATE images SET source = 'theirs' WHERE id = 7",
    "UPDATE images SET size = size + 1 WHERE id = 7",
    "UPDATE images SET mtime = mtime + 1 WHERE id = 7",
    "UPDATE images SET id = 1000 WHERE id = 7",
    "UPDATE images SET checksum = checksum + 1 WHERE id = 7",
    "UPDATE images SET checksum = NULL WHERE id = 7",
    "UPDATE labels SET name = '00' WHERE name = '0'",
    "UPDATE labels SET id = 99 WHERE name = '0'",
    "DELETE FROM labels WHERE name = '0'",
    "UPDATE image_labels SET label = label % 9 + 1 WHERE image = 7",
    "UPDATE image_labels SET image = 1000 WHERE image = 7",
    "DROP TRIGGER image_labels_discounted; DELETE FROM image_labels WHERE image = 7",
    "UPDATE details SET detail = randomblob(16) WHERE image = 7",
    "UPDATE details SET image = 1000 WHERE image = 7",
    "DELETE FROM details WHERE image = 7",
    "UPDATE contents SET digest = randomblob(16) WHERE image = 5",
    "UPDATE contents SET image = 1000 WHERE image = 5",
    "UPDATE skipped SET path = 'found.jpg'",
    "UPDATE skipped SET reason = 'lost'",
    "INSERT INTO pending VALUES (7)",
    "UPDATE tallies SET count = count + 1 WHERE number = 0",
    "UPDATE tallies SET ids = ids + 1 WHERE number = 1",
    "DELETE FROM tallies",
    *(f"UPDATE properties SET value = {value} WHERE name = '{name}'" for name, value in (
        ("bits", 15), ("model", "'other'"), ("copy", "'other'"), ("adapted", 1), ("detailed", 0), ("version", 3),
        ("codes", 3), ("state", "'other'"), ("indexed", 3), ("engine", "'milvus:x'"), ("checksum", 1),
    )),
    "DELETE FROM properties WHERE name = 'copy'",
    "DELETE FROM properties WHERE name = 'checksum'",
)  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_what_another_program_changed_is_refused_or_does_not_matter(
    whole: Path, true: dict[str, str], tmp_path: Path, change: str
) -> None:
    folder = tmp_path / "index"
    shutil.copytree(whole, folder)
    with closing(sqlite3.connect(folder / "catalogue.sqlite")) as rows:
        rows.executescript(change)
        assert rows.total_changes
    refused = []
    asked = answers(folder)
    for name in [*asked, "codes lost", *asked]:
        if name == "codes lost":
            shutil.rmtree(folder / "codes-1")
            continue
        try:
            assert repr(asked[name]()) == true[name], name
        except BadInput as error:
            assert str(error).endswith(".") and "\n" not in str(error)
            refused.append(str(error))
    if "contents" not in change and "pending" not in change:  # by which work is saved, or done once more
        assert any(str(folder) in sentence and "new folder" in sentence for sentence in refused)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE images SET size = size + 1 WHERE id = 7",
        "UPDATE labels SET name = '00' WHERE name = '0'",
        "UPDATE image_labels SET label = 3 WHERE image = 7",
        "DELETE FROM details WHERE image = 7",
    ],
)
def test_nothing_is_changed_or_merged_before_all_of_it_was_looked_at(
    whole: Path, tmp_path: Path, change: str
) -> None:
    folder = tmp_path / "index"
    shutil.copytree(whole, folder)
    with closing(sqlite3.connect(folder / "catalogue.sqlite")) as rows, rows:
        rows.execute(change)
        before = list(rows.iterdump())
    for work in (
        lambda: merge([folder], tmp_path / "merged"),
        lambda: Catalogue.open(folder).update(source(), device="cpu"),
        lambda: Catalogue.open(folder).remove("digits"),
        lambda: Catalogue.open(folder).prune(),
    ):
        with pytest.raises(BadInput, match="new folder"):
            work()
    with closing(sqlite3.connect(folder / "catalogue.sqlite")) as rows:
        assert list(rows.iterdump()) == before
    assert not (tmp_path / "merged").exists()


def test_an_index_of_the_third_format_is_read_as_it_is_and_gets_checksums_when_it_is_written(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "index"
    shutil.copytree(FORMATS / "3" / "index", folder)
    before = (folder / "catalogue.sqlite").read_bytes()
    catalogue = Catalogue.open(folder)
    found = catalogue.search(np.zeros((2, 2), np.uint8), 100)
    assert sum(catalogue.labels().values()) == len(catalogue) == len(found[0]) == 100
    assert (folder / "catalogue.sqlite").read_bytes() == before
    assert catalogue.remove(next(iter(catalogue.sources()))) == 100
    shutil.rmtree(folder)
    shutil.copytree(FORMATS / "3" / "index", folder)
    catalogue = Catalogue.open(folder)
    x = np.load(FORMATS / "2" / "expected.npz")["x"]
    where = next(iter(catalogue.sources()))
    changes = catalogue.update(hl.sources.FeatureArray(where, x[:60], np.arange(60) % 2, ["cat", "dog"], where))
    assert (changes.added, changes.unchanged, changes.removed) == (10, 50, 50)
    Catalogue.open(folder).check()
    with closing(sqlite3.connect(folder / "catalogue.sqlite")) as rows, rows:
        rows.execute("UPDATE images SET mtime = 7 WHERE id = (SELECT max(id) FROM images)")
    with pytest.raises(BadInput, match="damaged"):
        Catalogue.open(folder).check()
