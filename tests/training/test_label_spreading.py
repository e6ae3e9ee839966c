"""Items without a label get that of their neighbours where these are sure, and training gains by it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_digits

from hashlens.backbones import Backbone
from hashlens.metrics import mean_average_precision
from hashlens.sources import FeatureArray, open_source
from hashlens.training import fit
from hashlens.training import items as items_module
from hashlens.training.division import divide
from hashlens.training.label_spreading import ALPHA, NEIGHBOURS, STEPS, spread_labels
from hashlens.training.options import FitOptions
from hashlens.training.targets import Targets

pytestmark = pytest.mark.usefixtures("one_thread")


def by_the_paper(features: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    """Dense matrices and loops."""
    count = len(features)
    x = features.astype(np.float64) - features.astype(np.float64).mean(0)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    w = np.zeros((count, count))
    for one in range(count):
        others = sorted((other for other in range(count) if other != one), key=lambda other: -(x[one] @ x[other]))
        for other in others[: min(NEIGHBOURS, count - 1)]:
            w[one, other] = w[other, one] = np.exp(10 * (x[one] @ x[other] - 1))
    s = w / np.sqrt(w.sum(1)[:, None] * w.sum(0)[None])
    y = np.zeros((count, classes))
    for item, label in enumerate(labels):
        if label >= 0:
            y[item, label] = 1
    z = y
    for _ in range(STEPS):
        z = ALPHA * s @ z + (1 - ALPHA) * y
    return z


@settings(max_examples=25, deadline=None)
@given(st.integers(3, 60), st.integers(2, 5), st.integers(0, 10_000))
def test_labels_are_those_of_the_iteration_of_the_paper(count: int, classes: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    features = random.normal(size=(count, 6)).astype(np.float32)
    labels = np.where(random.random(count) < 0.4, random.integers(0, classes, count), -1)
    labels[0] = 0
    found, share = spread_labels(features, labels, classes)
    z = by_the_paper(features, labels, classes)
    expected = z.max(1) / np.where(z.sum(1) > 0, z.sum(1), 1)
    free = labels < 0
    np.testing.assert_allclose(share[free], expected[free], atol=1e-4)
    clear = free & (np.sort(z, axis=1)[:, -1] - np.sort(z, axis=1)[:, -2] > 1e-6)
    np.testing.assert_array_equal(found[clear], z.argmax(1)[clear])
    np.testing.assert_array_equal(found[~free], labels[~free])
    assert (share[~free] == 1).all()


def digits(labelled: int) -> tuple[FeatureArray, FeatureArray, np.ndarray]:
    """Training items of which so many a class keep their label, test items, and all labels of the former."""
    data = load_digits()
    features, labels = (data.data / 16).astype(np.float32), data.target.astype(np.int64)
    kept = np.concatenate([np.flatnonzero(labels[:1400] == number)[:labelled] for number in range(10)])
    known = np.full(1400, -1)
    known[kept] = labels[kept]
    names = [str(number) for number in range(10)]
    test = FeatureArray("test", features[1400:], labels[1400:], names)
    return FeatureArray("train", features[:1400], known, names), test, labels[:1400]


def test_training_on_few_labels_gains_by_the_other_items(caplog: pytest.LogCaptureFixture) -> None:
    train, test, _ = digits(labelled=3)

    def score(spread: bool) -> float:
        model = fit(train, "orthohash", bits=16, epochs=15, spread_labels=spread, device="cpu")
        codes = model.encode(test)
        return mean_average_precision(codes, test.labels, codes, test.labels, bits=16, leave_one_out=True)

    with caplog.at_level("INFO", logger="hashlens"):
        assert score(spread=True) > score(spread=False) + 0.1
    assert "822 of 1370 items without a label are given that of their neighbours" in caplog.text
    assert "1370 of 1400 items have no label and are left out" in caplog.text


def test_only_items_with_a_label_of_their_own_are_held_out_and_only_sure_guesses_are_kept() -> None:
    train, _, labels = digits(labelled=20)
    assert train.labels is not None
    targets = Targets(train.labels, train.labels >= 0, train.class_names, "label", spread=True)
    divided = divide(train, targets, np.arange(1400), train.features, FitOptions(), 10_000)
    assert len(divided.held_out) >= 20
    assert (train.labels[divided.kept[divided.held_out]] >= 0).all()
    assert len(divided.kept) == 200 + round(0.6 * 1200)
    assert sorted([*divided.training, *divided.held_out]) == list(range(len(divided.kept)))
    right = divided.targets == labels[divided.kept]
    assert right[train.labels[divided.kept] >= 0].all() and right.mean() > 0.97


def test_of_very_many_items_without_a_label_a_sample_is_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(items_module, "MOST_WITHOUT", 100)
    train, _, _ = digits(labelled=5)
    model = fit(train, "orthohash", bits=16, epochs=1, validation=0, device="cpu")
    assert model.training["images"] == 50 + 60


def test_images_are_compared_by_their_features_before_the_backbone_is_trained(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HASHLENS_CACHE", str(tmp_path))
    source = open_source("digits").select(range(60))
    source.labels = np.where(np.arange(60) < 30, source.labels, -1)
    model = fit(source, "orthohash", bits=16, epochs=1, image_size=32, finetune=True, validation=0, device="cpu")
    assert isinstance(model.backbone, Backbone) and model.training["images"] == 30 + 18


def test_papers_leave_items_without_a_label_out() -> None:
    train, _, _ = digits(labelled=10)
    assert fit(train, "orthohash", bits=16, paper=True, device="cpu").training["images"] <= 100
