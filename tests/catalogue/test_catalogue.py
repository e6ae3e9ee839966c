"""The index on disk: what it holds after changes, crashes and misuse."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import warnings
from pathlib import Path

import numpy as np
import pytest

import hashlens as hl
import processes
from hashlens.backbones import extraction
from hashlens.catalogue import Catalogue
from hashlens.catalogue import catalogue as catalogue_module
from hashlens.catalogue.database import note
from hashlens.engines.hamming import multi_index
from hashlens.errors import BadInput
from hashlens.models import Encoder, HashModel, SkippedImagesWarning

FORMATS = Path(__file__).parents[1] / "formats"  # folders as each version wrote them

KILLED_INDEXER = """
import os, signal, sys
import hashlens as hl
from hashlens.models import Encoder, HashModel

model, source, folder = sys.argv[1:]
batches = Encoder.batches

def dying(self, *args, **kwargs):
    for number, batch in enumerate(batches(self, *args, **kwargs)):
        if number == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        yield batch

Encoder.batches = dying
hl.Catalogue.create(folder, HashModel.load(model)).update(hl.open_source(source))
"""


def write_digits(folder: Path, numbers: range) -> None:
    digits = hl.open_source("digits")
    for number in numbers:
        (folder / digits.label_names(number)[0]).mkdir(parents=True, exist_ok=True)
        digits.image(number).save(folder / digits.label_names(number)[0] / f"{number}.png")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> HashModel:
    folder = tmp_path_factory.mktemp("training")
    write_digits(folder, range(60))
    return hl.fit(folder, bits=20, image_size=32, epochs=2, finetune=False)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    write_digits(tmp_path / "photos", range(40))
    return tmp_path / "photos"


@pytest.fixture
def catalogue(tmp_path: Path, model: HashModel, photos: Path) -> Catalogue:
    catalogue = Catalogue.create(tmp_path / "index", model)
    catalogue.update(hl.open_source(photos))
    return catalogue


def paths_of(catalogue: Catalogue, source: Path) -> set[str]:
    hits = catalogue.search(catalogue.model().encode(next(source.glob("*/*.png"))), k=10_000)[0]
    return {hit.path for hit in hits}


def check_holds_exactly(catalogue: Catalogue, photos: Path) -> None:
    """The catalogue answers as a fresh search over the folder's readable images would."""
    source, model = hl.open_source(photos), catalogue.model()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SkippedImagesWarning)
        codes, items = model.encode(source, return_items=True)
    query = codes[:1]
    distances, rows = hl.HammingIndex.build(codes, model.bits).search(query, len(codes))
    hits = catalogue.search(query, k=len(codes) + 5)[0]
    assert sorted((hit.distance, hit.path, hit.labels) for hit in hits) == sorted(
        (int(distance), source.location(int(items[row])), tuple(source.label_names(int(items[row]))))
        for distance, row in zip(distances[0], rows[0], strict=True)
    )
    assert [hit.rank for hit in hits] == list(range(1, len(codes) + 1))
    assert [hit.distance for hit in hits] == sorted(hit.distance for hit in hits)


def test_search_finds_the_image_itself_first(catalogue: Catalogue, photos: Path) -> None:
    path = photos / "3" / "3.png"
    nearest = catalogue.search(catalogue.model().encode(path), k=3)[0]
    assert nearest[0].distance == 0
    assert str(path) in {hit.path for hit in nearest if hit.distance == 0}
    check_holds_exactly(catalogue, photos)


def test_updating_again_changes_nothing_and_runs_no_network(
    catalogue: Catalogue, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Encoder, "batches", lambda *_: pytest.fail("encoded an unchanged image"))
    changes = catalogue.update(hl.open_source(photos))
    assert (changes.added, changes.changed, changes.removed, changes.unchanged) == (0, 0, 0, 40)


def test_new_changed_deleted_and_relabelled_images(catalogue: Catalogue, photos: Path) -> None:
    write_digits(photos, range(40, 43))
    (photos / "0" / "0.png").unlink()
    shutil.copy(photos / "2" / "2.png", photos / "1" / "1.png")
    (photos / "9" / "9.png").rename(photos / "5" / "9.png")
    changes = catalogue.update(hl.open_source(photos))
    assert (changes.added, changes.changed, changes.removed, changes.unchanged) == (3, 1, 1, 37)
    assert changes.moved == 1
    check_holds_exactly(catalogue, photos)


