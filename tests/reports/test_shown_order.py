"""Figures of the order in which results are shown, against loops."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

import hashlens as hl
from hashlens.codes import as_details, pack
from hashlens.models.encoder import Encoded
from hashlens.reports import write_report
from hashlens.reports.rescoring import rescored_scores, shown_items

BITS = 12


def encoded(continuous: NDArray[np.float32]) -> Encoded:
    items = np.arange(len(continuous))
    return Encoded(items, continuous, pack(continuous), as_details(continuous), [b""] * len(items), [])


def cosine(a: NDArray[np.int8], b: NDArray[np.int8]) -> float:
    products = [int(x) * int(y) for x, y in zip(a, b, strict=True)]
    return sum(products) / math.sqrt(sum(int(x) ** 2 for x in a)) / math.sqrt(sum(int(y) ** 2 for y in b))


@pytest.mark.parametrize(("size", "multi_label"), [(400, False), (400, True), (7, False)])
def test_the_hundred_nearest_are_ordered_by_details(size: int, multi_label: bool) -> None:
    random = np.random.default_rng(size)
    queries, database = (encoded(random.normal(size=(n, BITS)).astype(np.float32)) for n in (15, size))
    asked, labels = random.integers(-1, 3, 15), random.integers(-1, 3, size)
    if multi_label:
        asked, labels = random.random((15, 4)) < 0.3, random.random((size, 4)) < 0.3
    index = hl.HammingIndex.build(database.codes, BITS)
    found = rescored_scores(shown_items(queries, database, index), asked, labels)
    for query in range(15):
        apart = ((queries.continuous[query] > 0) != (database.continuous > 0)).sum(1)
        near = sorted(range(size), key=lambda item: (apart[item], item))[:100]
        near.sort(key=lambda item: -cosine(queries.details[query], database.details[item]))
        if multi_label:
            right = [bool((asked[query] & labels[item]).any()) for item in near[:10]]
        else:
            right = [labels[item] == asked[query] != -1 for item in near[:10]]
        precisions = [sum(right[:k]) / k for k in range(1, len(right) + 1) if right[k - 1]]
        assert found["precision@10/rescored"][query] == pytest.approx(sum(right) / len(right))
        assert found["mAP@10/rescored"][query] == pytest.approx(sum(precisions) / max(sum(right), 1))


def test_an_evaluation_tells_both_orders(tmp_path) -> None:
    digits = hl.open_source("digits")
    model = hl.fit(digits.select(range(200)), bits=16, image_size=32, epochs=2, finetune=False)
    sides = {"queries": digits.select(range(200, 260)), "database": digits.select(range(260, 700))}
    report = write_report(model, **sides, folder=tmp_path)
    assert {"precision@10", "precision@10/rescored", "mAP@10", "mAP@10/rescored"} <= set(report)
    assert "mAP@10/worst" in report and report["mAP@10/rescored"] > report["mAP@10"]
    assert report.per_query["mAP@10/rescored"].mean() == pytest.approx(report["mAP@10/rescored"])
    assert "precision@10/rescored" in (tmp_path / "report.html").read_text(encoding="utf-8").replace("<wbr>", "")


@pytest.mark.parametrize("multi_label", [False, True])
def test_a_report_of_every_image_leaves_it_out(tmp_path, multi_label: bool) -> None:
    random = np.random.default_rng(0)
    labels = np.arange(90) % 3
    features = (np.eye(3)[labels] + random.normal(size=(90, 3)) / 3).astype(np.float32)
    features[4] = features[1]
    source = hl.sources.FeatureArray("mine", features, np.eye(3, dtype=bool)[labels] if multi_label else labels)
    model = hl.fit(source, bits=16, epochs=2)
    report = write_report(model, database=source, queries=None, folder=tmp_path, at=(10, None))
    codes = model.encode(source)
    expected = hl.evaluate(codes, source.labels, codes, source.labels, (10, None), leave_one_out=True)
    assert report["mAP@all"] == expected["mAP@all"] == report["baselines"]["figures"]["these codes"]["mAP@all"]
    assert report["queries"] == report["database"] == 90
    assert report["queries_in_database"] == 2  # copies of each other
    assert report["baselines"]["figures"]["chance"]["mAP@all"] < 0.4
    encoded = model.encoder().all(source)
    shown = shown_items(encoded, encoded, hl.HammingIndex.build(codes), leave_one_out=True)
    assert not (shown == np.arange(90)[:, None]).any()
    assert 4 in shown[1] and 1 in shown[4]
