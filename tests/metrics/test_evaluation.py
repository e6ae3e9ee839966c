"""evaluate() against a brute-force evaluator that tries every order within ties, one query at a time."""

from __future__ import annotations

import importlib
import itertools
import json
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hashlens.codes import pack
from hashlens.errors import BadInput
from hashlens.metrics import code_statistics, evaluate, evaluation, mean_average_precision

Signs = NDArray[np.int8]
LabelSets = list[set[Any]]


def random_signs(count: int, bits: int, seed: int = 0) -> Signs:
    return np.random.default_rng(seed).choice(np.array([-1, 1], np.int8), (count, bits))


def tied_signs(count: int, bits: int, distinct: int = 5, seed: int = 0) -> Signs:
    """Few distinct codes that lie near each other, so that most distances tie."""
    rng = np.random.default_rng(seed)
    codes = np.where(rng.random((distinct, bits)) < 1.5 / bits, np.int8(1), np.int8(-1))
    return codes[rng.integers(distinct, size=count)]


def label_sets(labels: Any) -> LabelSets:
    array = np.asarray(labels)
    if array.ndim == 2:
        return [set(np.flatnonzero(row).tolist()) for row in array]
    return [set() if label == -1 else {label} for label in array.tolist()]


def rankings(distances: Sequence[int], hits: Sequence[bool]) -> Iterator[list[bool]]:
    """Every order of hits and misses that the distances allow, each equally likely."""
    groups = []
    for distance in sorted(set(distances)):
        group = [hit for d, hit in zip(distances, hits, strict=True) if d == distance]
        places = itertools.combinations(range(len(group)), sum(group))
        groups.append([[place in chosen for place in range(len(group))] for chosen in places])
    for parts in itertools.product(*groups):
        yield list(itertools.chain.from_iterable(parts))


def average_precision_of(ranking: Sequence[bool], k: int) -> float:
    ranks = [rank for rank, hit in enumerate(ranking[:k], start=1) if hit]
    return math.fsum(n / rank for n, rank in enumerate(ranks, start=1)) / max(1, len(ranks))


def precision_sum_of(ranking: Sequence[bool], k: int) -> float:
    return math.fsum(sum(ranking[:rank]) / rank for rank in range(1, k + 1) if ranking[rank - 1])


def gain_of(ranking: Sequence[bool], k: int) -> float:
    ideal = math.fsum(1 / math.log2(rank + 2) for rank in range(min(k, sum(ranking))))
    return math.fsum(hit / math.log2(rank + 2) for rank, hit in enumerate(ranking[:k])) / ideal if ideal else 0.0


def mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


