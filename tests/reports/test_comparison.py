"""What an evaluation compares codes with, and what it says of classes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import hashlens as hl
from hashlens.errors import BadInput
from hashlens.reports import baselines, write_report
from hashlens.reports.baselines import Baselines
from hashlens.reports.page import Side, result_rows


@pytest.fixture
def clusters() -> hl.sources.FeatureArray:
    random = np.random.default_rng(0)
    labels = np.arange(300) % 3
    x = 2 * np.eye(3, 12)[labels] + random.normal(size=(300, 12))
    x[labels == 1] = x[labels == 1] * 0.2 + 2 * np.eye(3, 12)[0]  # hard to tell from the first class
    return hl.sources.FeatureArray("clusters", x.astype(np.float32), labels, ["one", "two", "three"])


def test_codes_stand_beside_chance_signs_and_features(clusters: hl.sources.FeatureArray, tmp_path: Path) -> None:
    model = hl.fit(clusters, bits=16, epochs=2, device="cpu")
    queries, database = clusters.select(range(60)), clusters.select(range(60, 300))
    report = write_report(model, queries=queries, database=database, folder=tmp_path)
    figures = report["baselines"]["figures"]
    assert figures["these codes"]["mAP@all"] == pytest.approx(report["mAP@all"])
    given = hl.evaluate(
        queries.features(), queries.labels, database.features(), database.labels, (None,), distance="cosine"
    )
    assert figures["float features"]["mAP@all"] == pytest.approx(given["mAP@all"])
    assert figures["chance"]["mAP@all"] == pytest.approx(1 / 3, abs=0.02)
    assert figures["chance"]["mAP@all"] < figures["PCA signs"]["mAP@all"]
    rows = {row["class"]: row for row in report["classes"]}
    assert set(rows) == {"one", "two", "three"}
    assert list(rows) == sorted(rows, key=lambda name: rows[name]["mAP@all"])
    assert rows["two"]["mAP@all"] == pytest.approx(report.per_query["mAP@all"][queries.labels == 1].mean())
    assert {report["confusions"][0]["query"], report["confusions"][0]["result"]} == {"one", "two"}


def test_one_item_is_searched_too(clusters: hl.sources.FeatureArray, tmp_path: Path) -> None:
    model = hl.fit(clusters, bits=16, epochs=1, device="cpu")
    report = write_report(model, queries=clusters.select(range(9)), database=clusters.select([60]), folder=tmp_path)
    assert {figures["mAP@all"] for figures in report["baselines"]["figures"].values()} == {3 / 9}


def test_numbered_classes_match_though_queries_and_database_lack_some(
    clusters: hl.sources.FeatureArray, tmp_path: Path
) -> None:
    named = clusters.select(range(60)), clusters.select(np.flatnonzero(clusters.labels[60:] > 0) + 60)
    model = hl.fit(clusters, bits=16, epochs=2, device="cpu")
    queries, database = (
        hl.sources.FeatureArray("numbers", side.features(), 10 * side.labels + 1) for side in named
    )
    far = np.zeros((22, 22))  # by the numbers of the classes
    far[1, 11] = far[11, 1] = far[11, 21] = far[21, 11] = 1
    far[1, 21] = far[21, 1] = 0.25
    order = [1, 11, 21]
    wanted = write_report(
        model, queries=named[0], database=named[1], folder=tmp_path / "named", at=(10,),
        taxonomy=far[np.ix_(order, order)],
    )  # fmt: skip
    found = write_report(
        model, queries=queries, database=database, folder=tmp_path / "numbers", at=(10,), taxonomy=far
    )
    for figure in ("mAP@10", "mAHP@10", "precision@10"):
        assert found[figure] == pytest.approx(wanted[figure])


@pytest.mark.parametrize("leave_one_out", [False, True])
def test_continuous_codes_rank_as_they_are(
    clusters: hl.sources.FeatureArray, tmp_path: Path, leave_one_out: bool
) -> None:
    model = hl.fit(clusters, bits=16, method="shrewd", taxonomy=1 - np.eye(3), epochs=2, device="cpu")
    queries, database = None if leave_one_out else clusters.select(range(60)), clusters.select(range(60, 300))
    report = write_report(model, queries=queries, database=database, folder=tmp_path, distance="cosine")
    asked = database if queries is None else queries
    with model.encoder() as encode:
        vectors = [encode.continuous(side.features()) - 0.5 for side in (asked, database)]
    given = vectors[0], asked.labels, vectors[1], database.labels
    wanted = hl.evaluate(*given, at=(10,), leave_one_out=leave_one_out, distance="cosine")
    assert report["mAP@10"] == pytest.approx(wanted["mAP@10"])
    assert any("by cosine" in note for note in report["notes"])
    assert not {"precision@radius2", "mAP@10/rescored"} & set(report)
    assert not (tmp_path / "distances.png").exists()
    right = sum(row["precision@10"] * row["queries"] for row in report["classes"]) / len(asked)
    assert right == pytest.approx(wanted["precision@10"])
    assert "cosine of continuous codes" in (tmp_path / "report.html").read_text("utf-8")
    with pytest.raises(BadInput, match="'far'"):
        write_report(model, queries=queries, database=database, folder=tmp_path, distance="far")


def test_many_queries_are_drawn_by_the_seed_and_large_features_left_out(
    clusters: hl.sources.FeatureArray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hashlens.reports import evaluation

    monkeypatch.setattr(baselines, "MOST_QUERIES", 20)
    monkeypatch.setattr(baselines, "FEWEST_QUERIES", 5)
    monkeypatch.setattr(evaluation, "FEATURE_BYTES", 100)
    model = hl.fit(clusters, bits=16, epochs=2, device="cpu")
    sides = {"queries": clusters.select(range(60)), "database": clusters.select(range(60, 300))}
    found = [write_report(model, **sides, folder=tmp_path, seed=seed)["baselines"] for seed in (0, 0, 1)]
    assert found[0] == found[1] != found[2]
    assert found[0]["queries"] == 20
    assert set(found[0]["figures"]) == {"these codes", "chance"}
    assert "gigabyte" in found[0]["note"]


@pytest.mark.parametrize(
    ("ours", "says"),
    [
        (0.7, "finds more than the features"),
        (0.5, "keep what the features find"),
        (0.4, "costs something"),
        (0.2, "has not helped"),
    ],
)
def test_the_sentence_says_what_the_figures_mean(ours: float, says: str) -> None:
    figures = {
        name: {"mAP@10": 0.9, "mAP@all": value}
        for name, value in (("these codes", ours), ("float features", 0.5), ("PCA signs", 0.3), ("chance", 0.1))
    }
    sizes = {"these codes": 8, "float features": 5120, "PCA signs": 8, "chance": 0}
    sentence = Baselines(50, figures, sizes).sentence
    assert says in sentence
    assert "640 times the room" in sentence and f"{ours:.3f}, {ours / 0.1:.1f} times" in sentence


def test_the_page_tells_how_far_apart_label_sets_are() -> None:
    marks = np.array([[1, 0, 0], [0, 1, 1], [0, 1, 0], [0, 0, 0]], bool)
    images = hl.sources.ImageArray("images", np.zeros((4, 8, 8, 3), np.uint8), marks, ["cat", "dog", "car"])
    side = Side(images, np.arange(4), np.zeros((4, 1), np.uint8), marks)
    distance = np.array([[0, 0.2, 1], [0.2, 0, 1], [1, 1, 0]])
    rows, _ = result_rows(side, side, np.array([[0, 1, 2, 3]] * 4), distance)
    row = next(row for row in rows if row.query.caption == "cat")
    assert [picture.apart for picture in row.results] == pytest.approx([0, (0.2 + 0.6) / 2, 0.2, None])
