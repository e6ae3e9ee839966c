"""Instance retrieval against the definition of the revisited benchmarks, one ranking at a time."""

from __future__ import annotations

import json

import numpy as np
import pytest
from metric_references import orders

from hashlens.codes import pack
from hashlens.errors import BadInput
from hashlens.metrics import GroundTruth, evaluate_instances, read_ground_truth
from refusals import is_one_sentence

RELEVANT = {"easy": ["easy"], "medium": ["easy", "hard"], "hard": ["hard"]}


def by_definition(hits: list[int], depths: tuple[int, ...]) -> list[float]:
    """AP by trapezoids, and the precisions, of one ranking from which junk is gone."""
    places = [place for place, hit in enumerate(hits) if hit]  # from 0
    area = 0.0
    for found, place in enumerate(places):
        before = 1.0 if place == 0 else found / place
        after = (found + 1) / (place + 1)
        area += (before + after) / 2 / len(places)
    cuts = [min(places[-1] + 1, k) for k in depths]
    return [area, *(sum(hits[:cut]) / cut for cut in cuts)]


def random_truth(rng: np.random.Generator, queries: int, size: int) -> GroundTruth:
    kinds = rng.choice(4, (queries, size), p=[0.15, 0.1, 0.15, 0.6])
    easy, hard, junk = (tuple(np.flatnonzero(row == kind) for row in kinds) for kind in range(3))
    return GroundTruth(easy, hard, junk)


def lists_of(truth: GroundTruth, query: int) -> dict[str, set[int]]:
    return {name: set(getattr(truth, name)[query].tolist()) for name in ("easy", "hard", "junk")}


def test_features_without_ties_give_what_the_definition_does() -> None:
    rng = np.random.default_rng(0)
    queries, database = rng.normal(size=(12, 6)).astype(np.float32), rng.normal(size=(80, 6)).astype(np.float32)
    truth = random_truth(rng, 12, 80)
    depths = (1, 5, 10, 60)
    report = evaluate_instances(queries, database, truth, by="features", at=depths)
    for query in range(12):
        cosines = [float(np.dot(queries[query], item) / np.linalg.norm(item)) for item in database.astype(float)]
        lists = lists_of(truth, query)
        for protocol, wanted in RELEVANT.items():
            relevant = set().union(*(lists[name] for name in wanted))
            junk = set().union(*(lists[name] for name in lists if name not in wanted))
            ranking = [item for item in sorted(range(80), key=lambda item: -cosines[item]) if item not in junk]
            expected = by_definition([item in relevant for item in ranking], depths)
            names = [f"mAP/{protocol}", *(f"mP@{k}/{protocol}" for k in depths)]
            assert [report.per_query[name][query] for name in names] == pytest.approx(expected, abs=1e-12)
    for name, values in report.per_query.items():
        assert report[name] == pytest.approx(values.mean())


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("packed", [False, True])
def test_codes_that_tie_give_the_mean_over_every_order(seed: int, packed: bool) -> None:
    rng = np.random.default_rng(seed)
    queries, database = np.ones((3, 9), np.int8), np.ones((8, 9), np.int8)
    database[:, :2] = rng.choice([-1, 1], (8, 2))
    truth = random_truth(rng, 3, 8)
    depths = (1, 2, 4, 7, 20)
    sides = (pack(queries), pack(database)) if packed else (queries, database)
    report = evaluate_instances(*sides, truth, at=depths, bits=9 if packed else None)
    for query in range(3):
        lists = lists_of(truth, query)
        apart = (queries[query] != database).sum(1)
        for protocol, wanted in RELEVANT.items():
            relevant = set().union(*(lists[name] for name in wanted))
            names = [f"mAP/{protocol}", *(f"mP@{k}/{protocol}" for k in depths)]
            if not relevant:
                assert all(np.isnan(report.per_query[name][query]) for name in names if name in report.per_query)
                continue
            junk = set().union(*(lists[name] for name in lists if name not in wanted))
            groups = [
                (level, [float(i in relevant) for i in np.flatnonzero(apart == level).tolist() if i not in junk])
                for level in range(10)
            ]
            every = [by_definition([int(hit) for _, hit in order], depths) for order in orders(groups)]
            found = [report.per_query[name][query] for name in names]
            assert found == pytest.approx(np.mean(every, axis=0).tolist(), abs=1e-12)


