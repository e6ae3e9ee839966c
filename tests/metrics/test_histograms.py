"""Counts of distances against relevance, over sizes at which codes are paired, merged or neither."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from hashlens.codes import pack
from hashlens.metrics.hierarchical import hierarchical_scores
from hashlens.metrics.histograms import Comparison
from hashlens.metrics.relevance import relevance


def random_codes(count: int, bits: int, distinct: int, seed: int = 0) -> NDArray[np.bool_]:
    rng = np.random.default_rng(seed)
    return (rng.random((distinct, bits)) > 0.5)[rng.integers(distinct, size=count)]


def by_hand(queries, database, relevant: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    levels = queries.shape[1] + 1
    distances = [(query != database).sum(1) for query in queries]
    totals = [np.bincount(row, minlength=levels) for row in distances]
    hits = [np.bincount(row[mask], minlength=levels) for row, mask in zip(distances, relevant, strict=True)]
    return np.array(totals), np.array(hits)


@pytest.mark.parametrize("bits", [5, 8, 16, 64, 100, 255, 256, 300])
@pytest.mark.parametrize("count", [1, 63, 3000, 70_001])
@pytest.mark.parametrize("collapsed", [0, 0.6, 1], ids=["spread", "mixed", "collapsed"])
def test_same_class(bits: int, count: int, collapsed: float) -> None:
    rng = np.random.default_rng(bits)
    database, queries = random_codes(count, bits, count), random_codes(5, bits, 5, 1)
    few = rng.permutation(count)[: round(collapsed * count)]
    database[few] = random_codes(len(few), bits, 20, 2)
    labels, query_labels = np.minimum(rng.integers(-1, 6, count), 2), np.array([-1, 0, 1, 2, 9])
    counts = Comparison(pack(queries), pack(database), bits, relevance(query_labels, labels)).histograms(0, 5)
    relevant = (query_labels[:, None] == labels) & (labels >= 0)
    for ours, theirs in zip(counts, by_hand(queries, database, relevant), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_no_counter_overflows_where_all_codes_are_at_one_distance() -> None:
    rng = np.random.default_rng(0)
    database = rng.permuted(np.tile(np.arange(64) < 32, (200_000, 1)), axis=1)
    queries, labels = np.zeros((2, 64), bool), np.zeros(200_000, int)
    totals, relevants = Comparison(pack(queries), pack(database), 64, relevance([0, 1], labels)).histograms(0, 2)
    assert (totals[:, 32] == 200_000).all()
    assert relevants[:, 32].tolist() == [200_000, 0]
    assert totals.sum() == 400_000


@pytest.mark.parametrize("bits", [5, 64, 255, 256])
@pytest.mark.parametrize("count", [1, 65, 5000])
@pytest.mark.parametrize("distinct", [20, 10**5], ids=["collapsed", "spread"])
@pytest.mark.parametrize("classes", [3, 70])
def test_shared_labels(bits: int, count: int, distinct: int, classes: int) -> None:
    rng = np.random.default_rng(bits)
    database, queries = random_codes(count, bits, min(distinct, count)), random_codes(4, bits, 4, 1)
    labels, query_labels = rng.random((count, classes)) < 2.5 / classes, rng.random((4, classes)) < 2.5 / classes
    compared = Comparison(pack(queries), pack(database), bits, relevance(query_labels, labels))
    counts, by_shared = compared.histograms(0, 4), compared.shared_histograms(1, 4)
    shared = (query_labels[:, None] & labels).sum(2)
    for ours, theirs in zip(counts, by_hand(queries, database, shared > 0), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert compared.most_shared == max(1, query_labels.sum(1).max())
    for number in range(compared.most_shared + 1):
        wanted = by_hand(queries[1:], database, shared[1:] == number)[1]
        np.testing.assert_array_equal(by_shared[..., number], wanted)


@pytest.mark.parametrize(
    ("dtype", "least", "most"),
    [
        (np.int8, -128, 127),
        (np.uint8, 0, 255),
        (np.int16, -(2**15), 2**15 - 1),
        (np.int32, -5, 70_000),
        (np.int64, -(2**63), 2**63 - 1),
        (np.uint64, 2**63, 2**63 + 100),
    ],
)
def test_labels_of_any_integer_type_and_range(dtype: type, least: int, most: int) -> None:
    rng = np.random.default_rng(0)
    labels = rng.permutation(np.array([least, most] * 4 + [least + 1, most - 1] * 3, dtype))
    queries = np.array([least, least + 1, most - 1, most], dtype)
    compared = Comparison(np.zeros((4, 1), np.uint8), np.zeros((14, 1), np.uint8), 8, relevance(queries, labels))
    assert compared.histograms(0, 4)[1][:, 0].tolist() == [4, 3, 3, 4]


def test_some_of_the_queries() -> None:
    database, queries = random_codes(500, 32, 500), random_codes(30, 32, 30, 1)
    labels, query_labels = np.arange(500) % 7, np.arange(30) % 7
    compared = Comparison(pack(queries), pack(database), 32, relevance(query_labels, labels))
    whole, part = compared.histograms(0, 30), compared.histograms(11, 23)
    for every, some in zip(whole, part, strict=True):
        np.testing.assert_array_equal(every[11:23], some)


@pytest.mark.parametrize("bits", [16, 64, 256])
def test_hierarchical_scores_do_not_depend_on_merging_equal_codes(bits: int) -> None:
    rng = np.random.default_rng(0)
    database, queries = random_codes(4000, bits, 30), random_codes(6, bits, 6, 1)
    labels, query_labels = rng.integers(-1, 5, 4000), rng.integers(0, 5, 6)
    similarity = rng.random((1, 5, 5))
    depths = np.array([250, 4000])
    scores = hierarchical_scores(pack(queries), query_labels, pack(database), labels, bits, similarity, depths)
    parts = [
        hierarchical_scores(
            pack(queries[i : i + 1]), query_labels[i : i + 1], pack(database), labels, bits, similarity, depths
        )
        for i in range(6)
    ]
    np.testing.assert_allclose(scores.precision, np.mean([part.precision for part in parts], axis=0))
    for q in range(6):
        distances = (queries[q] != database).sum(1)
        gains = np.where(labels >= 0, similarity[0, query_labels[q], labels], 0)
        best = np.sort(gains)[::-1].cumsum()
        for place, depth in enumerate(depths):
            expected = 0.0
            for level in range(bits + 1):
                group, before = gains[distances == level], (distances < level).sum()
                taken = min(max(depth - before, 0), len(group))
                expected += group.mean() * taken if taken else 0
            np.testing.assert_allclose(parts[q].precision[0, place], expected / best[depth - 1])
