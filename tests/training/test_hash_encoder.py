"""Hashing keeps scikit-learn's conventions."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import hashlens as hl
from hashlens.training.hash_encoder import HashEncoder

pytestmark = pytest.mark.usefixtures("one_thread")

X, Y = load_digits(return_X_y=True)


@parametrize_with_checks([HashEncoder(bits=8, epochs=1)])
def test_the_conventions_hold(estimator, check) -> None:
    check(estimator)


def test_in_a_pipeline_codes_classify_and_a_grid_finds_their_length() -> None:
    unpack = FunctionTransformer(lambda codes: np.unpackbits(codes, axis=1))
    steps = StandardScaler(), HashEncoder(epochs=4), unpack, KNeighborsClassifier(metric="hamming")
    grid = GridSearchCV(make_pipeline(*steps), {"hashencoder__bits": [8, 32]}, cv=2)
    train, test, labels, wanted = train_test_split(X, Y, random_state=0)
    assert grid.fit(train, labels).score(test, wanted) > 0.85


def test_it_gives_the_codes_of_fit_with_labels_and_without() -> None:
    found = HashEncoder(bits=16, epochs=2, random_state=3).fit(X, Y).transform(X)
    np.testing.assert_array_equal(found, hl.fit(X, Y, bits=16, epochs=2, seed=3, device="cpu").encode(X))
    without = HashEncoder(bits=16).fit_transform(X)
    np.testing.assert_array_equal(without, hl.fit(X, bits=16).encode(X))
    assert HashEncoder().fit(X, Y).transform(X[:3]).shape == (3, 8)


def test_it_can_be_pickled_and_cloned() -> None:
    encoder = HashEncoder(bits=16, epochs=1).fit(X, Y)
    again = pickle.loads(pickle.dumps(encoder))
    np.testing.assert_array_equal(again.transform(X), encoder.transform(X))
    assert not hasattr(clone(encoder), "model_")


def test_codes_may_be_data_frames() -> None:
    encoder = HashEncoder(bits=20, epochs=1).set_output(transform="pandas").fit(X, Y)
    frame = encoder.transform(X[:5])
    assert list(frame.columns) == ["hashencoder0", "hashencoder1", "hashencoder2"]
    assert list(encoder.get_feature_names_out()) == list(frame.columns)
    np.testing.assert_array_equal(frame.to_numpy(), encoder.model_.encode(X[:5]))


def test_tensors_of_half_precision_do() -> None:
    half = torch.from_numpy(X).to(torch.bfloat16)
    codes = HashEncoder(bits=16, epochs=1).fit(half, Y).transform(half)
    model = hl.fit(half, Y, bits=16, epochs=1, device="cpu")
    np.testing.assert_array_equal(codes, model.encode(half))
    np.testing.assert_array_equal(codes, model.encode(half.float()))


def test_labels_of_every_kind_and_missing_ones_do() -> None:
    names = np.array([f"digit {number}" for number in Y])
    codes = HashEncoder(bits=16, epochs=2).fit(X, Y).transform(X)
    for labels in (names, names.astype(object), Y.astype(float), list(Y)):
        np.testing.assert_array_equal(HashEncoder(bits=16, epochs=2).fit(X, labels).transform(X), codes)
    some = np.where(np.arange(len(Y)) < 300, Y, -1)
    assert HashEncoder(bits=16, epochs=1).fit(X, some).model_.training["images"] > 300
    sets = np.eye(10, dtype=int)[Y]
    assert HashEncoder(bits=16, epochs=1).fit(X, sets).transform(X).shape == (len(X), 2)