def test_labels_follow_a_table_without_encoding_again(
    tmp_path: Path, catalogue: Catalogue, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = tmp_path / "table.csv"
    table.write_text("path,label\nphotos/0/0.png,zero|round\nphotos/1/1.png,one\n")
    monkeypatch.setattr(Encoder, "batches", lambda *_: pytest.fail("encoded an unchanged image"))
    changes = catalogue.update(hl.open_source(table))
    assert changes.unchanged == 2
    assert len(catalogue) == 40
    with sqlite3.connect(catalogue.folder / "catalogue.sqlite") as database:
        labels = database.execute(
            "SELECT path, name FROM images JOIN image_labels ON image = images.id JOIN labels ON labels.id = label "
            "WHERE image IN (SELECT image FROM image_labels JOIN labels ON labels.id = label WHERE name = 'zero') "
            "ORDER BY path, place"
        ).fetchall()
    assert labels == [(str(photos / "0" / "0.png"), "round"), (str(photos / "0" / "0.png"), "zero")]


def test_sources_do_not_disturb_each_other(tmp_path: Path, catalogue: Catalogue, photos: Path) -> None:
    write_digits(tmp_path / "more", range(100, 110))
    changes = catalogue.update(hl.open_source(tmp_path / "more"))
    assert (changes.added, changes.removed) == (10, 0)
    assert catalogue.sources() == {str(photos): 40, str(tmp_path / "more"): 10}
    shutil.rmtree(tmp_path / "more" / "0", ignore_errors=True)
    catalogue.update(hl.open_source(tmp_path / "more"))
    assert catalogue.sources()[str(photos)] == 40


def test_unreadable_files_are_listed_and_tried_again(catalogue: Catalogue, photos: Path) -> None:
    (photos / "1" / "1.png").write_bytes(b"")
    (photos / "2" / "notes.jpg").write_text("not a picture")
    truncated = (photos / "3" / "3.png").read_bytes()[:60]
    (photos / "4" / "cut.png").write_bytes(truncated)
    changes = catalogue.update(hl.open_source(photos))
    assert {one.key for one in changes.skipped} == {"1/1.png", "2/notes.jpg", "4/cut.png"}
    assert all(one.reason for one in changes.skipped)
    assert changes.removed == 1  # the picture that was there before is not in the folder any more
    assert [path for path, _ in catalogue.skipped()] == [
        str(photos / name) for name in ("1/1.png", "2/notes.jpg", "4/cut.png")
    ]
    check_holds_exactly(catalogue, photos)
    shutil.copy(photos / "5" / "5.png", photos / "1" / "1.png")
    changes = catalogue.update(hl.open_source(photos))
    assert changes.added == 1
    assert len(catalogue.skipped()) == 2


def test_a_killed_indexer_loses_nothing_that_was_committed(tmp_path: Path, model: HashModel) -> None:
    write_digits(tmp_path / "photos", range(4 * extraction.BATCH_SIZE))
    model.save(tmp_path / "model")
    folder = tmp_path / "index"
    done = processes.run(KILLED_INDEXER, tmp_path / "model", tmp_path / "photos", folder)
    assert done.returncode == -signal.SIGKILL, done.stderr
    catalogue = Catalogue.open(folder)
    assert len(catalogue) == 2 * extraction.BATCH_SIZE
    assert len(paths_of(catalogue, tmp_path / "photos")) == 2 * extraction.BATCH_SIZE
    changes = Catalogue.create(folder, model).update(hl.open_source(tmp_path / "photos"))
    assert (changes.added, changes.unchanged) == (2 * extraction.BATCH_SIZE, 2 * extraction.BATCH_SIZE)
    check_holds_exactly(catalogue, tmp_path / "photos")


def codes_folder(catalogue: Catalogue) -> Path:
    (folder,) = catalogue.folder.glob("codes-*")
    return folder


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(shutil.rmtree, id="missing"),
        pytest.param(lambda folder: (folder / "index.json").write_text("{"), id="half a manifest"),
        pytest.param(lambda folder: next(folder.glob("codes-*.npy")).write_bytes(b"nonsense"), id="nonsense"),
        pytest.param(lambda folder: hl.HammingIndex.build(np.ones((40, 24)), folder=folder), id="other bits"),
        pytest.param(lambda folder: hl.HammingIndex.build(np.ones((41, 20)), folder=folder), id="other size"),
    ],
)
def test_codes_are_laid_out_again_from_the_database(catalogue: Catalogue, photos: Path, damage) -> None:
    damage(codes_folder(catalogue))
    catalogue = Catalogue.open(catalogue.folder)
    check_holds_exactly(catalogue, photos)
    assert codes_folder(catalogue).is_dir()


