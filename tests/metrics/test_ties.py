"""Scores of tied rankings against every order that the ties allow, and against exact path counting."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hashlens.metrics.ties import (
    FEW_TERMS,
    LEAST_START,
    average_precision,
    consecutive_hits,
    expected_group_sum,
    expected_hits,
    normalized_discounted_gain,
    reciprocal_sums,
)

Ranking = tuple[bool, ...]
Groups = list[tuple[int, int]]  # (items, relevant items) at each distance, nearest first

SMALL_GROUPS = st.lists(
    st.integers(0, 5).flatmap(lambda size: st.tuples(st.just(size), st.integers(0, size))), min_size=1, max_size=5
).filter(lambda groups: sum(size for size, _ in groups) <= 10)


def rankings(groups: Groups) -> Iterator[Ranking]:
    """Every order of hits and misses; all are equally likely when ties fall at random."""
    orders = [
        [tuple(at in hits for at in range(size)) for hits in itertools.combinations(range(size), relevant)]
        for size, relevant in groups
    ]
    for parts in itertools.product(*orders):
        yield tuple(itertools.chain.from_iterable(parts))


def average_precision_of(ranking: Sequence[bool], k: int) -> Fraction:
    hits, total = 0, Fraction(0)
    for rank, hit in enumerate(ranking[:k], start=1):
        if hit:
            hits += 1
            total += Fraction(hits, rank)
    return total / hits if hits else Fraction(0)


def discounted_gain_of(ranking: Sequence[bool], k: int) -> float:
    gain = math.fsum(hit / math.log2(rank + 1) for rank, hit in enumerate(ranking[:k], start=1))
    ideal = math.fsum(1 / math.log2(rank + 1) for rank in range(1, min(k, sum(ranking)) + 1))
    return gain / ideal if ideal else 0.0


def expectation_by_paths(groups: Groups, k: int) -> Fraction:
    """Expected AP@k, walking all orders at once: those with equally many hits so far share a state."""
    states = {0: (1, Fraction(0))}  # hits so far: number of orders, sum of their Σ rel·P
    rank = 0
    for size, relevant in groups:
        before = {hits: state for hits, state in states.items() if state[0]}
        (first,) = before
        inside = min(size, k - rank)
        for _ in range(inside):
            rank += 1
            longer: dict[int, tuple[int, Fraction]] = {}
            for hits, (orders, total) in states.items():
                for now in (hits, hits + 1):
                    if now - first <= relevant:
                        gained = orders * Fraction(now, rank) if now > hits else 0
                        known = longer.get(now, (0, Fraction(0)))
                        longer[now] = (known[0] + orders, known[1] + total + gained)
            states = longer
        completions = {hits: math.comb(size - inside, relevant - (hits - first)) for hits in states}
        states = {hits: (n * completions[hits], s * completions[hits]) for hits, (n, s) in states.items()}
        if rank == k:
            break
        states = {hits: state for hits, state in states.items() if hits == first + relevant}
    orders = sum(n for n, _ in states.values())
    return sum((total / hits for hits, (_, total) in states.items() if hits), Fraction(0)) / orders


def extremes_by_position(groups: Groups, k: int) -> tuple[Fraction, Fraction]:
    """Worst and best AP@k: hits last or first in each group, any possible number of them inside a cut."""
    scores: dict[bool, list[Fraction]] = {}
    for hits_last in (True, False):
        rankings: list[list[bool]] = [[]]
        for size, relevant in groups:
            (head,) = rankings
            inside = min(size, k - len(head))
            possible = range(max(0, inside - (size - relevant)), min(inside, relevant) + 1)
            blocks = [sorted([True] * hits + [False] * (inside - hits), reverse=not hits_last) for hits in possible]
            rankings = [head + block for block in blocks]
            if len(rankings[0]) == k:
                break
        scores[hits_last] = [average_precision_of(ranking, k) for ranking in rankings]
    return min(scores[True]), max(scores[False])


def counts(groups: Groups) -> tuple[np.ndarray, np.ndarray]:
    totals, relevants = np.array(groups, np.int64).T.copy()
    return totals, relevants


def cumulative_discounts(size: int) -> np.ndarray:
    return np.array([math.fsum(1 / math.log2(j + 1) for j in range(1, i + 1)) for i in range(size + 2)])


@settings(deadline=None, max_examples=120)
@given(SMALL_GROUPS)
def test_average_precision_over_all_orders(groups: Groups) -> None:
    orders = list(rankings(groups))
    for k in range(1, sum(size for size, _ in groups) + 2):
        scores = [average_precision_of(order, k) for order in orders]
        expected = sum(scores, Fraction(0)) / len(scores)
        found = average_precision(*counts(groups), k)
        assert found == pytest.approx((float(expected), float(min(scores)), float(max(scores))), abs=1e-13)


@settings(deadline=None, max_examples=60)
@given(SMALL_GROUPS)
def test_path_counting_equals_enumeration(groups: Groups) -> None:
    orders = list(rankings(groups))
    size = sum(size for size, _ in groups)
    for k in {1, max(1, size // 2), max(1, size)}:
        scores = [average_precision_of(order, k) for order in orders]
        assert expectation_by_paths(groups, k) == sum(scores, Fraction(0)) / len(scores)
        assert extremes_by_position(groups, k) == (min(scores), max(scores))


@settings(deadline=None, max_examples=80)
@given(SMALL_GROUPS)
def test_gain_and_hits_over_all_orders(groups: Groups) -> None:
    orders = list(rankings(groups))
    size = sum(size for size, _ in groups)
    discounts = cumulative_discounts(size)
    for k in range(1, size + 2):
        gains = [discounted_gain_of(order, k) for order in orders]
        hits = [sum(order[:k]) for order in orders]
        found = normalized_discounted_gain(*counts(groups), k, discounts)
        assert found == pytest.approx(math.fsum(gains) / len(gains), abs=1e-13)
        assert expected_hits(*counts(groups), k) == pytest.approx((sum(hits) / len(hits), min(k, size)), abs=1e-13)


def test_worked_example() -> None:
    # Orders: hit miss | hit and miss hit | hit.
    totals, relevants = counts([(2, 1), (1, 1)])
    assert average_precision(totals, relevants, 1) == pytest.approx((1 / 2, 0, 1))
    assert average_precision(totals, relevants, 2) == pytest.approx((3 / 4, 1 / 2, 1))
    assert average_precision(totals, relevants, 3) == pytest.approx((17 / 24, 7 / 12, 5 / 6))
    assert average_precision(totals, relevants, 10**9) == pytest.approx((17 / 24, 7 / 12, 5 / 6))


def test_a_late_hit_can_be_the_worst_case() -> None:
    totals, relevants = counts([(1, 1), (10, 0), (2, 1)])
    assert average_precision(totals, relevants, 12) == pytest.approx((19 / 24, 7 / 12, 1))


def test_without_relevant_items_every_score_is_zero() -> None:
    totals, relevants = counts([(3, 0), (0, 0), (200, 0)])
    for k in (1, 3, 100, 203, 204):
        assert average_precision(totals, relevants, k) == (0, 0, 0)
        assert normalized_discounted_gain(totals, relevants, k, cumulative_discounts(203)) == 0
        assert expected_hits(totals, relevants, k) == (0, min(k, 203))


@pytest.mark.parametrize(
    ("groups", "depths"),
    [
        pytest.param([(30, 7), (200, 60), (50, 11)], (29, 30, 31, 94, 95, 160, 229, 230, 231, 280), id="mixed"),
        pytest.param([(200, 100)], (1, 2, 64, 65, 100, 199, 200), id="one group"),
        pytest.param([(20, 0), (200, 1)], (21, 120, 219), id="one relevant"),
        pytest.param([(20, 3), (200, 199), (5, 5)], (21, 120, 219, 222), id="one irrelevant"),
        pytest.param([(20, 3), (200, 200)], (21, 120), id="all relevant"),
        pytest.param([(5, 1), (1500, 40)], (800,), id="long and sparse"),
        pytest.param([(700, 650)], (350,), id="long and dense"),
    ],
)
def test_cut_in_a_large_group(groups: Groups, depths: tuple[int, ...]) -> None:
    for k in depths:
        expected = float(expectation_by_paths(groups, k)), *map(float, extremes_by_position(groups, k))
        assert average_precision(*counts(groups), k) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("before", [0, 1, 2, 63, 64, 65, 1000, 10**6, 10**8])
@pytest.mark.parametrize(
    "count", [0, 1, 2, *range(FEW_TERMS - 2, FEW_TERMS + 3), LEAST_START, 2 * LEAST_START, 300]
)
def test_reciprocal_sums_are_exact(before: int, count: int) -> None:
    terms = [Fraction(1, before + t) for t in range(1, count + 1)]
    reciprocals, weighted = sum(terms, Fraction(0)), sum((t * term for t, term in enumerate(terms)), Fraction(0))
    found = reciprocal_sums(before, count)
    assert found[0] == pytest.approx(float(reciprocals), rel=1e-13)
    # `weighted` is count − (before + 1)·reciprocals, which cancels down to rounding of `count`.
    assert found[1] == pytest.approx(float(weighted), rel=1e-13, abs=1e-15 * count)


@pytest.mark.parametrize("before", [0, 10, 10**5, 10**8])
def test_long_reciprocal_sums(before: int) -> None:
    count = 200_000
    reciprocals = math.fsum(1 / (before + t) for t in range(1, count + 1))
    weighted = math.fsum((t - 1) / (before + t) for t in range(1, count + 1))
    found = reciprocal_sums(before, count)
    assert found[0] == pytest.approx(reciprocals, rel=1e-13)
    assert found[1] == pytest.approx(weighted, rel=1e-13, abs=1e-15 * count)


@settings(deadline=None, max_examples=60)
@given(hits=st.integers(0, 40), misses=st.integers(0, 40), count=st.integers(0, 150))
def test_consecutive_hits(hits: int, misses: int, count: int) -> None:
    rank = hits + misses
    total = sum((Fraction(hits + j, rank + j) for j in range(1, count + 1)), Fraction(0))
    assert consecutive_hits(hits, rank, count) == pytest.approx(float(total), rel=1e-13)


@settings(deadline=None, max_examples=60)
@given(data=st.data(), hits=st.integers(0, 5), misses=st.integers(0, 5), size=st.integers(1, 8))
def test_expected_group_sum(data: st.DataObject, hits: int, misses: int, size: int) -> None:
    relevant = data.draw(st.integers(0, size))
    sums = []
    for order in itertools.combinations(range(1, size + 1), relevant):
        sums.append(sum((Fraction(hits + n, hits + misses + t) for n, t in enumerate(order, 1)), Fraction(0)))
    expected = sum(sums, Fraction(0)) / len(sums)
    assert expected_group_sum(hits + misses, hits, size, relevant) == pytest.approx(float(expected), rel=1e-13)


@pytest.mark.parametrize("score", [average_precision, expected_hits])
def test_empty_groups_change_nothing(score: Callable) -> None:
    groups = [(3, 1), (4, 2), (2, 2)]
    spread = [(0, 0), (3, 1), (0, 0), (0, 0), (4, 2), (2, 2), (0, 0)]
    for k in range(1, 11):
        assert score(*counts(groups), k) == score(*counts(spread), k)
