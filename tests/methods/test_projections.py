"""Methods without labels against references, and what they have in common."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.linalg import orthogonal_procrustes
from sklearn.decomposition import PCA

from hashlens.errors import BadInput
from hashlens.methods import ITQ, PROJECTIONS, PCASigns, RandomPlanes, get_method
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


REFERENCES = {"itq": itq_by_the_paper, "pca-signs": pca_by_scikit_learn, "lsh": planes_by_hand}


@pytest.mark.parametrize("name", PROJECTIONS)
def test_directions_are_those_of_the_reference(name: str) -> None:
    assert name in REFERENCES, f"{name} has no reference"
    x = features()
    found = PROJECTIONS[name].directions(x, 8, seed=3)
    expected = REFERENCES[name](x, 8, 3)
    signs = np.sign((found * expected).sum(0)) if name == "pca-signs" else 1  # an axis has no direction
    np.testing.assert_allclose(found * signs, expected, atol=1e-8)


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


@pytest.mark.parametrize("name", ["itq", "pca-signs"])
def test_more_bits_than_the_features_have_directions_are_refused(name: str) -> None:
    for x in (features(dimension=8), features(count=9)):
        with pytest.raises(BadInput, match="at most 8 bits") as error:
            PROJECTIONS[name].directions(x, 16, seed=0)
        assert is_one_sentence(error)


def test_they_are_found_beside_the_methods_with_labels() -> None:
    assert isinstance(get_method("itq"), ITQ)
    with pytest.raises(BadInput, match="cross-entropy-bi-half, itq"):
        get_method("magic")
