"""Every metric in the table against its reference, and what the table is good for."""

from __future__ import annotations

import csv
import io
import itertools
import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
from metric_references import REFERENCES, orders

import hashlens as hl
from hashlens.errors import BadInput
from hashlens.metrics import METRICS, GradedGroups, Groups, SharedGroups
from hashlens.reports.files import write_figures
from refusals import is_one_sentence

LEVELS = 5
PLAIN = ("relevance", "Hamming distance")  # what needs no more than counts
GROUPS = [  # number of items, and of relevant ones, at distances 0 … 4
    ([2, 0, 3, 1, 0], [1, 0, 2, 0, 0]),
    ([0, 1, 1, 4, 1], [0, 1, 0, 3, 1]),
    ([0, 0, 0, 5, 2], [0, 0, 0, 0, 0]),
    ([1, 2, 2, 0, 2], [1, 2, 2, 0, 2]),
    ([0, 0, 3, 3, 0], [0, 0, 1, 0, 0]),
]


@pytest.mark.parametrize("name", [name for name in METRICS if METRICS[name].needs in PLAIN])
def test_a_metric_is_the_expectation_of_its_reference(name: str) -> None:
    metric, references = METRICS[name], REFERENCES[name]
    assert len(references) == len(metric.figures)
    for totals, relevants in GROUPS:
        size = sum(totals)
        groups = Groups(np.array([totals]), np.array([relevants]))
        depths = np.arange(1, size + 1)
        scores = metric.function(groups, depths)
        assert scores.shape == (1, size, len(metric.figures)) or not any(f.has_depth for f in metric.figures)
        items = [
            (distance, [1] * right + [0] * (count - right))
            for distance, (count, right) in enumerate(zip(totals, relevants, strict=True))
        ]
        rankings = list(orders(items))
        for place, k in enumerate(depths.tolist()):
            if scores.shape[1] == 1:
                place, k = 0, size
            for number, (reference, join) in enumerate(references):
                expected = join([reference(ranking, k) for ranking in rankings])
                assert scores[0, place, number] == pytest.approx(expected, abs=1e-12)


SHARED = [  # labels that the items at distances 0 … 4 share with the query
    [[0, 2], [], [1, 3, 0], [1], []],
    [[], [1], [0], [2, 1, 0, 2], [3]],
    [[], [], [], [0, 0, 0], [0]],
    [[1], [2, 3], [1, 1], [], [2, 4]],
    [[], [], [0, 0, 2, 0], [0, 1, 0], []],
]


@pytest.mark.parametrize("name", [name for name in METRICS if METRICS[name].needs == "shared labels"])
@pytest.mark.parametrize("at_distance", SHARED)
def test_a_metric_of_shared_labels_is_the_expectation_of_its_reference(
    name: str, at_distance: list[list[int]]
) -> None:
    metric, references = METRICS[name], REFERENCES[name]
    assert len(references) == len(metric.figures)
    counts = np.array([[np.bincount(here, minlength=5) for here in map(np.int64, at_distance)]])
    depths = np.arange(1, counts.sum() + 1)
    scores = metric.function(SharedGroups(counts), depths)
    rankings = list(orders([(distance, here) for distance, here in enumerate(at_distance) if here]))
    for place, k in enumerate(depths.tolist()):
        for number, (reference, join) in enumerate(references):
            expected = join([reference(ranking, k) for ranking in rankings])
            assert scores[0, place, number] == pytest.approx(expected, abs=1e-12)


def test_gains_of_very_many_shared_labels_do_not_overflow() -> None:
    counts = np.zeros((1, 2, 2001), np.int64)
    counts[0, 0, 2000] = counts[0, 1, 1999] = 1
    (score,) = METRICS["shared labels"].function(SharedGroups(counts[:, ::-1]), np.array([2]))[0]
    right_order, wrong_order = 1 + 0.5 / math.log2(3), 0.5 + 1 / math.log2(3)
    assert score[2] == pytest.approx(wrong_order / right_order)