def test_queries_with_nothing_to_find_do_not_count() -> None:
    none, one = np.array([], np.int64), np.array([1])
    truth = GroundTruth(easy=(one, none), hard=(none, none), junk=(none, one))
    database = np.array([[1.0, 0.0], [0.0, 1.0]])
    report = evaluate_instances(database, database, truth, by="features")
    assert report["mAP/easy"] == report["mAP/medium"] == 0.25
    assert "mAP/hard" not in report
    assert report["queries_without_relevant"] == {"easy": 1, "medium": 1, "hard": 2}
    assert report.compare(report)["mAP/easy"].mean == 0
    better = evaluate_instances(-database, database, truth, by="features").compare(report)["mAP/easy"]
    assert (better.mean, better.low, better.high) == (0.75, 0.75, 0.75)


GOOD = {"gnd": [{"easy": [0], "hard": [2], "junk": [1], "bbx": [0, 0, 5, 5]}], "imlist": ["a", "b", "c"]}


def test_a_file_in_the_revisited_layout_is_read(tmp_path) -> None:
    path = tmp_path / "gnd.json"
    path.write_text(json.dumps(GOOD | {"qimlist": ["q"]}))
    truth = read_ground_truth(path)
    assert (truth.query_names, truth.database_names, truth.boxes) == (("q",), ("a", "b", "c"), 1)
    path.write_text(json.dumps(GOOD["gnd"]))
    assert [lists_of(read_ground_truth(path), 0)] == [{"easy": {0}, "hard": {2}, "junk": {1}}]


@pytest.mark.parametrize(
    "content",
    [
        b"\x80\x04\x95pickle",
        b"{",
        b"[" * 100_000,
        b"{}",
        b"3",
        b'{"gnd": []}',
        b'{"gnd": [{"ok": [1]}]}',
        b'{"gnd": [{"easy": [-1]}]}',
        b'{"gnd": [{"easy": [true]}]}',
        b'{"gnd": [{"easy": [1.5]}]}',
        b'{"gnd": [{"easy": [1], "junk": [1]}]}',
        b'{"gnd": [{"easy": [1]}], "imlist": ["a"]}',
        b'{"gnd": [{"easy": [1]}], "qimlist": ["a", "b"]}',
        b'{"gnd": [{"easy": [1]}], "imlist": 5}',
    ],
)
def test_what_is_no_ground_truth_is_refused(tmp_path, content: bytes) -> None:
    path = tmp_path / "gnd.json"
    path.write_bytes(content)
    with pytest.raises(BadInput) as error:
        read_ground_truth(path)
    assert is_one_sentence(error)
    with pytest.raises(BadInput):
        read_ground_truth(tmp_path / "nothing.json")


@pytest.mark.parametrize("wrong", ["queries", "item", "bits", "features", "ranking", "depth"])
def test_what_does_not_go_together_is_refused(wrong: str) -> None:
    truth = GroundTruth(easy=(np.array([1]),), hard=(np.array([4]),), junk=(np.array([0]),))
    queries, database, options = np.ones((1, 8)), np.ones((5, 8)), {}
    if wrong == "queries":
        queries = np.ones((2, 8))
    elif wrong == "item":
        database = database[:4]
    elif wrong in ("bits", "features"):
        database = np.ones((5, 9))
        options["by"] = "codes" if wrong == "bits" else wrong
    else:
        options |= {"by": "chance"} if wrong == "ranking" else {"at": (0,)}
    with pytest.raises(BadInput) as error:
        evaluate_instances(queries, database, truth, **options)
    assert is_one_sentence(error)
