"""What codes cannot tell apart is ordered by a byte for each bit, page by page; the image itself comes first."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import numpy as np
import pytest

import hashlens as hl
from hashlens.catalogue import Catalogue, ranking
from hashlens.codes import as_details, detail_cosines
from hashlens.models import HashModel

COUNT, BITS = 300, 8


def items() -> hl.sources.FeatureArray:
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(6, 12))
    labels = rng.integers(0, 6, COUNT)
    x = (centres[labels] + 0.5 * rng.normal(size=(COUNT, 12))).astype(np.float32)
    return hl.sources.FeatureArray("mine", x, labels, list("abcdef"))


@pytest.fixture(scope="module")
def model() -> HashModel:
    return hl.fit(items(), "orthohash", bits=BITS, epochs=2, hidden_layers=(), device="cpu")


@pytest.fixture
def catalogue(tmp_path: Path, model: HashModel) -> Catalogue:
    catalogue = Catalogue.create(tmp_path / "index", model)
    catalogue.update(items())
    return catalogue


def by_hand(model: HashModel, item: int, block: int) -> list[int]:
    """Ids of all images, nearest first: blocks of the order by (distance, id), each sorted by cosine."""
    codes = np.unpackbits(model.encode(items()), axis=1)[:, :BITS]
    details = as_details(model.continuous_codes(items()))
    nearest = sorted(range(COUNT), key=lambda other: (int((codes[item] != codes[other]).sum()), other))
    cosines = detail_cosines(details[item], details)
    found = []
    for start in range(0, COUNT, block):
        found += sorted(nearest[start : start + block], key=lambda other: -cosines[other])
    return [other + 1 for other in found]  # ids count from 1


def test_the_nearest_by_code_are_ordered_by_details(catalogue: Catalogue, model: HashModel) -> None:
    for item in (0, 7, 150):
        ((_, hits),) = catalogue.search_images([items().select([item])], k=5).answers
        assert [hit.id for hit in hits] == by_hand(model, item, 100)[:5]
        assert hits[0].id == item + 1
        assert [hit.rank for hit in hits] == [1, 2, 3, 4, 5]
        (others,) = catalogue.search_ids([item + 1], k=5)
        assert item + 1 not in [hit.id for hit in others]
        codes, details = model.encode(items().select([item])), as_details(model.continuous_codes(items())[[item]])
        assert catalogue.search(codes, 5, details=details) == [hits]


def test_pages_follow_each_other_without_gap_or_repetition(catalogue: Catalogue, model: HashModel) -> None:
    codes, details = model.encode(items())[3:4], as_details(model.continuous_codes(items())[3:4])
    pages = [catalogue.search(codes, 7, offset=offset, details=details)[0] for offset in range(0, COUNT, 7)]
    assert [hit.id for page in pages for hit in page] == by_hand(model, 3, 100)
    assert [hit.rank for page in pages for hit in page] == list(range(1, COUNT + 1))
    every = [catalogue.search_ids([4], 7, offset=offset)[0] for offset in range(0, COUNT, 7)]
    assert sorted(hit.id for page in every for hit in page) == sorted(set(range(1, COUNT + 1)) - {4})


def test_a_radius_and_labels_hold(catalogue: Catalogue, model: HashModel) -> None:
    codes, details = model.encode(items())[3:4], as_details(model.continuous_codes(items())[3:4])
    near = catalogue.search(codes, COUNT, radius=1, details=details)[0]
    assert {hit.id for hit in near} == {hit.id for hit in catalogue.search(codes, COUNT, radius=1)[0]}
    assert all(hit.labels == ("b",) for hit in catalogue.search(codes, 20, labels=["b"], details=details)[0])


def test_without_rescoring_the_order_is_by_distance_then_id(catalogue: Catalogue, model: HashModel) -> None:
    ((_, hits),) = catalogue.search_images([items().select([7])], k=50, rescore=False).answers
    assert [(hit.distance, hit.id) for hit in hits] == sorted((hit.distance, hit.id) for hit in hits)
    assert catalogue.search(model.encode(items())[7:8], 50) == [hits]


def test_an_index_without_details_answers_by_distance(tmp_path: Path, model: HashModel) -> None:
    plain = Catalogue.create(tmp_path / "plain", model, details=False)
    plain.update(items())
    assert plain.detailed() == 0
    rescored, pure = (plain.search_images([items().select([7])], 50, rescore=r).answers for r in (True, False))
    assert rescored == pure
    again = Catalogue.create(tmp_path / "plain", model)
    again.update(items().select(range(100)))
    again.update(items())
    assert again.detailed() == 0  # as it was started


def test_details_follow_the_images(catalogue: Catalogue, model: HashModel, monkeypatch: pytest.MonkeyPatch) -> None:
    assert catalogue.detailed() == COUNT
    changed = items().features().copy()
    changed[5] = changed[9]
    catalogue.update(hl.sources.FeatureArray("mine", changed[:200], items().labels[:200], list("abcdef"), "mine"))
    assert catalogue.detailed() == len(catalogue) == 200
    with sqlite3.connect(catalogue.folder / "catalogue.sqlite") as rows:
        kept = dict(rows.execute("SELECT image, detail FROM details"))
    expected = as_details(model.continuous_codes(changed[:200]))
    assert {image: bytes(detail) for image, detail in kept.items()} == {
        number + 1: detail.tobytes() for number, detail in enumerate(expected)
    }


def test_images_beyond_a_number_keep_no_details(
    tmp_path: Path, model: HashModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hashlens.catalogue.catalogue.MOST_DETAILED", 250)
    catalogue = Catalogue.create(tmp_path / "index", model)
    catalogue.update(items().select(range(200)))
    assert catalogue.detailed() == 200
    catalogue.update(items())
    assert (catalogue.detailed(), len(catalogue)) == (200, COUNT)
    ((_, hits),) = catalogue.search_images([items().select([7])], k=COUNT).answers
    assert sorted(hit.id for hit in hits) == list(range(1, COUNT + 1))


def test_what_is_kept_is_a_byte_for_each_bit(catalogue: Catalogue) -> None:
    with sqlite3.connect(catalogue.folder / "catalogue.sqlite") as rows:
        assert rows.execute("SELECT DISTINCT length(detail) FROM details").fetchall() == [(BITS,)]
    assert ranking.Page(10, rescored=True).block == 100
    assert ranking.Page(30, rescored=True).block == 300
