"""Figures of features against a full sort, and chance against every order."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import hashlens as hl
from hashlens.errors import BadInput
from hashlens.metrics import float_ranking
from hashlens.metrics.float_ranking import evaluate_features


def slow_ap(relevant: list[bool], k: int) -> float:
    hits = [sum(relevant[: i + 1]) / (i + 1) for i in range(min(k, len(relevant))) if relevant[i]]
    return sum(hits) / len(hits) if hits else 0.0


@pytest.mark.parametrize("multi_label", [False, True])
@pytest.mark.parametrize("pairs", [50, 1 << 24])
def test_against_sorting(multi_label: bool, pairs: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(float_ranking, "PAIRS_AT_ONCE", pairs)
    random = np.random.default_rng(3)
    queries, database = (
        random.normal(size=(9, 5)).astype(np.float32),
        random.normal(size=(33, 5)).astype(np.float32),
    )
    asked, labels = random.integers(-1, 3, 9), random.integers(-1, 3, 33)
    if multi_label:
        asked, labels = random.random((9, 4)) < 0.3, random.random((33, 4)) < 0.3
    report = evaluate_features(queries, asked, database, labels, (5, 100, None))
    assert list(report) == ["mAP@5", "precision@5", "mAP@100", "precision@100", "mAP@all"]
    for q in range(9):
        cosines = [float(queries[q] @ x / np.linalg.norm(x) / np.linalg.norm(queries[q])) for x in database]
        order = sorted(range(33), key=lambda item: -cosines[item])
        if multi_label:
            right = [bool((asked[q] & labels[item]).any()) for item in order]
        else:
            right = [asked[q] == labels[item] != -1 for item in order]
        assert report.per_query["mAP@5"][q] == pytest.approx(slow_ap(right, 5))
        assert report.per_query["mAP@all"][q] == pytest.approx(slow_ap(right, 33))
        assert report.per_query["precision@5"][q] == pytest.approx(sum(right[:5]) / 5)


def test_copies_count_as_all_their_orders() -> None:
    database = np.array([[1, 0], [1, 0], [1, 0], [0, 1]], np.float32)
    labels = np.array([1, 0, 1, 1])
    report = evaluate_features(np.array([[2, 0.1]], np.float32), np.array([1]), database, labels, (2, None))
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


def test_items_that_are_left_out_are_not_seen() -> None:
    rng = np.random.default_rng(3)
    items, labels = rng.normal(size=(12, 4)).astype(np.float32), rng.integers(0, 3, 12)
    items[5] = items[2]
    some = np.array([2, 7, 5])
    found = evaluate_features(items[some], labels[some], items, labels, (3, None), some)
    for place, item in enumerate(some):
        rest = np.arange(12) != item
        alone = evaluate_features(items[[item]], labels[[item]], items[rest], labels[rest], (3, None))
        for name in alone:
            assert found.per_query[name][place] == pytest.approx(alone[name])


@pytest.mark.parametrize("distance", ["cosine", "l1", "l2"])
def test_binary_codes_rank_the_same_by_every_distance(distance: str) -> None:
    random = np.random.default_rng(5)
    queries, database = (random.choice([-1.0, 1.0], (count, 8)).astype(np.float32) for count in (7, 60))
    asked, labels = random.integers(0, 3, 7), random.integers(0, 3, 60)
    found = evaluate_features(queries, asked, database, labels, (5, None), distance=distance)
    binary = hl.evaluate(queries, asked, database, labels, (5, None))
    for name in found:
        assert found[name] == pytest.approx(binary[name], abs=1e-12)


@pytest.mark.parametrize(("distance", "norm"), [("l1", 1), ("l2", 2)])
def test_other_distances_against_sorting(distance: str, norm: int) -> None:
    random = np.random.default_rng(6)
    queries, database = (random.normal(size=(count, 5)).astype(np.float32) for count in (6, 40))
    asked, labels = random.integers(0, 3, 6), random.integers(0, 3, 40)
    found = evaluate_features(queries, asked, database, labels, (9, None), distance=distance)
    for q in range(6):
        order = np.argsort([np.linalg.norm(queries[q] - item, norm) for item in database])
        right = [bool(labels[item] == asked[q]) for item in order]
        assert found.per_query["mAP@9"][q] == pytest.approx(slow_ap(right, 9))
        assert found.per_query["mAP@all"][q] == pytest.approx(slow_ap(right, 40))


def test_an_unknown_distance_is_refused() -> None:
    x, labels = np.eye(2, dtype=np.float32), np.arange(2)
    with pytest.raises(BadInput, match="'l3'"):
        evaluate_features(x, labels, x, labels, (1,), distance="l3")
