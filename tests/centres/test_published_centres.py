"""The centres of CSQ, MDS and SHC, against their papers' algorithms written out without any shortcut."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from hashlens.centres import bernoulli, csq, gilbert_varshamov_distance, mds, minimum_distance, shc
from hashlens.centres.lp_box_codes import _apart
from hashlens.classes import normalize_similarity
from hashlens.errors import BadInput
from refusals import is_one_sentence

Matrix = NDArray[np.float64]


@pytest.mark.parametrize(("classes", "bits"), [(1, 8), (10, 16), (32, 16), (100, 64), (128, 64)])
def test_csq_takes_rows_of_a_hadamard_matrix_and_their_negatives(classes: int, bits: int) -> None:
    codebook = csq(classes, bits, 3).astype(int)
    products = codebook @ codebook.T
    assert set(np.unique(products).tolist()) <= {-bits, 0, bits}
    np.testing.assert_array_equal(np.diag(products), bits)
    assert (np.triu(products, 1) < bits).all()
    if classes <= bits:
        assert (np.triu(products, 1) == 0).all()  # no negative is taken before there is need


@pytest.mark.parametrize(("classes", "bits", "fixed"), [(100, 16, 32), (100, 32, 64), (50, 24, 0), (60, 33, 0)])
def test_csq_samples_the_others_with_half_of_the_bits(classes: int, bits: int, fixed: int) -> None:
    codebook = csq(classes, bits, 1).astype(int)
    np.testing.assert_array_equal(codebook[:fixed], csq(max(fixed, 1), bits, 1)[:fixed])
    assert set(np.abs(codebook[fixed:].sum(1)).tolist()) == {bits % 2}
    distances = (bits - codebook @ codebook.T)[np.triu_indices(classes, 1)] / 2
    assert distances.mean() == pytest.approx(bits / 2, abs=0.02 * bits)


def test_csq_says_where_there_are_too_few_centres() -> None:
    assert len(np.unique(csq(72, 8), axis=0)) == 72  # 70 with half of the bits, all +1, all −1
    with pytest.raises(BadInput, match="only 72 centres of 8 bits, too few for 73") as refusal:
        csq(73, 8)
    assert is_one_sentence(refusal)


def one_centre(code: Matrix, others: Matrix, limit: float, y1: Matrix, y2: Matrix, y3: Matrix) -> Matrix:
    """One centre by Lp-box ADMM as the authors' program computes it, a linear system in every step."""

    def score(signs: Matrix) -> tuple[float, float]:
        distances = 0.5 * (len(signs) - others @ signs)
        return distances.mean() + distances.min() - distances.var(), distances.min()

    bits, rho, step = len(code), 1e-5, (1 + 5**0.5) / 2
    best, (best_score, best_closest) = code, score(np.sign(code))
    z1, z2, z3 = code.copy(), code.copy(), limit - others @ np.sign(code)
    tries = 0
    for _ in range(1000):
        for _ in range(10):
            left = 2 * rho * np.eye(bits) + rho * others.T @ others
            right = rho * (z1 + z2 + others.T @ (limit - z3)) - y1 - y2 - others.T @ y3 - others.mean(0)
            code = np.linalg.solve(left, right)
            z1, z2, z3 = code + y1 / rho, code + y2 / rho, limit - others @ code - y3 / rho
            inside = (z3 >= 0).all() and abs((z2**2).sum() - bits) <= 0.001
            if not inside:
                z1 = z1.clip(-1, 1)
                z2 = math.sqrt(bits) * z2 / np.linalg.norm(z2)
                z3 = z3.clip(min=0)
            y1 = y1 + step * rho * (code - z1)
            y2 = y2 + step * rho * (code - z2)
            y3 = y3 + step * rho * (others @ code + z3 - limit)
            if inside:
                break
        rho = min(1.09 * rho, 1e7)
        if rho == 1e7:
            tries += 1
            found, closest = score(np.sign(code))
            if found > best_score or closest > best_closest:
                best, best_score, best_closest = np.sign(code), found, closest
        gaps = (code - z1, code - z2, others @ code + z3 - limit)
        if max(np.abs(gap).max() for gap in gaps) < 1e-6 or tries == 100:
            break
    return best