class ByHand:
    """Distances and hits of every query, (Q, N) lists."""

    def __init__(self, queries: Signs, query_labels: Any, database: Signs, database_labels: Any) -> None:
        wanted, held = label_sets(query_labels), label_sets(database_labels)
        self.distances = [[int((query != code).sum()) for code in database] for query in queries]
        self.hits = [[bool(asked & labels) for labels in held] for asked in wanted]
        self.shared = [[len(asked & labels) for labels in held] for asked in wanted]
        self.of_label_sets = np.ndim(query_labels) == 2
        self.bits, self.size = database.shape[1], len(database)

    def rankings(self) -> Iterator[list[list[bool]]]:
        for distances, hits in zip(self.distances, self.hits, strict=True):
            yield list(rankings(distances, hits))

    def scores(self, at: Sequence[int | None]) -> dict[str, float]:
        columns: dict[str, list[float]] = {}
        for orders in self.rankings():
            for k in at:
                name, depth = ("all", self.size) if k is None else (str(k), min(k, self.size))
                scores = [average_precision_of(order, depth) for order in orders]
                hits = mean([sum(order[:depth]) for order in orders])
                found = {
                    f"mAP@{name}": mean(scores),
                    f"mAP@{name}/worst": min(scores),
                    f"mAP@{name}/best": max(scores),
                    f"ndcg@{name}": mean([gain_of(order, depth) for order in orders]),
                }
                if k is not None:
                    sums = mean([precision_sum_of(order, depth) for order in orders])
                    found |= {
                        f"mAP@{k}/min(k,R)": sums / max(1, min(depth, sum(orders[0]))),
                        f"mAP@{k}/R": sums / max(1, sum(orders[0])),
                    }
                    found |= {f"precision@{k}": hits / depth, f"recall@{k}": hits / max(1, sum(orders[0]))}
                for key, value in found.items():
                    columns.setdefault(key, []).append(value)
        return {key: mean(values) for key, values in columns.items()}

    def shared_at(self, k: int) -> float:
        """Mean over queries of the mean number of labels that the first k share, of ties each with equal weight."""
        means = []
        for distances, shared in zip(self.distances, self.shared, strict=True):
            ranks = [(sum(d < own for d in distances), distances.count(own)) for own in distances]
            weights = [min(max((k - before) / ties, 0), 1) for before, ties in ranks]
            means.append(sum(w * r for w, r in zip(weights, shared, strict=True)) / k)
        return mean(means)

    def precision_at(self, k: int) -> float:
        return mean([mean([sum(order[:k]) / k for order in orders]) for orders in self.rankings()])

    def curve_over_radius(self) -> tuple[list[float], list[float]]:
        precisions, recalls = [], []
        for radius in range(self.bits + 1):
            retrieved = [
                [hit for d, hit in zip(distances, hits, strict=True) if d <= radius]
                for distances, hits in zip(self.distances, self.hits, strict=True)
            ]
            precisions.append(mean([sum(found) / max(1, len(found)) for found in retrieved]))
            pairs = zip(retrieved, self.hits, strict=True)
            recalls.append(mean([sum(found) / max(1, sum(hits)) for found, hits in pairs]))
        return precisions, recalls

    def pairs_at(self, relevant: bool) -> list[int]:
        flat = zip(itertools.chain(*self.distances), itertools.chain(*self.hits), strict=True)
        chosen = [distance for distance, hit in flat if hit == relevant]
        return [chosen.count(level) for level in range(self.bits + 1)]


def mean_level(counts: list[int]) -> float | None:
    return sum(d * n for d, n in enumerate(counts)) / sum(counts) if sum(counts) else None


def check_report(report: dict[str, Any], by_hand: ByHand, at: Sequence[int | None]) -> None:
    scores = by_hand.scores(at)
    names = ["all" if k is None else str(k) for k in at] if by_hand.of_label_sets else []
    by_shared = [figure for k in names for figure in (f"WAP@{k}", f"ACG@{k}", f"ndcg@{k}/shared")]
    assert set(report) == {
        *scores,
        *by_shared,
        "precision@radius2",
        "curves",
        "codes",
        "queries",
        "database",
        "bits",
        "distance",
        "queries_without_relevant",
    }
    assert {key: report[key] for key in scores} == pytest.approx(scores, abs=1e-12)
    for k in at if by_hand.of_label_sets else ():
        name, depth = ("all", by_hand.size) if k is None else (str(k), min(k, by_hand.size))
        assert report[f"ACG@{name}"] == pytest.approx(by_hand.shared_at(depth), abs=1e-12)
        assert report[f"WAP@{name}"] >= report[f"mAP@{name}"] - 1e-12  # of which each hit counts as one
    check_counts(report, by_hand)

    curve = report["curves"]["precision_at_k"]
    assert curve["precision"] == pytest.approx([by_hand.precision_at(k) for k in curve["k"]], abs=1e-12)


