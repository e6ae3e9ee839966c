"""Rankings by continuous codes against a full sort and against Hamming distances, and how alike label sets are."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import hashlens as hl
from hashlens.errors import BadInput
from hashlens.metrics import evaluation
from objectives.references import best_matches
from refusals import is_one_sentence


def slow_ap(relevant: list[bool], k: int) -> float:
    hits = [sum(relevant[: i + 1]) / (i + 1) for i in range(min(k, len(relevant))) if relevant[i]]
    return sum(hits) / len(hits) if hits else 0.0


DISTANCES = {
    "cosine": lambda one, other: -float(one @ other / np.linalg.norm(one) / np.linalg.norm(other)),
    "l1": lambda one, other: float(np.abs(one - other).sum()),
    "l2": lambda one, other: float(np.linalg.norm(one - other)),
}


@pytest.mark.parametrize("seed", range(4))
def test_items_of_many_dimensions_know_themselves(seed: int) -> None:
    x = np.random.default_rng(seed).normal(size=(400, 1280)).astype(np.float32)
    labels = np.arange(400) % 5
    found = hl.evaluate(x, labels, x, labels, (10,), leave_one_out=True, distance="cosine")
    unit = x.astype(np.float64) / np.linalg.norm(x.astype(np.float64), axis=1, keepdims=True)
    cosines = unit @ unit.T
    np.fill_diagonal(cosines, -2)
    nearest = np.argsort(-cosines, axis=1)[:, :10]
    assert found["precision@10"] == pytest.approx((labels[nearest] == labels[:, None]).mean(), abs=1e-3)


@pytest.mark.parametrize("multi_label", [False, True])
@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize("numbers", [50, 1 << 24])
def test_against_sorting(multi_label: bool, distance: Any, numbers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluation, "NUMBERS_AT_ONCE", numbers)
    random = np.random.default_rng(3)
    queries, database = random.normal(size=(9, 5)), random.normal(size=(33, 5)).astype(np.float32)
    asked, labels = random.integers(-1, 3, 9), random.integers(-1, 3, 33)
    if multi_label:
        asked, labels = random.random((9, 4)) < 0.3, random.random((33, 4)) < 0.3
    report = hl.evaluate(queries, asked, database, labels, (5, 100, None), distance=distance)
    for q in range(9):
        apart = [DISTANCES[distance](queries[q], item) for item in database]
        order = sorted(range(33), key=apart.__getitem__)
        if multi_label:
            right = [bool((asked[q] & labels[item]).any()) for item in order]
        else:
            right = [bool(asked[q] == labels[item] != -1) for item in order]
        assert report.per_query["mAP@5"][q] == pytest.approx(slow_ap(right, 5))
        assert report.per_query["mAP@all"][q] == pytest.approx(slow_ap(right, 33))
        assert report.per_query["precision@5"][q] == pytest.approx(sum(right[:5]) / 5)
        if multi_label:
            shared = [(asked[q] & labels[item]).sum() for item in order[:5]]
            assert report.per_query["ACG@5"][q] == pytest.approx(sum(shared) / 5)


def test_copies_count_as_all_their_orders() -> None:
    database = np.array([[1, 0], [1, 0], [1, 0], [0, 1]], np.float32)
    labels = np.array([1, 0, 1, 1])
    report = hl.evaluate(np.array([[2, 0.1]]), np.array([1]), database, labels, (2, None), distance="cosine")
    orders = [[bool(labels[item]) for item in (*first, 3)] for first in itertools.permutations(range(3))]
    assert report["mAP@2"] == pytest.approx(np.mean([slow_ap(order, 2) for order in orders]))
    assert report["mAP@all"] == pytest.approx(np.mean([slow_ap(order, 4) for order in orders]))


def test_precision_and_recall_by_rank_end_with_everything() -> None:
    random = np.random.default_rng(0)
    labels = np.arange(90) % 3
    codes = random.integers(0, 256, (90, 2), np.uint8)
    report = hl.evaluate(codes[:30], labels[:30], codes[30:], labels[30:], at=(10, None))
    curve = report["curves"]["precision_recall_by_rank"]
    assert curve["k"][0] == 1 and curve["k"][-1] == 60
    assert curve["recall"][-1] == pytest.approx(1) and curve["precision"][-1] == pytest.approx(1 / 3)
    assert curve["precision"][curve["k"].index(10)] == pytest.approx(report["precision@10"])
    assert curve["recall"][curve["k"].index(10)] == pytest.approx(report["recall@10"])


TAXONOMY = np.array([[0, 0.2, 0.7, 1], [0.2, 0, 0.7, 1], [0.7, 0.7, 0, 1], [1, 1, 1, 0]])
LABELS = pytest.mark.parametrize("multi_label", [False, True])


def labels_of(count: int, multi_label: bool, random: np.random.Generator) -> np.ndarray:
    return random.random((count, 4)) < 0.35 if multi_label else random.integers(-1, 4, count)


@LABELS
@pytest.mark.parametrize("distance", DISTANCES)
def test_items_that_are_left_out_are_not_seen(multi_label: bool, distance: Any) -> None:
    random = np.random.default_rng(3)
    items, labels = random.normal(size=(14, 4)).astype(np.float32), labels_of(14, multi_label, random)
    items[5], items[8] = items[2], 0
    some = np.array([2, 7, 5, 8])
    how: dict[str, Any] = {"at": (3, None), "taxonomy": TAXONOMY, "distance": distance}
    found = hl.evaluate(items[some], labels[some], items, labels, leave_one_out=True, **how)
    assert {"mAP@all", "mAHP@3", "ndcg@all"} <= set(found.per_query)
    for place, item in enumerate(some):
        rest = np.arange(14) != item
        alone = hl.evaluate(items[[item]], labels[[item]], items[rest], labels[rest], **how)
        for name in alone.figures:
            assert found.per_query[name][place] == pytest.approx(alone[name], abs=1e-12)
    with pytest.raises(BadInput, match="not in the database") as error:
        hl.evaluate(items[:2] + 1, labels[:2], items, labels, leave_one_out=True, **how)
    assert is_one_sentence(error)


@LABELS
@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize("leave_one_out", [False, True])
def test_binary_codes_rank_the_same_by_every_distance(
    multi_label: bool, distance: Any, leave_one_out: bool
) -> None:
    random = np.random.default_rng(5)
    database, labels = random.choice([-1.0, 1.0], (60, 8)).astype(np.float32), labels_of(60, multi_label, random)
    sides = database[:7], labels[:7], database, labels
    found, binary = (
        hl.evaluate(*sides, (5, None), TAXONOMY, leave_one_out=leave_one_out, distance=one)  # type: ignore[arg-type]
        for one in (distance, "hamming")
    )
    assert set(binary.figures) - set(found.figures) == {"precision@radius2"}
    for name in found.figures:
        np.testing.assert_allclose(found.per_query[name], binary.per_query[name], atol=1e-12)
    for name, curve in found["curves"].items():
        for column, values in curve.items():
            assert values == pytest.approx(binary["curves"][name][column], abs=1e-12)
    assert set(binary["curves"]) - set(found["curves"]) == {"precision_recall", "distances"}
    assert set(binary) - set(found) == {"codes", "bits", "precision@radius2"}


def test_hierarchical_figures_of_label_sets_against_sorting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluation, "NUMBERS_AT_ONCE", 400)
    random = np.random.default_rng(8)
    queries, database = random.normal(size=(6, 5)), random.normal(size=(30, 5))
    asked, labels = (random.random((count, 4)) < 0.4 for count in (6, 30))
    asked[2] = labels[3] = labels[11] = False
    report = hl.evaluate(queries, asked, database, labels, (1, 7, None), TAXONOMY, distance="l2")
    sets = [set(np.flatnonzero(row).tolist()) for row in labels]
    for q in range(6):
        own = set(np.flatnonzero(asked[q]).tolist())
        alike = [1 - best_matches(own, other, TAXONOMY.tolist()) if own and other else 0.0 for other in sets]
        order = np.argsort([np.linalg.norm(queries[q] - item) for item in database])
        gained, best = np.cumsum(np.array(alike)[order]), np.cumsum(sorted(alike, reverse=True))
        curve = np.divide(gained, best, out=np.zeros(30), where=best > 0)
        for k, name in ((1, "1"), (7, "7"), (30, "all")):
            assert report.per_query[f"HP@{name}"][q] == pytest.approx(curve[k - 1])
            assert report.per_query[f"mAHP@{name}"][q] == pytest.approx(np.trapezoid(curve[:k], dx=1 / k))
    assert report.per_query["HP@7"][2] == 0


def test_sets_of_one_class_are_as_alike_as_the_classes() -> None:
    random = np.random.default_rng(2)
    codes, labels = random.integers(0, 256, (50, 1), np.uint8), random.integers(-1, 3, 50)
    marks = labels[:, None] == np.arange(3)
    taxonomy = hl.classes.Taxonomy([("animal", "cat"), ("animal", "dog"), ("thing", "car")])
    figures = [
        hl.evaluate(codes[:9], given[:9], codes, given, (4, None), taxonomy, ["cat", "dog", "car"])
        for given in (labels, marks)
    ]
    assert "mAHP@4/wup" in figures[0]
    for name in figures[0].figures:
        assert figures[1][name] == pytest.approx(figures[0][name], abs=1e-12)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"distance": "l3"}, "'l3'; use one of hamming, cosine, l1, l2"),
        ({"query_codes": np.zeros((2, 1), np.uint8)}, "continuous codes"),
        ({"query_codes": np.zeros((2, 3))}, "3 numbers"),
        ({"query_codes": np.full((2, 2), np.nan)}, "finite"),
        ({"query_codes": np.zeros((3, 2))}, "3 codes, but 2 labels"),
        ({"query_codes": np.zeros((0, 2))}, "nothing to evaluate"),
        ({"taxonomy": TAXONOMY, "query_labels": np.eye(2), "database_labels": np.eye(2)}, "2 columns"),
    ],
)
def test_what_cannot_be_ranked_is_refused_in_a_sentence(change: dict[str, Any], says: str) -> None:
    x, labels = np.eye(2, dtype=np.float32), np.arange(2)
    given = {"query_codes": x, "query_labels": labels, "database_codes": x, "database_labels": labels}
    with pytest.raises(BadInput, match=says) as error:
        hl.evaluate(**{**given, "at": (1,), "distance": "l1", **change})
    assert is_one_sentence(error)