@pytest.mark.parametrize(("classes", "bits", "distance"), [(6, 9, 4), (12, 16, 5), (20, 10, 3)])
def test_a_centre_moves_as_in_the_program_of_mds(classes: int, bits: int, distance: int) -> None:
    random = np.random.default_rng(classes)
    codes = bernoulli(classes, bits, 5).astype(np.float64)
    others, limit = codes[1:], float(bits - 2 * distance)
    multipliers = random.random(bits), random.random(bits), random.random(classes - 1)
    wanted = one_centre(codes[0], others, limit, *multipliers)
    inverse = np.linalg.inv(2 * np.eye(bits) + others.T @ others)
    found = _apart(codes[0].copy(), others, inverse, limit, *(one.copy() for one in multipliers))
    np.testing.assert_array_equal(found, wanted)


def test_mds_reaches_the_distance_of_gilbert_and_varshamov_where_the_authors_do() -> None:
    for classes, bits in ((10, 16), (30, 16), (30, 32)):
        assert minimum_distance(mds(classes, bits, 2)) >= gilbert_varshamov_distance(classes, bits)


def test_mds_is_for_a_thousand_classes_at_most() -> None:
    with pytest.raises(BadInput, match="for up to 1,000 classes, not 1001") as refusal:
        mds(1001, 64)
    assert is_one_sentence(refusal)


def alternating(similarity: Matrix, start: Matrix, distance: int) -> Matrix:
    """SHC's second stage as the authors' program computes it, with sums over classes written out; (K, C)."""
    codes = start.copy()
    bits, classes = codes.shape
    rho, mu, eta, beta = 0.2, 0.625, 0.5, 1e-6
    lambdas = np.full((bits, classes), 0.1)
    best, least = codes, np.inf
    for _ in range(30):
        left = 2 / bits**2 * codes @ codes.T + rho * np.eye(bits)
        relaxed = np.linalg.inv(left) @ (2 / bits * codes @ similarity + lambdas + rho * codes)
        slacks = np.maximum(bits - 2 * distance - codes.T @ codes, 0)
        for _ in range(3):
            for i in range(classes):
                total = np.zeros(bits)
                for j in range(classes):
                    if j != i:
                        h = codes[:, j]
                        total += 2 * mu * h
                        total += beta * (2 * (h @ h) * codes[:, i] - 2 * (bits - 2 * distance - slacks[i, j]) * h)
                gradient = 2 / bits**2 * relaxed @ relaxed.T @ codes[:, i] - 2 / bits * relaxed @ similarity[:, i]
                gradient += lambdas[:, i] + rho * (codes[:, i] - relaxed[:, i]) + total / 10_000
                changed = codes.copy()
                changed[:, i] = np.sign(codes[:, i] - gradient / eta)
                apart = (bits - changed.T @ changed * (1 - np.eye(classes))) / 2
                if apart.min() >= distance:
                    codes = changed
        lambdas = lambdas + rho * (codes - relaxed)
        mismatch = ((similarity - codes.T @ codes / bits) ** 2).sum() / classes**2
        if mismatch < least:
            best, least = codes.copy(), mismatch
    return best


@pytest.mark.parametrize(("classes", "bits"), [(6, 16), (12, 16), (8, 24)])
def test_shc_sets_all_bits_of_a_class_at_a_time_as_in_its_program(classes: int, bits: int) -> None:
    random = np.random.default_rng(bits)
    similarity = normalize_similarity(random.standard_normal((classes, classes)))
    start = mds(classes, bits, 1)
    distance = gilbert_varshamov_distance(classes, bits)
    wanted = alternating(similarity, start.T.astype(np.float64), distance)
    found = shc(classes, bits, similarity=similarity, start=start)
    np.testing.assert_array_equal(found, wanted.T)
    np.testing.assert_array_equal(found, shc(classes, bits, 1, similarity=similarity))
    if minimum_distance(start) >= distance:
        assert (found != start).any()
        assert minimum_distance(found) >= distance
