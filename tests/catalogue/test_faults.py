"""What goes wrong with an index on disk: killed and racing processes, odd names, files of others."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sqlite3
import threading
from pathlib import Path

import numpy as np
import pytest

import hashlens as hl
import processes
from hashlens.catalogue import Catalogue
from hashlens.errors import BadInput
from hashlens.models import HashModel
from refusals import is_one_sentence

CLASSES = ("cat", "dog")
FORMATS = Path(__file__).parents[1] / "formats"


def source(count: int = 60, seed: int = 0, name: str = "mine") -> hl.sources.FeatureArray:
    x = np.random.default_rng(seed).normal(size=(count, 8)).astype(np.float32)
    return hl.sources.FeatureArray(name, x, np.arange(count) % 2, CLASSES)


@pytest.fixture(scope="module")
def model() -> HashModel:
    return hl.fit(source(), "orthohash", bits=16, epochs=1, device="cpu")


FIRST_INDEX = """
import sys
import numpy as np, hashlens as hl
from hashlens.models import HashModel
x = np.load(sys.argv[3])
items = hl.sources.FeatureArray(sys.argv[4], x, np.arange(len(x)) % 2, ["cat", "dog"])
model = HashModel.load(sys.argv[1])
with open(sys.argv[5], "rb") as gate:  # of a fifo, whose end comes to both at the same moment
    gate.read()
catalogue = hl.Catalogue.create(sys.argv[2], model, items if sys.argv[6] == "adapt" else None)
catalogue.update(items)
"""


@pytest.mark.parametrize("adapt", [False, True], ids=["plain", "one adapts"])
def test_two_first_runs_at_once_lose_nothing(tmp_path: Path, model: HashModel, adapt: bool) -> None:
    model.save(tmp_path / "model")
    for attempt in range(3):
        folder = tmp_path / f"index{attempt}"
        running, gates = [], []
        for number in range(2):
            np.save(tmp_path / f"{number}.npy", source(seed=number).features())
            gate = tmp_path / f"gate{attempt}-{number}"
            os.mkfifo(gate)
            words = (
                tmp_path / "model", folder, tmp_path / f"{number}.npy", f"source{number}", gate,
                "adapt" if adapt and number else "plain",
            )  # fmt: skip
            running.append(processes.start(FIRST_INDEX, *words))
            gates.append(gate)
        for gate in [gate.open("wb") for gate in gates]:  # which waits until both have come as far
            gate.close()
        done = [wait() for wait in running]
        errors, codes = [one.stderr for one in done], [one.returncode for one in done]
        catalogue = Catalogue.open(folder)
        finished = [number for number in range(2) if codes[number] == 0]
        assert finished, errors
        assert set(catalogue.sources()) == {f"source{number}" for number in finished}
        assert len(catalogue) == 60 * len(finished)
        for number in range(2):
            if codes[number]:  # it came second and asked for adapting what was not adapted
                assert adapt and number == 1 and "without adapting" in errors[number]
        kept = catalogue.model()
        for number in finished:
            hits = catalogue.search(kept.encode(source(seed=number).features()), 1)
            assert [row[0].distance for row in hits] == [0] * 60
        assert not list(tmp_path.glob(".index*"))


KILLED_CREATION = """
import os, pathlib, signal, sys
import hashlens as hl
from hashlens.models import HashModel

done, step = 0, int(sys.argv[3])

def dying(call):
    def wrapped(*args, **kwargs):
        global done
        done += 1
        if done == step:
            os.kill(os.getpid(), signal.SIGKILL)
        return call(*args, **kwargs)
    return wrapped