def test_images_that_are_removed_from_the_database_are_not_found(catalogue: Catalogue, photos: Path) -> None:
    with sqlite3.connect(catalogue.folder / "catalogue.sqlite") as database:
        database.execute("DELETE FROM images WHERE path LIKE '%/7.png'")
    (photos / "7" / "7.png").unlink()
    check_holds_exactly(catalogue, photos)


def test_few_new_images_leave_the_codes_of_the_others_where_they_are(catalogue: Catalogue, photos: Path) -> None:
    write_digits(photos, range(100, 200))
    catalogue.update(hl.open_source(photos))
    before = {path.name for path in codes_folder(catalogue).glob("*.npy")}
    write_digits(photos, range(200, 204))
    catalogue.update(hl.open_source(photos))
    assert before < {path.name for path in codes_folder(catalogue).glob("*.npy")}
    check_holds_exactly(catalogue, photos)


def test_a_search_index_that_was_saved_but_not_noted_is_made_again(catalogue: Catalogue, photos: Path) -> None:
    write_digits(photos, range(40, 45))
    catalogue.update(hl.open_source(photos))
    with catalogue._database.connect() as database, database:  # as if killed before the commit
        note(database, indexed=40, state="before")
        database.execute("INSERT INTO pending SELECT id FROM images WHERE id > 40")
    check_holds_exactly(catalogue, photos)