@pytest.mark.parametrize("name", [name for name in METRICS if METRICS[name].needs == "class distance"])
def test_a_graded_metric_is_the_expectation_of_its_reference(name: str) -> None:
    metric, references = METRICS[name], REFERENCES[name]
    similarity = np.array([1.0, 0.5, 0.0, 0.25])  # of the query to each class
    at_distance = [[0], [], [1, 2, 2], [0, 3], [1]]  # classes of the items
    totals = np.array([[len(here) for here in at_distance]])
    gains = np.array([[similarity[here].sum() if here else 0.0 for here in at_distance]])
    sizes = np.bincount([c for here in at_distance for c in here], minlength=4)[None]
    groups = GradedGroups(totals, gains, similarity[None], sizes)
    depths = np.arange(1, totals.sum() + 1)
    scores = metric.function(groups, depths)
    rankings = list(orders([(d, similarity[here].tolist()) for d, here in enumerate(at_distance) if here]))
    for place, k in enumerate(depths.tolist()):
        for number, (reference, join) in enumerate(references):
            expected = join([reference(ranking, k) for ranking in rankings])
            assert scores[0, place, number] == pytest.approx(expected, abs=1e-12)


def test_no_metric_is_without_a_reference() -> None:
    assert set(REFERENCES) == set(METRICS)