def check_counts(report: dict[str, Any], by_hand: ByHand) -> None:
    precisions, recalls = by_hand.curve_over_radius()
    within, between = by_hand.pairs_at(True), by_hand.pairs_at(False)
    levels = list(range(by_hand.bits + 1))
    assert report["precision@radius2"] == pytest.approx(precisions[2], abs=1e-12)
    assert report["curves"]["precision_recall"]["radius"] == levels
    assert report["curves"]["precision_recall"]["precision"] == pytest.approx(precisions, abs=1e-12)
    assert report["curves"]["precision_recall"]["recall"] == pytest.approx(recalls, abs=1e-12)
    assert report["curves"]["distances"] == {"distance": levels, "relevant": within, "irrelevant": between}
    assert report["codes"]["mean_distance_relevant"] == pytest.approx(mean_level(within))
    assert report["codes"]["mean_distance_irrelevant"] == pytest.approx(mean_level(between))
    assert report["queries"] == len(by_hand.hits)
    assert report["database"] == by_hand.size
    assert report["bits"] == by_hand.bits
    assert report["queries_without_relevant"] == sum(not any(hits) for hits in by_hand.hits)
    assert json.loads(json.dumps(report)) == report


def figures(value: Any, path: str = "") -> dict[str, Any]:
    """All numbers of a report, flat, by their path."""
    if isinstance(value, dict):
        return {name: n for key, part in value.items() for name, n in figures(part, f"{path}/{key}").items()}
    if isinstance(value, list):
        return {name: n for at, part in enumerate(value) for name, n in figures(part, f"{path}/{at}").items()}
    return {path: value}


def with_class_numbers(count: int, rng: np.random.Generator) -> NDArray[Any]:
    return rng.integers(0, 4, count)


def with_gaps_and_missing(count: int, rng: np.random.Generator) -> NDArray[Any]:
    return rng.choice([-1, 3, 7, 1000], count)


def with_unsigned_numbers(count: int, rng: np.random.Generator) -> NDArray[Any]:
    return rng.integers(0, 3, count).astype(np.uint8)


def with_names(count: int, rng: np.random.Generator) -> NDArray[Any]:
    return rng.choice(["cat", "dog", "a longer name", ""], count)


def with_label_sets(count: int, rng: np.random.Generator) -> NDArray[Any]:
    return (rng.random((count, 5)) < 0.25).astype(np.int64)


def with_many_classes(count: int, rng: np.random.Generator) -> NDArray[Any]:
    labels = np.zeros((count, 130), bool)
    labels[np.arange(count), rng.choice([0, 63, 64, 129], count)] = True
    labels[:, 70] = rng.random(count) < 0.2
    return labels


KINDS = [
    with_class_numbers,
    with_gaps_and_missing,
    with_unsigned_numbers,
    with_names,
    with_label_sets,
    with_many_classes,
]