model = HashModel.load(sys.argv[1])
pathlib.Path.replace = dying(pathlib.Path.replace)
pathlib.Path.rename = dying(pathlib.Path.rename)
pathlib.Path.mkdir = dying(pathlib.Path.mkdir)
hl.Catalogue.create(sys.argv[2], model)
"""


def test_a_creation_that_is_killed_anywhere_can_be_repeated(tmp_path: Path, model: HashModel) -> None:
    model.save(tmp_path / "model")
    killed = 0
    for step in range(1, 20):
        folder = tmp_path / f"index{step}"
        done = processes.run(KILLED_CREATION, tmp_path / "model", folder, step)
        if done.returncode == 0:
            break
        killed += 1
        assert done.returncode == -signal.SIGKILL, done.stderr
        catalogue = Catalogue.create(folder, model)
        assert catalogue.update(source()).added == 60
    assert killed >= 4


def test_labels_and_paths_of_any_bytes_are_kept(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    for number in range(20):
        place = folder / os.fsdecode([b"caf\xe9", "猫 🐈".encode()][number % 2])
        place.mkdir(parents=True, exist_ok=True)
        picture = np.random.default_rng(number).integers(0, 256, (20, 20, 3), np.uint8)
        hl.sources.ImageArray("one", picture[None]).image(0).save(place / os.fsdecode(b"\xff%d.png" % number))
    images = hl.open_source(folder)
    model = hl.fit(images, "orthohash", bits=16, image_size=32, epochs=1, finetune=False)
    model.save(tmp_path / "model")
    model.save(tmp_path / "model")
    assert HashModel.load(tmp_path / "model").class_names == model.class_names
    catalogue = Catalogue.create(tmp_path / "index", model)
    assert catalogue.update(images).added == 20
    assert catalogue.update(images).unchanged == 20
    assert set(catalogue.labels()) == {"caf\udce9", "猫 🐈"}
    (hits,) = catalogue.search(model.encode(images.read(3)), 20, labels=["caf\udce9"])
    assert len(hits) == 10
    assert all(Path(hit.path).is_file() for hit in hits)
    (others,) = catalogue.search_paths([hits[0].path], 3)
    assert hits[0].path not in [hit.path for hit in others]


def test_a_folder_of_someone_else_is_not_removed(tmp_path: Path, model: HashModel) -> None:
    catalogue = Catalogue.create(tmp_path / "index", model)
    catalogue.update(source())
    for name in ("codes-backup", "codes-1x", "codes-"):
        (catalogue.folder / name).mkdir()
        (catalogue.folder / name / "mine.txt").write_text("mine")
    shutil.rmtree(next(path for path in catalogue.folder.glob("codes-*") if path.name[6:].isdecimal()))
    again = Catalogue.open(catalogue.folder)
    assert len(again.search(model.encode(source().features()[:1]), 60)[0]) == 60
    assert all((catalogue.folder / name / "mine.txt").is_file() for name in ("codes-backup", "codes-1x", "codes-"))


def test_another_model_in_the_index_is_noticed(tmp_path: Path, model: HashModel) -> None:
    catalogue = Catalogue.create(tmp_path / "index", model)
    other = hl.fit(source(), "orthohash", bits=16, epochs=1, seed=5, device="cpu")
    other.save(catalogue.folder / "model")
    with pytest.raises(BadInput, match="not the model that encoded") as error:
        catalogue.model()
    assert is_one_sentence(error)


def test_hits_are_fetched_in_one_query(tmp_path: Path, model: HashModel, monkeypatch: pytest.MonkeyPatch) -> None:
    catalogue = Catalogue.create(tmp_path / "index", model)
    catalogue.update(source())
    codes = model.encode(source().features())
    catalogue.search(codes, 10)
    statements: list[str] = []
    connect = sqlite3.connect

    def traced(*args, **kwargs):
        connection = connect(*args, **kwargs)
        connection.set_trace_callback(statements.append)
        return connection

    monkeypatch.setattr(sqlite3, "connect", traced)
    catalogue.search(codes, 10)
    assert sum("json_each" in statement for statement in statements) == 1
    assert len(statements) < 10


def test_searching_while_the_index_changes(tmp_path: Path, model: HashModel) -> None:
    catalogue = Catalogue.create(tmp_path / "index", model)
    catalogue.update(source(200))
    codes = model.encode(source(200).features())[:3]
    failures: list[BaseException] = []
    done = threading.Event()

    def search() -> None:
        try:
            while not done.is_set():
                for row in catalogue.search(codes, 1000):
                    assert 20 < len(row) <= 200
                    assert [hit.distance for hit in row] == sorted(hit.distance for hit in row)
                    assert len({hit.path for hit in row}) == len(row)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=search) for _ in range(3)]
    for thread in threads:
        thread.start()
    rng = np.random.default_rng(0)
    for _ in range(12):
        Catalogue.open(catalogue.folder).update(source(200).select(np.sort(rng.permutation(200)[:120])))
    done.set()
    for thread in threads:
        thread.join()
    assert not failures
    assert len(catalogue.search(codes, 1000)[0]) == 120


@pytest.mark.parametrize(
    ("planted", "says"),
    [
        ("CREATE TRIGGER trap AFTER UPDATE ON properties BEGIN DELETE FROM images; END", "trigger 'trap'"),
        ("CREATE VIEW spare AS SELECT * FROM images", "view 'spare'"),
        ("CREATE VIRTUAL TABLE spare USING fts5(text)", "virtual table 'spare'"),
    ],
)
def test_what_others_planted_in_the_database_is_refused_before_it_runs(
    tmp_path: Path, model: HashModel, planted: str, says: str
) -> None:
    Catalogue.create(tmp_path / "index", model).update(source())
    with sqlite3.connect(tmp_path / "index" / "catalogue.sqlite") as rows:
        rows.execute(planted)
    with pytest.raises(BadInput, match=says) as error:
        Catalogue.open(tmp_path / "index")
    assert is_one_sentence(error)


def test_the_schema_of_an_index_is_not_trusted(tmp_path: Path, model: HashModel) -> None:
    """Functions that could do something are not called from it, such as by an index on an expression."""
    catalogue = Catalogue.create(tmp_path / "index", model)
    with catalogue._database.connect() as rows:
        assert rows.execute("PRAGMA trusted_schema").fetchone() == (0,)


ODD = {"nothing": "NULL", "text": "'words'", "bytes": "x'ff00'", "huge": "9223372036854775807"}
COLUMNS = (
    "properties.value", "images.id", "images.path", "images.source", "images.size", "images.mtime", "images.code",
    "skipped.path", "skipped.reason", "labels.id", "labels.name", "image_labels.image", "image_labels.label",
    "image_labels.place", "details.image", "details.detail", "pending.image", "contents.image", "contents.digest",
)  # fmt: skip


@pytest.mark.parametrize("version", ["third", "with checksums"])
@pytest.mark.parametrize("column", COLUMNS)
def test_rows_of_other_types_are_refused_or_passed_over(
    tmp_path: Path, model: HashModel, column: str, version: str
) -> None:
    if version == "third":
        shutil.copytree(FORMATS / "3" / "index", tmp_path / "whole")
    else:
        Catalogue.create(tmp_path / "whole", model).update(source())
    table, name = column.split(".")
    codes = np.zeros((2, 2), np.uint8)
    for odd, value in ODD.items():
        folder = tmp_path / odd
        shutil.copytree(tmp_path / "whole", folder)
        with sqlite3.connect(folder / "catalogue.sqlite") as rows:
            rows.execute("INSERT INTO skipped (path, source, reason) VALUES ('lost.jpg', 'mine', 'gone')")
            rows.execute("PRAGMA writable_schema = ON")  # by which NOT NULL can be had out of the way
            statement = (
                "UPDATE sqlite_schema SET sql = replace(sql, 'NOT NULL', '') WHERE type = 'table' AND name = ?"
            )
            rows.execute(statement, (table,))
        with contextlib.suppress(sqlite3.Error), sqlite3.connect(folder / "catalogue.sqlite") as rows:
            rows.execute(f"UPDATE OR REPLACE {table} SET {name} = {value}")
        for use in (
            lambda catalogue: catalogue.search(codes, 70, details=np.zeros((2, 16), np.int8)),
            lambda catalogue: catalogue.search_ids([3], 5),
            lambda catalogue: catalogue.entries(range(70)),
            lambda catalogue: (catalogue.labels(), catalogue.sources(), catalogue.skipped(), catalogue.sample(3)),
            lambda catalogue: catalogue.update(source(70)),
            lambda catalogue: catalogue.prune(),
        ):
            try:
                use(Catalogue.open(folder))
            except BadInput as error:
                assert str(error).endswith(".") and "\n" not in str(error)
