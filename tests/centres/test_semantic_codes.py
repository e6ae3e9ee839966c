"""Semantic centres: constraints, optima on tiny cases, and figures that the SHC authors' program reaches."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from hashlens.centres import check_codebook, minimum_distance, quality, semantic, semantic_codes
from hashlens.centres.annealing import (
    UNIT,
    anneal_assignment,
    anneal_bits,
    as_words,
    closest_and_mismatch,
    too_close,
)
from hashlens.centres.best_known_codes import best_known_code
from hashlens.errors import BadInput

Matrix = NDArray[np.float64]


def scaled(matrix: Matrix) -> Matrix:
    """Rows centred and scaled to [−1, 1] off the diagonal, then symmetrised; 1 on the diagonal."""
    classes = len(matrix)
    off_diagonal = ~np.eye(classes, dtype=bool)
    means = matrix.sum(1, where=off_diagonal, keepdims=True) / (classes - 1)
    deviations = np.where(off_diagonal, matrix - means, 0)
    rows = deviations / np.abs(deviations).max(1, keepdims=True)
    both = (rows + rows.T) / 2
    np.fill_diagonal(both, 1)
    return both


def tree_similarity(classes: int, branches: tuple[int, ...] = (4, 5, 5)) -> Matrix:
    """1 − 2 · height of the lowest common ancestor, in random order, scaled as in SHC."""
    height = np.ones((classes, classes))
    nodes = 1
    for level, branch in enumerate(branches, start=1):
        nodes *= branch
        node = np.arange(classes) * nodes // classes
        height[node[:, None] == node] = 1 - level / (len(branches) + 1)
    order = np.random.default_rng(1).permutation(classes)
    return scaled((1 - 2 * height)[np.ix_(order, order)])


def confusion_like_similarity(classes: int) -> Matrix:
    """Confusions that follow a tree, with as much noise."""
    scores = 3 * tree_similarity(classes) + np.random.default_rng(2).standard_normal((classes, classes))
    np.fill_diagonal(scores, -np.inf)
    weights = np.exp(scores)
    return scaled(weights / weights.sum(1, keepdims=True))


def random_similarity(classes: int, seed: int) -> Matrix:
    values = np.random.default_rng(seed).uniform(-1, 1, (classes, classes))
    matrix = (values + values.T) / 2
    np.fill_diagonal(matrix, 1)
    return matrix


def mismatch_of(codebook: NDArray[np.int8], similarity: Matrix) -> float:
    wide = codebook.astype(np.float64)
    difference = similarity - wide @ wide.T / codebook.shape[1]
    return float((difference[np.triu_indices(len(codebook), 1)] ** 2).mean())


def as_target(similarity: Matrix) -> NDArray[np.int16]:
    return np.rint(similarity * UNIT).astype(np.int16)


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 24), st.integers(8, 70), st.integers(0, 9), st.floats(0, 1))
def test_the_distance_is_kept(classes: int, bits: int, seed: int, share: float) -> None:
    distance = max(1, round(share * best_known_code(classes, bits).distance))
    codebook = semantic(random_similarity(classes, seed), bits, distance, seed)
    assert codebook.dtype == np.int8
    check_codebook(codebook, classes, bits)
    assert minimum_distance(codebook) >= distance


@settings(max_examples=15, deadline=None)
@given(st.integers(2, 40), st.integers(8, 45), st.integers(0, 9))
def test_without_a_distance_the_codes_are_distinct(classes: int, bits: int, seed: int) -> None:
    check_codebook(semantic(random_similarity(classes, seed), bits, None, seed), classes, bits)


@pytest.mark.parametrize("bits", [32, 64])
@pytest.mark.parametrize("make", [tree_similarity, confusion_like_similarity])
def test_the_chosen_distance_keeps_most_of_what_is_gained(bits: int, make) -> None:
    similarity = make(100)
    free, chosen = semantic(similarity, bits, 1), semantic(similarity, bits)
    of_random_codes = (similarity[np.triu_indices(100, 1)] ** 2).mean() + 1 / bits
    kept = of_random_codes - mismatch_of(chosen, similarity)
    assert kept > 0.75 * (of_random_codes - mismatch_of(free, similarity))
    assert bits // 5 <= minimum_distance(chosen) < best_known_code(100, bits).distance


def test_a_seed_decides_everything() -> None:
    similarity = tree_similarity(30)
    for distance in (None, 6, best_known_code(30, 24).distance):
        first, again = semantic(similarity, 24, distance, 5), semantic(similarity, 24, distance, 5)
        np.testing.assert_array_equal(first, again)
        assert not np.array_equal(first, semantic(similarity, 24, distance, 6))


# bits, then what the authors' program reached for 100 classes: distance, mismatch, Spearman.
AUTHORS_ON_A_TREE = [(64, 24, 0.131, 0.26), (32, 10, 0.153, 0.07), (16, 4, 0.161, 0.20)]
AUTHORS_ON_CONFUSIONS = [
    (64, 32, 0.037, -0.01),
    (64, 24, 0.037, -0.01),
    (32, 10, 0.037, 0.28),
    (16, 4, 0.069, 0.20),
]


@pytest.mark.parametrize(
    ("make", "bits", "distance", "mismatch", "spearman"),
    [(tree_similarity, *row) for row in AUTHORS_ON_A_TREE]
    + [(confusion_like_similarity, *row) for row in AUTHORS_ON_CONFUSIONS],
)
def test_better_than_the_authors(make, bits: int, distance: int, mismatch: float, spearman: float) -> None:
    similarity = make(100)
    facts = quality(semantic(similarity, bits, distance), similarity)
    assert facts["minimum_distance"] >= distance
    assert facts["mismatch"] < mismatch
    assert facts["spearman"] > spearman


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("distance", [1, 3, 5])
def test_three_classes_reach_the_optimum(seed: int, distance: int) -> None:
    similarity = random_similarity(3, seed)
    bits = 8
    best = np.inf
    # Three codes are decided by how many bits single each of them out.
    for a, b, c in itertools.product(range(bits + 1), repeat=3):
        if a + b + c <= bits and min(a + b, a + c, b + c) >= distance:
            cosines = 1 - 2 * np.array([a + b, a + c, b + c]) / bits
            wanted = np.array([similarity[0, 1], similarity[0, 2], similarity[1, 2]])
            best = min(best, float(((wanted - cosines) ** 2).mean()))
    assert mismatch_of(semantic(similarity, bits, distance, seed), similarity) == pytest.approx(best, abs=1e-9)


@pytest.mark.parametrize(("similar", "distance"), [(1.0, 1), (-1.0, 9), (0.1, 4)])
def test_two_classes(similar: float, distance: int) -> None:
    similarity = np.array([[1, similar], [similar, 1]])
    assert minimum_distance(semantic(similarity, 9, 1)) == distance


def test_all_classes_alike_still_differ() -> None:
    check_codebook(semantic(np.ones((100, 100)), 8), 100, 8)


def test_every_word_can_be_used() -> None:
    check_codebook(semantic(random_similarity(256, 0), 8), 256, 8)


def test_many_classes_take_the_approximate_spectrum(monkeypatch: pytest.MonkeyPatch) -> None:
    similarity = tree_similarity(80)
    exact = mismatch_of(semantic(similarity, 32, 8), similarity)
    monkeypatch.setattr(semantic_codes, "EXACT_SPECTRUM", 10)
    assert mismatch_of(semantic(similarity, 32, 8), similarity) < 1.15 * exact


@pytest.mark.parametrize(("classes", "bits"), [(20, 16), (13, 70)])
def test_frozen_annealing_ends_where_no_flip_helps(classes: int, bits: int) -> None:
    similarity, distance, strength = random_similarity(classes, 3), bits // 3, 5.0
    signs = np.random.default_rng(0).choice(np.array([-1, 1], np.int8), (bits, classes))

    def energy(columns: NDArray[np.int8]) -> float:
        wide = columns.T.astype(np.float64)
        above = np.triu_indices(classes, 1)
        cosines = (wide @ wide.T / bits)[above]
        lack = np.maximum(0, distance - bits * (1 - cosines) / 2)
        return float(((similarity[above] - cosines) ** 2 + strength * (2 * lack / bits) ** 2).sum())

    before = energy(signs)
    words = as_words(signs)
    frozen, constant = np.full(60, 1e-12), np.full(60, strength)
    anneal_bits(signs, words, as_target(similarity), distance, frozen, constant, np.random.default_rng(1))
    np.testing.assert_array_equal(words, as_words(signs))
    reached = energy(signs)
    assert reached < before
    for bit, row in itertools.product(range(bits), range(classes)):
        flipped = signs.copy()
        flipped[bit, row] *= -1
        assert energy(flipped) > reached - 1e-3


def test_frozen_assignment_ends_where_no_exchange_helps() -> None:
    classes, bits = 8, 12
    similarity = random_similarity(classes, 4)
    code = np.random.default_rng(5).choice(np.array([-1, 1], np.int8), (15, bits))
    pool = as_words(np.ascontiguousarray(code.T))
    chosen = np.arange(classes)
    words = np.ascontiguousarray(pool[:, chosen])
    anneal_assignment(
        pool, chosen, words, as_target(similarity), bits, np.full(20, 1e-12), 2000, np.random.default_rng(6)
    )
    assert len(set(chosen)) == classes
    np.testing.assert_array_equal(words, pool[:, chosen])
    reached = mismatch_of(code[chosen], similarity)
    assert closest_and_mismatch(words, as_target(similarity), bits)[1] == pytest.approx(reached, abs=1e-4)
    for row, number in itertools.product(range(classes), range(len(code))):
        changed = np.where(chosen == number, chosen[row], chosen)
        changed[row] = number
        assert mismatch_of(code[changed], similarity) > reached - 1e-4


def test_quality_against_a_similarity() -> None:
    similarity = random_similarity(17, 7)
    codebook = semantic(similarity, 21, 4)
    facts = quality(codebook, similarity)
    above = np.triu_indices(17, 1)
    cosines = (codebook.astype(float) @ codebook.T.astype(float) / 21)[above]
    assert facts["mismatch"] == pytest.approx(mismatch_of(codebook, similarity))
    assert facts["pearson"] == pytest.approx(np.corrcoef(similarity[above], cosines)[0, 1])
    ranks = [
        np.array([(np.sum(values < v) + np.sum(values <= v)) / 2 for v in values])
        for values in (similarity[above], cosines)
    ]
    assert facts["spearman"] == pytest.approx(np.corrcoef(ranks[0], ranks[1])[0, 1])
    assert quality(codebook, np.eye(17))["pearson"] == 0
    with pytest.raises(BadInput, match="for 5 classes"):
        quality(codebook, np.eye(5))


def test_stuck_pairs_are_moved_apart() -> None:
    similarity, bits, distance = tree_similarity(60), 24, 5
    search = semantic_codes._Search(similarity, bits, 0)
    apart = np.ascontiguousarray(semantic(similarity, bits, distance).T)
    crowded = apart.copy()
    crowded[:, :4] = crowded[:, 4:8]
    words = as_words(crowded)
    distances = (bits - crowded.T.astype(int) @ crowded.astype(int)) // 2
    np.fill_diagonal(distances, bits)
    np.testing.assert_array_equal(too_close(words, distance), (distances < distance).sum(1))
    moved = search._moved_apart(crowded, distance, 5, (0, 0))
    assert minimum_distance(np.ascontiguousarray(moved.T)) >= distance
    assert np.shares_memory(search._moved_apart(apart, distance, 5, (0, 0)), apart)


def test_refusals() -> None:
    good = random_similarity(20, 0)
    for distance in (0, -1, 17, 2.5):
        with pytest.raises(BadInput, match="minimum distance"):
            semantic(good, 16, distance)  # type: ignore[arg-type]
    with pytest.raises(BadInput, match="2 to 10,000 classes"):
        semantic(np.ones((1, 1)), 16)
    with pytest.raises(BadInput, match="too few"):
        semantic(np.eye(300), 8)
    with pytest.raises(BadInput, match="out of range"):
        semantic(good, 7)
    for bad in (np.ones((3, 4)), np.full((3, 3), np.nan), np.eye(3) * 2, np.triu(np.ones((3, 3)))):
        with pytest.raises(BadInput):
            semantic(bad, 16)


@pytest.mark.parametrize(("classes", "bits", "distance"), [(20, 16, 16), (100, 32, 15), (40, 24, 13)])
def test_an_unreachable_distance_is_refused_with_one_that_is_reachable(
    classes: int, bits: int, distance: int
) -> None:
    similarity = random_similarity(classes, 1)
    with pytest.raises(BadInput, match=r"reached is \d+\.$") as refusal:
        semantic(similarity, bits, distance)
    reached = int(str(refusal.value).rstrip(".").rsplit(" ", 1)[1])
    assert best_known_code(classes, bits).distance <= reached < distance
    assert minimum_distance(semantic(similarity, bits, reached)) >= reached