@pytest.mark.parametrize("labels", KINDS)
@pytest.mark.parametrize(("bits", "seed"), [(8, 0), (13, 1), (64, 2), (70, 3)])
def test_every_figure_by_brute_force(labels, bits: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    queries, database = tied_signs(5, bits, seed=seed), tied_signs(10, bits, seed=seed)
    query_labels, database_labels = labels(5, rng), labels(10, rng)
    at = (1, 3, None, 7, 10, 25)
    by_hand = ByHand(queries, query_labels, database, database_labels)
    check_report(evaluate(queries, query_labels, database, database_labels, at), by_hand, at)
    packed = evaluate(pack(queries), query_labels, pack(database), database_labels, at, bits=bits)
    check_report(packed, by_hand, at)
    for k in at:
        found = mean_average_precision(queries, query_labels, database, database_labels, k)
        assert found == pytest.approx(by_hand.scores([k])[f"mAP@{k or 'all'}"], abs=1e-12)


@pytest.mark.parametrize("labels", KINDS)
@pytest.mark.parametrize("bits", [16, 64, 100])
def test_counts_over_several_blocks_of_codes(labels, bits: int) -> None:
    rng = np.random.default_rng(bits)
    queries, database = random_signs(9, bits, 1), random_signs(4099, bits, 2)
    query_labels, database_labels = labels(9, rng), labels(4099, rng)
    report = evaluate(queries, query_labels, database, database_labels, (50,))
    check_counts(report, ByHand(queries, query_labels, database, database_labels))


def test_default_depths_and_their_keys() -> None:
    report = evaluate(random_signs(3, 16), [0, 1, 2], random_signs(20, 16, 1), np.arange(20) % 3)
    scores = [
        f"{score}@{k}{bound}"
        for k in ("100", "1000", "all")
        for score, bound in (("mAP", ""), ("mAP", "/worst"), ("mAP", "/best"), ("ndcg", ""))
    ]
    depths = [
        f"{score}@{k}{bound}"
        for k in ("100", "1000")
        for score, bound in (("precision", ""), ("recall", ""), ("mAP", "/min(k,R)"), ("mAP", "/R"))
    ]
    rest = ["precision@radius2", "curves", "codes", "queries", "database", "bits", "distance"]
    rest.append("queries_without_relevant")
    assert sorted(report) == sorted(scores + depths + rest)
    curves = {"precision_recall", "precision_recall_by_rank", "precision_at_k", "distances"}
    assert set(report["curves"]) == curves
    assert report["recall@100"] == 1


@pytest.mark.parametrize(
    ("size", "at", "deepest"), [(1, (5,), 1), (30, (5,), 30), (1500, (5, None), 1000), (1500, (1200,), 1200)]
)
def test_precision_curve_reaches_from_one_to_its_deepest(
    size: int, at: tuple[int | None, ...], deepest: int
) -> None:
    report = evaluate(random_signs(2, 16), [0, 1], random_signs(size, 16, 1), np.arange(size) % 2, at)
    depths = report["curves"]["precision_at_k"]["k"]
    assert (depths[0], depths[-1]) == (1, deepest)
    assert depths == sorted(set(depths))


def test_classic_values_without_ties() -> None:
    rng = np.random.default_rng(0)
    order = rng.permutation(17)
    database = np.where(np.arange(16) < order[:, None], np.int8(1), np.int8(-1))
    labels = rng.integers(0, 2, 17)
    ranking = [label == 1 for label in labels[np.argsort(order)].tolist()]
    report = evaluate(np.full((1, 16), -1), [1], database, labels, (4, None))
    for name, k in (("4", 4), ("all", 17)):
        classic = average_precision_of(ranking, k)
        assert 0 < classic < 1
        for bound in ("", "/worst", "/best"):
            assert report[f"mAP@{name}{bound}"] == pytest.approx(classic, abs=1e-14)


def test_average_precision_divides_by_the_hits_that_were_found() -> None:
    # STYLE.md, "One trap to know": hits 1, 0, 1, 0, 0 and six relevant items.
    database = np.where(np.arange(16) < np.arange(9)[:, None], np.int8(1), np.int8(-1))
    labels = [1, 0, 1, 0, 0, 1, 1, 1, 1]
    report = evaluate(np.full((1, 16), -1), [1], database, labels, (5,))
    assert report["mAP@5"] == pytest.approx((1 + 2 / 3) / 2, abs=1e-15)
    assert report["recall@5"] == pytest.approx(2 / 6)
    assert report["precision@5"] == pytest.approx(2 / 5)


def test_queries_with_nothing_to_find_count_as_zero() -> None:
    database = random_signs(6, 16)
    report = evaluate(database[:2], [0, 9], database, [0] * 6, (3, None))
    assert report["queries_without_relevant"] == 1
    for key in ("mAP@3", "mAP@3/worst", "mAP@3/best", "mAP@all", "ndcg@3", "ndcg@all", "precision@3"):
        assert report[key] == pytest.approx(0.5)
    assert report["recall@3"] == pytest.approx(3 / 6 / 2)


def test_unlabelled_items_are_relevant_to_nothing_even_to_each_other() -> None:
    codes = random_signs(4, 16)
    report = evaluate(codes, [-1] * 4, codes, [-1] * 4, (2,))
    assert report["queries_without_relevant"] == 4
    assert report["mAP@2/best"] == report["precision@radius2"] == 0
    assert report["codes"]["mean_distance_relevant"] is None
    assert json.loads(json.dumps(report)) == report


def test_precision_within_radius_two_is_zero_where_nothing_is_found() -> None:
    far = np.where(np.arange(16) < 3, np.int8(1), np.int8(-1))[None]
    near = np.where(np.arange(16) < 2, np.int8(1), np.int8(-1))[None]
    query = np.full((1, 16), -1)
    assert evaluate(query, [1], far, [1])["precision@radius2"] == 0
    assert evaluate(query, [1], near, [1])["precision@radius2"] == 1


@pytest.mark.parametrize("labels", KINDS)
def test_database_order_does_not_matter(labels) -> None:
    rng = np.random.default_rng(5)
    queries, database = tied_signs(40, 16, 12, 1), tied_signs(700, 16, 12, 2)
    query_labels, database_labels = labels(40, rng), labels(700, rng)
    at = (1, 10, 100, 650, None)
    expected = figures(evaluate(queries, query_labels, database, database_labels, at))
    for _ in range(3):
        shuffled = rng.permutation(700)
        report = evaluate(queries, query_labels, database[shuffled], database_labels[shuffled], at)
        assert figures(report) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("at_once", [1, 3, 10, 11])
def test_queries_in_several_chunks(monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    rng = np.random.default_rng(0)
    queries, database = tied_signs(10, 16, seed=1), tied_signs(60, 16, seed=2)
    data = queries, rng.integers(0, 3, 10), database, rng.integers(0, 3, 60)
    report, score = evaluate(*data, at=(5, 30, None)), mean_average_precision(*data, k=7)
    monkeypatch.setattr(evaluation, "QUERIES_AT_ONCE", at_once)
    assert figures(evaluate(*data, at=(5, 30, None))) == pytest.approx(figures(report), abs=1e-12)
    assert mean_average_precision(*data, k=7) == pytest.approx(score, abs=1e-12)


@pytest.mark.parametrize("labels", KINDS)
@pytest.mark.parametrize("at_once", [2048, 4])
def test_leave_one_out_searches_among_the_others(monkeypatch: pytest.MonkeyPatch, labels, at_once: int) -> None:
    monkeypatch.setattr(evaluation, "QUERIES_AT_ONCE", at_once)
    codes, names = tied_signs(10, 13, 4), labels(10, np.random.default_rng(3))
    for k in (1, 4, 9, 10, None):
        expected = []
        for item in range(10):
            others = np.arange(10) != item
            alone = ByHand(codes[[item]], names[[item]], codes[others], names[others])
            expected.append(alone.scores([k])[f"mAP@{k or 'all'}"])
        found = mean_average_precision(codes, names, codes, names, k, leave_one_out=True)
        assert found == pytest.approx(mean(expected), abs=1e-12)
        report = evaluate(codes, names, codes, names, [k], leave_one_out=True)
        assert report[f"mAP@{k or 'all'}"] == pytest.approx(found, abs=1e-12)
        assert report["database"] == 10


@pytest.mark.parametrize("labels", KINDS)
def test_some_items_that_are_left_out_have_the_scores_of_searching_the_others(labels) -> None:
    rng = np.random.default_rng(7)
    codes, names = tied_signs(60, 13, 6), labels(60, rng)
    some = rng.permutation(60)[:20]
    report = evaluate(codes[some], names[some], codes, names, (1, 7, 59, None), leave_one_out=True)
    for place, item in enumerate(some):
        others = np.arange(60) != item
        alone = evaluate(codes[[item]], names[[item]], codes[others], names[others], (1, 7, 59, None))
        for name in alone.figures:
            assert report.per_query[name][place] == pytest.approx(alone[name], abs=1e-12)


def test_what_is_not_in_the_database_cannot_be_left_out_of_it() -> None:
    codes = np.concatenate([CODES[:2], -CODES[2:3]])
    for labels, number in ((LABELS[:3], 2), ((LABELS[:3] + 1) % 3, 0)):
        with pytest.raises(BadInput, match=f"Query {number} is not in the database") as error:
            evaluate(codes, labels, CODES, LABELS, leave_one_out=True)
        check_sentence(error)
    with pytest.raises(BadInput, match="nothing is left") as error:
        evaluate(CODES[:1], LABELS[:1], CODES[:1], LABELS[:1], leave_one_out=True)
    check_sentence(error)


def test_names_and_numbers_give_the_same_figures() -> None:
    rng = np.random.default_rng(0)
    queries, database = random_signs(10, 16), random_signs(60, 16, 1)
    query_labels, database_labels = rng.integers(0, 12, 10), rng.integers(0, 12, 60)
    numbers = evaluate(queries, query_labels, database, database_labels)
    names = evaluate(
        queries, [f"class {n}" for n in query_labels], database, [f"class {n}" for n in database_labels]
    )
    one_hot = evaluate(queries, np.eye(12)[query_labels], database, np.eye(12)[database_labels])
    assert figures(names) == figures(numbers)
    for k in ("100", "1000", "all"):  # who has one label shares one or none
        assert one_hot.pop(f"WAP@{k}") == pytest.approx(numbers[f"mAP@{k}"])
        assert one_hot.pop(f"ndcg@{k}/shared") == pytest.approx(numbers[f"ndcg@{k}"])
        shared = one_hot.pop(f"ACG@{k}")
        assert k == "all" or shared == pytest.approx(numbers[f"precision@{k}"])
    assert figures(one_hot) == pytest.approx(figures(numbers), abs=1e-12)


def test_continuous_and_packed_codes_go_together() -> None:
    queries, database = random_signs(3, 16), random_signs(9, 16, 1)
    data = [0, 1, 2], np.arange(9) % 3
    mixed = evaluate(queries * 0.1, data[0], pack(database), data[1])
    assert figures(mixed) == figures(evaluate(queries, data[0], database, data[1]))


@pytest.mark.parametrize("bits", [8, 13, 64, 100])
@pytest.mark.parametrize("chunk", [65_536, 7])
def test_code_statistics_on_unpacked_bits(monkeypatch: pytest.MonkeyPatch, bits: int, chunk: int) -> None:
    module = importlib.import_module("hashlens.metrics.code_statistics")  # the package has a function of that name
    monkeypatch.setattr(module, "CHUNK", chunk)
    rng = np.random.default_rng(bits)
    signs = random_signs(40, bits)[rng.integers(0, 40, 200)]
    signs[:, 1] = np.where(rng.random(200) < 0.1, -signs[:, 0], signs[:, 0])
    signs[:, 5] = 1
    balance = (signs > 0).mean(0)
    changing = [bit for bit in range(bits) if bit != 5]
    correlation = np.abs(np.corrcoef(signs[:, changing].astype(float), rowvar=False))
    off_diagonal = correlation.sum() - np.trace(correlation)
    expected = {
        "distinct": len({tuple(code) for code in signs.tolist()}),
        "bit_balance": pytest.approx(balance.tolist(), abs=1e-12),
        "bit_balance_deviation": pytest.approx(np.abs(balance - 0.5).mean(), abs=1e-12),
        "bit_correlation": pytest.approx(off_diagonal / (bits * (bits - 1)), abs=1e-12),
    }
    assert code_statistics(signs) == expected
    assert code_statistics(pack(signs), bits) == expected
    report = evaluate(signs[:2], [0, 1], pack(signs), np.arange(200) % 2, bits=bits)
    assert {key: report["codes"][key] for key in expected} == expected


def test_quantization_error_is_the_mean_cosine_gap() -> None:
    continuous = np.random.default_rng(0).normal(size=(50, 24))
    cosines = [
        sum(abs(v) for v in row) / math.sqrt(sum(v * v for v in row)) / math.sqrt(24) for row in continuous.tolist()
    ]
    found = code_statistics(continuous, continuous=continuous)["quantization_error"]
    assert found == pytest.approx(1 - mean(cosines), abs=1e-12)
    assert code_statistics(continuous, continuous=np.sign(continuous))["quantization_error"] == pytest.approx(0)


CODES, LABELS = random_signs(6, 16), np.arange(6) % 3
MULTI_HOT = np.eye(3, dtype=int)[LABELS]


@pytest.mark.parametrize("judge", [evaluate, mean_average_precision])
@pytest.mark.parametrize(
    ("data", "says"),
    [
        pytest.param((CODES[:0], LABELS[:0], CODES, LABELS), "0 queries", id="no queries"),
        pytest.param((CODES, LABELS, CODES[:0], LABELS[:0]), "0 database items", id="empty database"),
        pytest.param((CODES, LABELS[:5], CODES, LABELS), "queries have 6 codes, but 5", id="missing query label"),
        pytest.param((CODES, LABELS, CODES, LABELS[:5]), "database have 6 codes, but 5", id="missing label"),
        pytest.param((CODES, LABELS, CODES, 1), "database", id="one label for all"),
        pytest.param((CODES[:, :8], LABELS, CODES, LABELS), "8 bits.* 16", id="other code length"),
        pytest.param((pack(CODES)[:, :1], LABELS, pack(CODES), LABELS), "8 bits.* 16", id="other packed length"),
        pytest.param((CODES * np.nan, LABELS, CODES, LABELS), "NaN", id="NaN"),
        pytest.param((CODES[None], LABELS, CODES, LABELS), "1, 6, 16", id="three dimensions"),
        pytest.param((CODES, LABELS, CODES, MULTI_HOT), "do not go together", id="classes and multi-hot"),
        pytest.param((CODES, MULTI_HOT, CODES, LABELS), "do not go together", id="multi-hot and classes"),
        pytest.param((CODES, MULTI_HOT[:, :2], CODES, MULTI_HOT), "2 label columns", id="label columns"),
        pytest.param((CODES, MULTI_HOT[None].repeat(6, 0), CODES, MULTI_HOT), "together", id="3-D labels"),
        pytest.param((CODES, LABELS * 1.0, CODES, LABELS), "real numbers", id="real query labels"),
        pytest.param((CODES, LABELS, CODES, LABELS * 1.0), "real numbers", id="real labels"),
        pytest.param((CODES, LABELS, CODES, LABELS.astype(str)), "labels", id="numbers and names"),
        pytest.param((CODES, LABELS.astype(str), CODES, LABELS), "labels", id="names and numbers"),
    ],
)
def test_wrong_input_is_refused_in_a_sentence(judge, data: tuple[Any, ...], says: str) -> None:
    with pytest.raises(BadInput, match=says) as error:
        judge(*data)
    check_sentence(error)


@pytest.mark.parametrize("bits", [1, 2, 7])
def test_codes_shorter_than_an_index_takes_can_be_judged(bits: int) -> None:
    codes = random_signs(6, bits)
    report = evaluate(codes, LABELS, codes, LABELS, at=(3, None))
    assert report["mAP@all"] == pytest.approx(mean_average_precision(codes, LABELS, codes, LABELS))
    assert report["precision@radius2"] <= 1


@pytest.mark.parametrize("depth", [0, -5, 2.5])
def test_wrong_depths_are_refused_in_a_sentence(depth: float) -> None:
    with pytest.raises(BadInput, match=str(depth)) as error:
        evaluate(CODES, LABELS, CODES, LABELS, at=(10, depth))
    check_sentence(error)
    with pytest.raises(BadInput, match=str(depth)) as error:
        mean_average_precision(CODES, LABELS, CODES, LABELS, k=depth)
    check_sentence(error)


def check_sentence(error: pytest.ExceptionInfo[BadInput]) -> None:
    text = str(error.value)
    assert text.endswith(".")
    assert ". " not in text
    assert "\n" not in text