def test_every_metric_is_in_the_documentation_with_its_meaning() -> None:
    page = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `([^`]+)` \| (.+) \|$", page, re.MULTILINE))
    for metric in METRICS.values():
        for figure in metric.figures:
            assert rows[figure.name] == figure.meaning


@pytest.fixture
def sides() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, 300)
    centres = rng.choice([-1, 1], (4, 24))
    codes = np.where(rng.random((300, 24)) < 0.25, -1, 1) * centres[labels]
    return codes[:60], labels[:60], codes[60:], labels[60:]


def test_per_query_scores_are_kept_for_every_figure(sides) -> None:
    report = hl.evaluate(*sides, at=(10, None), taxonomy=1 - np.eye(4))
    assert set(report.per_query) == set(report.figures)
    for name, values in report.per_query.items():
        assert values.shape == (60,)
        assert values.mean() == pytest.approx(report[name])
    alone = hl.evaluate(sides[0][7:8], sides[1][7:8], *sides[2:], at=(10, None))
    for name in alone.figures:
        assert report.per_query[name][7] == pytest.approx(alone[name])


def test_a_report_goes_into_json_and_csv(sides) -> None:
    report = hl.evaluate(*sides, at=(10, None))
    assert json.loads(json.dumps(report.to_dict())) == report
    lists = report.to_dict(per_query=True)["per_query"]
    assert lists == {name: values.tolist() for name, values in report.per_query.items()}
    rows = list(csv.reader(io.StringIO(report.to_csv())))
    assert rows[0] == ["figure", "value"]
    assert {name: float(value) for name, value in rows[1:]} == report.figures
    table = list(csv.DictReader(io.StringIO(report.to_csv(per_query=True))))
    assert [float(row["mAP@10"]) for row in table] == report.per_query["mAP@10"].tolist()


def test_a_report_compares_with_another_one_of_the_same_queries(sides) -> None:
    queries, query_labels, database, labels = sides
    good = hl.evaluate(queries, query_labels, database, labels, at=(10, None))
    rng = np.random.default_rng(1)
    worse = np.where(rng.random(database.shape) < 0.2, -database, database)
    bad = hl.evaluate(queries, query_labels, worse, labels, at=(10, None))
    found = good.compare(bad)["mAP@all"]
    assert found.mean == pytest.approx(good["mAP@all"] - bad["mAP@all"])
    assert 0 < found.low < found.mean < found.high
    assert found.p_value < 0.001
    back = bad.compare(good)["mAP@all"]
    assert (back.mean, back.low, back.high) == pytest.approx((-found.mean, -found.high, -found.low))
    assert good.compare(bad) == good.compare(bad)
    assert good.compare(bad, seed=1) != good.compare(bad)
    same = good.compare(good)["mAP@all"]
    assert (same.mean, same.low, same.high, same.p_value) == (0, 0, 0, 1)


def test_the_interval_of_a_comparison_is_that_of_the_mean() -> None:
    """The bootstrap of a mean tends to a normal distribution, whose interval is known."""
    rng = np.random.default_rng(0)
    values = rng.normal(0.05, 0.4, 400)
    one, other = (hl.metrics.Report({"x": 0.0}, {"x": scores}) for scores in (values, np.zeros(400)))
    found = one.compare(other, resamples=20_000)["x"]
    half = 1.96 * values.std() / 20
    assert found.low == pytest.approx(values.mean() - half, abs=0.003)
    assert found.high == pytest.approx(values.mean() + half, abs=0.003)
    z = abs(values.mean()) / (values.std() / 20)
    assert found.p_value == pytest.approx(math.erfc(z / math.sqrt(2)), abs=0.01)


def test_the_permutation_test_over_every_draw_of_signs() -> None:
    rng = np.random.default_rng(4)
    values = rng.normal(0.3, 1, 9).round(1)  # so that some draws tie with what was found
    values[3] = np.nan
    known = values[~np.isnan(values)]
    sums = [abs(sum(np.array(signs) * known)) for signs in itertools.product((-1, 1), repeat=8)]
    wanted = sum(found >= abs(known.sum()) - 1e-9 for found in sums) / 256
    one, other = (hl.metrics.Report({}, {"x": scores}) for scores in (values, 0 * values))
    assert 0.05 < wanted < 0.95
    assert one.compare(other)["x"].permutation_p_value == pytest.approx(wanted, abs=1e-12)
    drawn = [one.compare(other, resamples=500, seed=seed)["x"].permutation_p_value for seed in range(20)]
    assert len(set(drawn)) > 1 and np.mean(drawn) == pytest.approx(wanted, abs=0.015)


def test_a_report_is_read_as_it_was_written(sides, tmp_path: Path) -> None:
    report = hl.evaluate(*sides, at=(10, None))
    report.per_query["mAP@10"][3] = np.nan  # as of a query with nothing to find in instance retrieval
    report["mAP@10"] = float(np.nanmean(report.per_query["mAP@10"]))
    write_figures(report, tmp_path)
    for path in (tmp_path, tmp_path / "metrics.json"):
        found = hl.metrics.Report.read(path)
        assert found == report
        assert list(found.per_query) == list(report.per_query)
        for name, scores in report.per_query.items():
            np.testing.assert_array_equal(found.per_query[name], scores)


@pytest.mark.parametrize(
    ("file", "text", "says"),
    [
        ("metrics.json", "{", "no report"),
        ("metrics.json", "[1]", "no figures"),
        ("queries.csv", "", "scores of queries"),
        ("queries.csv", "query,mAP@10\n0,0.5\n2,0.5\n", "numbered from 0"),
        ("queries.csv", "query,mAP@10\n0,0.5,1\n", "scores of queries"),
        ("queries.csv", "query,mAP@10\n0,high\n", "scores of queries"),
        ("queries.csv", "query,mAP@10\n0,0.5\n", "different things of mAP@10"),
        ("queries.csv", "query,mAP@7\n0,0.5\n", "different things of mAP@7"),
    ],
)
def test_damaged_reports_are_refused_in_a_sentence(sides, tmp_path: Path, file: str, text: str, says: str) -> None:
    write_figures(hl.evaluate(*sides, at=(10,)), tmp_path)
    (tmp_path / file).write_text(text)
    with pytest.raises(BadInput, match=says) as error:
        hl.metrics.Report.read(tmp_path)
    assert is_one_sentence(error)


@pytest.mark.parametrize(
    "wrong", ["other images", "other queries", "nothing in common", "no draws", "no confidence"]
)
def test_what_cannot_be_compared_is_refused(sides, wrong: str) -> None:
    queries, query_labels, database, labels = sides
    report = hl.evaluate(*sides, at=(10,))
    with pytest.raises(BadInput):
        if wrong == "other images":
            report["query_digest"] = "a"
            report.compare(hl.metrics.Report({"query_digest": "b"}, report.per_query))
        elif wrong == "other queries":
            report.compare(hl.evaluate(queries[1:], query_labels[1:], database, labels, at=(10,)))
        elif wrong == "nothing in common":
            report.compare(hl.metrics.Report({}, {}))
        else:
            report.compare(report, **({"resamples": 0} if wrong == "no draws" else {"confidence": 1.0}))