def test_tables_are_built_where_they_pay(
    catalogue: Catalogue, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert all(segment.tables is None for segment in catalogue.engine()._segments)
    monkeypatch.setattr(multi_index, "FEWEST", 1)
    monkeypatch.setattr(multi_index, "TRIAL_QUERIES", 4)
    monkeypatch.setattr(multi_index, "LEAST_GAIN", 0.0)
    for numbers in (range(0), range(40, 50), range(50, 130)):
        write_digits(photos, numbers)
        catalogue.update(hl.open_source(photos))
        assert all(segment.tables is not None for segment in catalogue.engine()._segments)
        check_holds_exactly(catalogue, photos)


def test_many_removed_images_do_not_stay_in_the_way(
    catalogue: Catalogue, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalogue_module, "FEWEST_HOLES", 0)
    for path in sorted(photos.glob("*/*.png"))[:30]:
        path.unlink()
    catalogue.update(hl.open_source(photos))
    assert catalogue.engine().holes == 0
    assert len(catalogue.engine()) == len(catalogue) == 10
    check_holds_exactly(catalogue, photos)


@pytest.mark.parametrize("version", ["1", "2", "3"])
def test_an_index_of_an_earlier_format_is_brought_forward(tmp_path: Path, version: str) -> None:
    folder = tmp_path / "index"
    shutil.copytree(FORMATS / version / "index", folder)
    answers = FORMATS / ("2" if version == "3" else version)  # which have the same images and model
    expected = np.load(answers / "expected.npz")
    catalogue = Catalogue.open(folder)
    assert len(catalogue) == 100
    hits = catalogue.search(expected["codes"][:3], 5)
    found = [[[hit.distance, Path(hit.path).name, list(hit.labels)] for hit in row] for row in hits]
    assert found == json.loads((answers / "hits.json").read_text(encoding="utf-8"))
    np.testing.assert_array_equal(catalogue.model().encode(expected["x"]), expected["codes"])
    assert list(catalogue.labels()) == ["<b>", "cat", "dog", "été"]
    assert [hit.labels for hit in catalogue.search(expected["codes"][:1], 3, labels=["dog"])[0]] == [("dog",)] * 3
    with sqlite3.connect(folder / "catalogue.sqlite") as database:
        (source,) = database.execute("SELECT DISTINCT source FROM images").fetchone()
    items = hl.sources.FeatureArray(source, expected["x"], np.arange(120) % 4, ["a", "b", "c", "d"], source)
    changes = catalogue.update(items)
    assert (changes.added, changes.unchanged, changes.removed) == (20, 100, 0)
    assert not list(folder.glob("codes-*.npy"))
    assert Catalogue.open(folder).search(expected["codes"], 120) == catalogue.search(expected["codes"], 120)
    assert set(catalogue.labels()) == {"a", "b", "c", "d"}


def test_a_format_that_is_not_known_yet_is_refused(tmp_path: Path) -> None:
    shutil.copytree(FORMATS / "2" / "index", tmp_path / "index")
    with sqlite3.connect(tmp_path / "index" / "catalogue.sqlite") as database:
        database.execute("UPDATE properties SET value = 99 WHERE name = 'version'")
    with pytest.raises(BadInput, match="version 99"):
        Catalogue.open(tmp_path / "index")


def test_search_among_some_labels(catalogue: Catalogue, photos: Path) -> None:
    query = catalogue.model().encode(photos / "3" / "3.png")
    every = catalogue.search(query, 1000)[0]
    for labels in (["3"], ["3", "5"]):
        wanted = [hit for hit in every if set(hit.labels) & set(labels)]
        found = catalogue.search(query, 1000, labels=labels)[0]
        assert [(hit.path, hit.distance) for hit in found] == [(hit.path, hit.distance) for hit in wanted]
        assert [hit.rank for hit in found] == list(range(1, len(wanted) + 1))
    with pytest.raises(BadInput, match="label 'cat'"):
        catalogue.search(query, labels=["3", "cat"])
    check_holds_exactly(catalogue, photos)


def test_search_with_an_indexed_image_finds_the_others(catalogue: Catalogue, photos: Path) -> None:
    path = photos / "3" / "3.png"
    every = catalogue.search(catalogue.model().encode(path), 1000)[0]
    others = [hit.path for hit in every if hit.path != str(path)]
    (found,) = catalogue.search_paths([path], 1000, rescore=False)
    assert [hit.path for hit in found] == others
    (found,) = catalogue.search_paths([str(path)], 2, labels=["5"], rescore=False)
    assert [hit.path for hit in found] == [hit.path for hit in every if hit.labels == ("5",)][:2]
    with pytest.raises(BadInput, match="not in the index"):
        catalogue.search_paths([photos / "nowhere.png"])


def test_an_empty_index_finds_nothing(tmp_path: Path, model: HashModel, photos: Path) -> None:
    catalogue = Catalogue.create(tmp_path / "empty", model)
    assert len(catalogue) == 0
    assert catalogue.search(model.encode(photos / "3" / "3.png"), k=3) == [[]]


def test_opening_again_gives_the_same_answers(catalogue: Catalogue, photos: Path) -> None:
    query = catalogue.model().encode(photos / "3" / "3.png")
    assert Catalogue.open(catalogue.folder).search(query, 7) == catalogue.search(query, 7)


def test_adapting_balances_the_bits_of_the_indexed_images(tmp_path: Path, model: HashModel, photos: Path) -> None:
    before = model.fingerprint()
    source = hl.open_source(photos)
    adapted = Catalogue.create(tmp_path / "adapted", model, adapt_to=source)
    adapted.update(source)
    assert model.fingerprint() == before
    means = adapted.model().continuous_codes(source).mean(0)
    np.testing.assert_allclose(means, model.network.hash_layer.norm.bias.detach(), atol=1e-5)
    again = Catalogue.create(tmp_path / "adapted", model)
    assert again.update(source).unchanged == len(source)


def test_features_can_be_indexed(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    labels = np.arange(90) % 3
    features = (np.eye(3, 12)[labels] * 4 + rng.normal(size=(90, 12))).astype(np.float32)
    np.savez(tmp_path / "features.npz", x=features, y=labels, class_names=["a", "b", "c"])
    model = hl.fit(tmp_path / "features.npz", bits=16, epochs=3)
    catalogue = Catalogue.create(tmp_path / "index", model)
    catalogue.update(hl.open_source(tmp_path / "features.npz"))
    (hits,) = catalogue.search(model.encode(features[4]), k=1)
    assert hits[0].path.startswith(str(tmp_path / "features.npz#"))
    assert hits[0].labels == ("b",)
    features[7] += 1
    np.savez(tmp_path / "features.npz", x=features, y=labels, class_names=["a", "b", "c"])
    changes = catalogue.update(hl.open_source(tmp_path / "features.npz"))
    assert (changes.changed, changes.unchanged) == (1, 89)


def test_another_model_is_refused(tmp_path: Path, catalogue: Catalogue, photos: Path) -> None:
    other = hl.fit(photos, bits=20, image_size=32, epochs=1, finetune=False, seed=1)
    with pytest.raises(BadInput, match="another model"):
        Catalogue.create(catalogue.folder, other)
    longer = hl.fit(photos, bits=24, image_size=32, epochs=1, finetune=False)
    with pytest.raises(BadInput, match=r"20 bits.* 24"):
        Catalogue.create(catalogue.folder, longer)
    check_holds_exactly(catalogue, photos)


def test_adapting_later_is_refused(catalogue: Catalogue, model: HashModel, photos: Path) -> None:
    with pytest.raises(BadInput, match="without adapting"):
        Catalogue.create(catalogue.folder, model, adapt_to=hl.open_source(photos))


def test_what_is_no_index_is_refused(tmp_path: Path, model: HashModel, photos: Path) -> None:
    with pytest.raises(BadInput, match="no index"):
        Catalogue.open(tmp_path / "nowhere")
    with pytest.raises(BadInput, match="not an index"):
        Catalogue.create(photos, model)
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "catalogue.sqlite").write_bytes(os.urandom(5000))
    with pytest.raises(BadInput, match=r"catalogue\.sqlite"):
        Catalogue.open(tmp_path / "damaged")


def test_a_database_that_vanished_is_missed_and_not_made_anew(catalogue: Catalogue) -> None:
    query = np.zeros((1, -(-catalogue.bits // 8)), np.uint8)
    catalogue.search(query)
    (catalogue.folder / "catalogue.sqlite").unlink()
    with pytest.raises(BadInput, match="cannot be used"):
        catalogue.search(query)
    assert not (catalogue.folder / "catalogue.sqlite").exists()


def test_a_missing_model_is_told(catalogue: Catalogue, photos: Path) -> None:
    (catalogue.folder / "model" / "model.safetensors").unlink()
    with pytest.raises(BadInput, match=r"no model\.safetensors"):
        catalogue.model()


def test_pages_of_results_are_parts_of_the_whole_ranking(catalogue: Catalogue, photos: Path) -> None:
    code = catalogue.model().encode(next(photos.glob("*/*.png")))
    (whole,) = catalogue.search(code, 1000)
    assert [hit for start in range(0, 49, 7) for hit in catalogue.search(code, 7, offset=start)[0]] == whole
    radius = whole[9].distance
    assert catalogue.search(code, 1000, radius=radius) == [[hit for hit in whole if hit.distance <= radius]]
    assert catalogue.search(code, 1000, radius=radius, offset=3)[0] == [
        hit for hit in whole[3:] if hit.distance <= radius
    ]
    assert catalogue.search(code, 5, offset=1000) == [[]]


def test_searching_by_id_finds_what_searching_by_path_finds(catalogue: Catalogue, photos: Path) -> None:
    hits = catalogue.search(catalogue.model().encode(next(photos.glob("*/*.png"))), 3)[0]
    ids, paths = [hit.id for hit in hits], [hit.path for hit in hits]
    assert catalogue.search_ids(ids, 5) == catalogue.search_paths(paths, 5)
    (others,) = catalogue.search_ids(ids[:1], 1000)
    assert ids[0] not in [hit.id for hit in others]
    assert catalogue.search_ids(ids[:1], 4, offset=6)[0] == others[6:10]
    with pytest.raises(BadInput, match="no image with the id 999 in"):
        catalogue.search_ids([999])


def test_entries_are_what_was_indexed(catalogue: Catalogue, photos: Path) -> None:
    source = hl.open_source(photos)
    everything = catalogue.entries(range(1, 1000))
    assert {entry.path for entry in everything} == {source.location(item) for item in range(len(source))}
    encoded, items = catalogue.model().encode(source, return_items=True)
    by_path = {entry.path: entry for entry in everything}
    for code, item in zip(encoded, items.tolist(), strict=True):
        entry = by_path[source.location(item)]
        assert (entry.code == code).all()
        assert (entry.fingerprint, list(entry.labels)) == (source.fingerprint(item), source.label_names(item))
        assert entry.source == source.identity
    assert [entry.id for entry in catalogue.entries([7, 999, 3])] == [3, 7]


def test_a_sample_is_of_images_that_are_there(catalogue: Catalogue, tmp_path: Path, model: HashModel) -> None:
    there = {entry.id for entry in catalogue.entries(range(1, 1000))}
    assert set(catalogue.sample(1000)) == there
    drawn = catalogue.sample(5)
    assert 1 <= len(drawn) <= 5 and set(drawn) <= there
    assert Catalogue.create(tmp_path / "empty", model).sample(3) == []


def test_labels_are_found_by_a_part_of_their_name(tmp_path: Path, model: HashModel) -> None:
    names = ["Boot", "ankle boot", "Ünder 100%", "under", "shoe"]
    for place, name in enumerate(names):
        (tmp_path / "photos" / name).mkdir(parents=True)
        hl.open_source("digits").image(place).save(tmp_path / "photos" / name / "1.png")
    catalogue = Catalogue.create(tmp_path / "index", model)
    catalogue.update(hl.open_source(tmp_path / "photos"))
    assert list(catalogue.labels()) == sorted(names)
    assert list(catalogue.labels("BOOT")) == ["Boot", "ankle boot"]
    assert list(catalogue.labels("ünder")) == ["Ünder 100%"]
    assert list(catalogue.labels("%")) == ["Ünder 100%"]
    assert list(catalogue.labels("", 2)) == ["Boot", "ankle boot"]
    assert catalogue.labels("nothing") == {}
