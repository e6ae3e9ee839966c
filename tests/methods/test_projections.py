"""Methods without labels against references, and what they have in common."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.linalg import orthogonal_procrustes
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA

from hashlens.errors import BadInput
from hashlens.methods import ITQ, PROJECTIONS, BiHalf, PCASigns, RandomPlanes, get_method
from hashlens.methods import itq as itq_module
from hashlens.methods.projection import principal_directions
from refusals import is_one_sentence


def features(count: int = 400, dimension: int = 24, seed: int = 0) -> NDArray[np.float64]:
    rng = np.random.default_rng(seed)
    mixed = rng.normal(size=(count, dimension)) * np.linspace(0.2, 2, dimension) @ rng.normal(size=(dimension,) * 2)
    unit = mixed / np.linalg.norm(mixed, axis=1, keepdims=True)
    return unit - unit.mean(0)


def itq_by_the_paper(x: NDArray[np.float64], bits: int, seed: int) -> NDArray[np.float64]:
    principal = principal_directions(x, bits)
    v = x @ principal
    r, _ = np.linalg.qr(np.random.default_rng(seed).standard_normal((bits, bits)))
    for _ in range(50):
        b = np.array([[1.0 if value > 0 else -1.0 for value in row] for row in v @ r])
        r, _ = orthogonal_procrustes(v, b)
    return principal @ r


def pca_by_scikit_learn(x: NDArray[np.float64], bits: int, seed: int) -> NDArray[np.float64]:
    return PCA(bits, svd_solver="full").fit(x).components_.T


def planes_by_hand(x: NDArray[np.float64], bits: int, seed: int) -> NDArray[np.float64]:
    return np.random.default_rng(seed).standard_normal((x.shape[1], bits))


def bi_half_by_hand(x: NDArray[np.float64], bits: int, seed: int) -> NDArray[np.float64]:
    """The gradient worked out with pencil and paper, item by item, and Adam as its authors wrote it down."""
    w = itq_by_the_paper(x, bits, seed)
    w /= (x @ w).std()
    first, second = np.zeros_like(w), np.zeros_like(w)
    generator = torch.Generator().manual_seed(seed)
    for step in range(STEPS):
        f = x[torch.randperm(len(x), generator=generator).numpy()[:256]]
        u = f @ w
        b = -np.ones_like(u)
        for bit in range(bits):
            b[np.argsort(-u[:, bit])[:128], bit] = 1
        of_codes = 6 * (u - b) / b.size
        for i in range(128):
            one, two = b[i], b[128 + i]
            cosine = one @ two / bits
            wanted = f[i] @ f[128 + i] / np.linalg.norm(f[i]) / np.linalg.norm(f[128 + i])
            error = 2 * (cosine - wanted) / 128
            of_codes[i] += error * (two - cosine * one) / bits
            of_codes[128 + i] += error * (one - cosine * two) / bits
        gradient = f.T @ of_codes
        first, second = 0.9 * first + 0.1 * gradient, 0.999 * second + 0.001 * gradient**2
        corrected = first / (1 - 0.9 ** (step + 1)), second / (1 - 0.999 ** (step + 1))
        w = w - 1e-3 * 0.5 * (1 + np.cos(np.pi * step / STEPS)) * corrected[0] / (np.sqrt(corrected[1]) + 1e-8)
    return w / np.linalg.norm(w, axis=0)


STEPS = 40
REFERENCES = {
    "bi-half": bi_half_by_hand,
    "itq": itq_by_the_paper,
    "pca-signs": pca_by_scikit_learn,
    "lsh": planes_by_hand,
}


@pytest.mark.parametrize("name", PROJECTIONS)
def test_directions_are_those_of_the_reference(name: str) -> None:
    assert name in REFERENCES, f"{name} has no reference"
    x = features()
    method = BiHalf(steps=STEPS) if name == "bi-half" else PROJECTIONS[name]
    found = method.directions(x, 8, seed=3)
    expected = REFERENCES[name](x, 8, 3)
    signs = np.sign((found * expected).sum(0)) if name == "pca-signs" else 1  # an axis has no direction
    np.testing.assert_allclose(found * signs, expected, atol=1e-5 if name == "bi-half" else 1e-8)


def test_bi_half_sets_each_bit_for_nearer_to_half_of_the_items() -> None:
    x = load_digits().data / np.linalg.norm(load_digits().data, axis=1, keepdims=True)
    x -= x.mean(0)

    def imbalance(method: ITQ | BiHalf) -> float:
        return float(np.abs((x @ method.directions(x, 8, seed=0) > 0).mean(0) - 0.5).mean())

    assert imbalance(BiHalf(steps=400)) < 0.95 * imbalance(ITQ())


def test_the_rotation_lowers_what_rounding_loses() -> None:
    x = features()

    def loss(directions: NDArray[np.float64]) -> float:
        v = x @ directions
        return float(np.square(np.where(v > 0, 1, -1) - v).sum())

    losses = [loss(ITQ(iterations=count).directions(x, 8, seed=0)) for count in (0, 1, 5, 50)]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < loss(PCASigns().directions(x, 8, seed=0))


def test_bits_of_random_planes_differ_as_often_as_the_angle_says() -> None:
    one, other = np.array([1.0, 0.0, 0.0]), np.array([0.5, 3**0.5 / 2, 0.0])  # 60 degrees apart
    directions = RandomPlanes().directions(np.stack([one, other]), 100_000, seed=0)
    assert ((one @ directions > 0) != (other @ directions > 0)).mean() == pytest.approx(1 / 3, abs=0.01)


def test_a_rotation_of_many_items_is_fitted_to_a_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    x = features()
    monkeypatch.setattr(itq_module, "MOST_ITEMS", 100)
    directions = ITQ().directions(x, 8, seed=0)
    np.testing.assert_allclose(directions.T @ directions, np.eye(8), atol=1e-9)
    np.testing.assert_array_equal(directions, ITQ().directions(x, 8, seed=0))


@pytest.mark.parametrize("name", ["bi-half", "itq", "pca-signs"])
def test_more_bits_than_the_features_have_directions_are_refused(name: str) -> None:
    for x in (features(dimension=8), features(count=9)):
        with pytest.raises(BadInput, match="at most 8 bits") as error:
            PROJECTIONS[name].directions(x, 16, seed=0)
        assert is_one_sentence(error)


def test_they_are_found_beside_the_methods_with_labels() -> None:
    assert isinstance(get_method("itq"), ITQ)
    with pytest.raises(BadInput, match="cross-entropy-bi-half, itq, bi-half"):
        get_method("magic")
