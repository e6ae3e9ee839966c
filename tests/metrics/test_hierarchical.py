"""Hierarchical metrics against enumeration of every order that ties allow."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from hashlens.classes import Taxonomy
from hashlens.errors import BadInput
from hashlens.metrics import evaluate
from objectives.references import best_matches


def random_distances(classes: int, seed: int) -> np.ndarray:
    distances = np.random.default_rng(seed).random((classes, classes))
    distances = (distances + distances.T) / 2
    np.fill_diagonal(distances, 0)
    return distances


def enumerate_orders(distances: np.ndarray) -> list[list[int]]:
    groups = [np.flatnonzero(distances == level) for level in np.unique(distances)]
    orders = itertools.product(*(itertools.permutations(group.tolist()) for group in groups))
    return [list(itertools.chain(*parts)) for parts in orders]


def by_enumeration(queries, query_labels, database, database_labels, class_distances, k):
    """HP@k and AHP@k as their definitions say, averaged over all orders and then over queries."""
    precisions, averages = [], []
    for code, label in zip(queries, query_labels, strict=True):
        similarity = 1 - class_distances[label][database_labels]
        best = np.cumsum(np.sort(similarity)[::-1])
        curves = [
            (np.cumsum(similarity[order]) / best)[:k] for order in enumerate_orders((code != database).sum(1))
        ]
        precisions.append(np.mean([curve[-1] for curve in curves]))
        averages.append(np.mean([np.trapezoid(curve, dx=1 / k) for curve in curves]))
    return np.mean(precisions), np.mean(averages)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("bits", [9, 70])
def test_expectation_over_every_order_of_ties(seed: int, bits: int) -> None:
    rng = np.random.default_rng(seed)
    queries, database = np.ones((3, bits), np.int8), np.ones((7, bits), np.int8)
    queries[:, -2:] = rng.choice([-1, 1], (3, 2))
    database[:, -2:] = rng.choice([-1, 1], (7, 2))
    query_labels, database_labels = rng.integers(0, 4, 3), rng.integers(0, 4, 7)
    class_distances = random_distances(4, seed)
    report = evaluate(
        queries, query_labels, database, database_labels, at=(1, 5, 3, None), taxonomy=class_distances
    )
    for k, name in ((1, "1"), (3, "3"), (5, "5"), (7, "all")):
        expected = by_enumeration(queries, query_labels, database, database_labels, class_distances, k)
        assert (report[f"HP@{name}"], report[f"mAHP@{name}"]) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_label_sets_over_every_order_of_ties(seed: int) -> None:
    rng = np.random.default_rng(seed)
    codes = np.ones((10, 9), np.int8)
    codes[:, -2:] = rng.choice([-1, 1], (10, 2))
    marks, class_distances = rng.random((10, 3)) < 0.5, random_distances(3, seed)
    marks[:, 0] |= ~marks.any(1)
    sets = [set(np.flatnonzero(row).tolist()) for row in marks]
    of_sets = np.array([[best_matches(a, b, class_distances.tolist()) for b in sets] for a in sets])
    report = evaluate(codes[:3], marks[:3], codes[3:], marks[3:], at=(1, 4, None), taxonomy=class_distances)
    for k, name in ((1, "1"), (4, "4"), (7, "all")):
        expected = by_enumeration(codes[:3], np.arange(3), codes[3:], np.arange(3, 10), of_sets, k)
        assert (report[f"HP@{name}"], report[f"mAHP@{name}"]) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("kind", ["all items", "some items"])
def test_an_item_that_is_left_out_is_missing_from_the_best_order_too(kind: str) -> None:
    rng = np.random.default_rng(1)
    codes = np.ones((12, 9), np.int8)
    codes[:, :3] = rng.choice([-1, 1], (12, 3))
    labels, class_distances = rng.integers(-1, 4, 12), random_distances(4, 1)
    some = np.arange(12) if kind == "all items" else np.array([7, 2, 9])
    report = evaluate(
        codes[some], labels[some], codes, labels, (1, 5, None), taxonomy=class_distances, leave_one_out=True
    )
    for place, item in enumerate(some):
        rest = np.arange(12) != item
        alone = evaluate(
            codes[[item]], labels[[item]], codes[rest], labels[rest], (1, 5, None), taxonomy=class_distances
        )
        for name in alone.figures:
            assert report.per_query[name][place] == pytest.approx(alone[name], abs=1e-12)


def test_worked_example() -> None:
    # The query is of class 0; its ranking is class 1 (similarity 0.5), class 0, class 2 (similarity 0).
    query = np.ones((1, 8), np.int8)
    database = np.ones((3, 8), np.int8)
    database[1, :1] = -1
    database[2, :2] = -1
    class_distances = np.array([[0, 0.5, 1], [0.5, 0, 1], [1, 1, 0]])
    report = evaluate(query, [0], database, [1, 0, 2], at=(1, 2, 3), taxonomy=class_distances)
    assert report["HP@1"] == pytest.approx(0.5)  # 0.5 of the possible 1
    assert report["HP@2"] == pytest.approx(1)  # 1.5 of 1.5
    assert report["mAHP@2"] == pytest.approx((0.5 + 1) / 2 / 2)
    assert report["mAHP@3"] == pytest.approx(((0.5 + 1) / 2 + (1 + 1) / 2) / 3)


def test_items_without_label_are_similar_to_nothing() -> None:
    rng = np.random.default_rng(0)
    queries, database = rng.choice([-1, 1], (4, 16)), rng.choice([-1, 1], (40, 16))
    labels = rng.integers(0, 3, 40)
    report = evaluate(
        queries, [0, 1, 2, 0], np.concatenate([database, queries]), [*labels, -1, -1, -1, -1], at=(5,),
        taxonomy=random_distances(3, 0),
    )  # fmt: skip
    alone = evaluate(queries, [0, 1, 2, 0], database, labels, at=(5,), taxonomy=random_distances(3, 0))
    assert report["HP@5"] < alone["HP@5"]
    unlabelled = evaluate(queries, [-1] * 4, database, labels, at=(5,), taxonomy=random_distances(3, 0))
    assert unlabelled["HP@5"] == unlabelled["mAHP@5"] == 0


def test_no_hierarchical_figures_without_taxonomy() -> None:
    codes = np.eye(8, dtype=np.int8)
    assert not [name for name in evaluate(codes, range(8), codes, range(8)) if "HP" in name]


@pytest.mark.parametrize(
    ("class_distances", "labels", "says"),
    [
        (np.zeros((2, 3)), [0, 1], r"\(2, 3\)"),
        (np.full((2, 2), np.nan), [0, 1], "NaN"),
        (np.array([[0, 2], [2, 0]]), [0, 1], "between 0"),
        (np.array([[0, 0.2], [0.3, 0]]), [0, 1], "symmetric"),
        (np.array([[0.1, 0.2], [0.2, 0]]), [0, 1], "diagonal"),
        (np.array([[0, 0.2], [0.2, 0]]), [0, 2], "2 classes"),
        (np.array([[0, 0.2], [0.2, 0]]), ["a", "b"], "names"),
        (np.array([[0, 0.2], [0.2, 0]]), [[0, 1, 0], [1, 0, 0]], "3 columns"),
    ],
)
def test_wrong_taxonomies_are_refused(class_distances, labels, says: str) -> None:
    codes = np.array([[1] * 8, [-1] * 8])
    with pytest.raises(BadInput, match=says):
        evaluate(codes, labels, codes, labels, taxonomy=class_distances)


def by_rank(queries, query_labels, database, database_labels, similarity, k):
    """HP@k and AHP@k from the expected gain of every rank, which within ties is the mean of the group."""
    precisions, averages = [], []
    for code, label in zip(queries, query_labels, strict=True):
        gains = similarity[label][database_labels]
        distances = (code != database).sum(1)
        expected = np.empty(len(database))
        start = 0
        for level in np.unique(distances):
            group = distances == level
            expected[start : start + group.sum()] = gains[group].mean()
            start += group.sum()
        curve = (np.cumsum(expected) / np.cumsum(np.sort(gains)[::-1]))[:k]
        precisions.append(curve[-1])
        averages.append(np.trapezoid(curve, dx=1 / k))
    return np.mean(precisions), np.mean(averages)


@pytest.mark.parametrize("size", [300, 5000])
@pytest.mark.parametrize("smallest", [0.0, 1e-9, 1e-5, 0.2])
def test_long_rankings_are_summed_exactly(size: int, smallest: float) -> None:
    rng = np.random.default_rng(size)
    queries, database = rng.choice([-1, 1], (4, 8)), rng.choice([-1, 1], (size, 8))
    query_labels, database_labels = rng.integers(0, 5, 4), rng.integers(0, 5, size)
    similarity = smallest + (1 - smallest) * (1 - random_distances(5, 3))
    similarity[:, 4] = similarity[4] = smallest
    np.fill_diagonal(similarity, 1)
    depths = (2, 17, 250, size)
    report = evaluate(queries, query_labels, database, database_labels, at=depths, taxonomy=1 - similarity)
    for k in depths:
        expected = by_rank(queries, query_labels, database, database_labels, similarity, k)
        assert (report[f"HP@{k}"], report[f"mAHP@{k}"]) == pytest.approx(expected, rel=1e-9)
    curve = report["curves"]["hierarchical_precision_at_k"]
    for k, found in zip(curve["k"], curve["similarity"], strict=True):
        expected = by_rank(queries, query_labels, database, database_labels, similarity, k)[0]
        assert found == pytest.approx(expected, rel=1e-9)


TREE = Taxonomy.from_edges([("animal", "cat"), ("animal", "dog"), ("thing", "animal"), ("thing", "car")])
NAMES = ["car", "dog", "cat"]


def test_a_taxonomy_gives_both_kinds_of_similarity() -> None:
    rng = np.random.default_rng(1)
    queries, database = rng.choice([-1, 1], (5, 16)), rng.choice([-1, 1], (60, 16))
    query_labels, database_labels = rng.integers(0, 3, 5), rng.integers(0, 3, 60)
    report = evaluate(queries, query_labels, database, database_labels, taxonomy=TREE, classes=NAMES)
    assert [name for name in report if name.startswith("mAHP")] == [
        f"mAHP@{k}{kind}" for kind in ("", "/wup") for k in (100, 250, 1000, "all")
    ]
    height = np.array([[1, 0, 0], [0, 1, 0.5], [0, 0.5, 1]])  # car, dog, cat
    wu_palmer = np.array([[1, 2 / 5, 2 / 5], [2 / 5, 1, 4 / 6], [2 / 5, 4 / 6, 1]])
    for similarity, suffix in ((height, ""), (wu_palmer, "/wup")):
        expected = by_rank(queries, query_labels, database, database_labels, similarity, 60)
        assert (report[f"HP@250{suffix}"], report[f"mAHP@all{suffix}"]) == pytest.approx(expected, rel=1e-12)
    names = np.array(NAMES)
    by_name = evaluate(queries, names[query_labels], database, names[database_labels], taxonomy=TREE)
    hierarchical = {name: value for name, value in report.items() if "HP@" in name}
    assert {name: by_name[name] for name in hierarchical} == pytest.approx(hierarchical, rel=1e-12)
    in_their_order = evaluate(
        queries, names[query_labels], database, names[database_labels], taxonomy=1 - height, classes=NAMES
    )
    assert in_their_order["mAHP@all"] == pytest.approx(report["mAHP@all"], rel=1e-12)


@pytest.mark.parametrize(
    ("labels", "options", "says"),
    [
        ([0, 1], {"taxonomy": TREE}, "names"),
        ([0, 1], {"taxonomy": TREE, "classes": ["car", "bus"]}, "'bus'"),
        ([0, 5], {"taxonomy": TREE, "classes": NAMES}, "3 classes"),
        (["car", "bus"], {"taxonomy": TREE}, "'bus'"),
        (["car", "bus"], {"taxonomy": TREE, "classes": NAMES}, "'bus'"),
        ([0, 1], {"taxonomy": np.zeros((2, 2)), "classes": NAMES}, "2 classes"),
        ([0, 1], {"taxonomy": "missing.csv", "classes": NAMES}, "missing.csv"),
        ([0, 1], {"taxonomy": "missing.npy", "classes": NAMES}, "missing.npy"),
    ],
)
def test_classes_that_do_not_fit_the_taxonomy_are_refused(labels, options, says: str) -> None:
    codes = np.array([[1] * 8, [-1] * 8])
    with pytest.raises(BadInput, match=says):
        evaluate(codes, labels, codes, labels, **options)
