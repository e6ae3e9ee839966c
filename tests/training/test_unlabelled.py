"""Codes without labels, from images, arrays and files."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

import hashlens as hl
from hashlens.errors import BadInput
from hashlens.methods import PROJECTIONS
from hashlens.models import HashModel
from refusals import is_one_sentence

DIGITS, TEST = hl.open_source("digits:train"), hl.open_source("digits:test")


def flat(source: hl.sources.Source) -> np.ndarray:
    return np.stack([source.read(item).ravel() for item in range(len(source))]).astype(np.float32)


X, QUERIES = flat(DIGITS), flat(TEST)


def quality(model: HashModel) -> float:
    report = hl.evaluate(
        model.encode(QUERIES), TEST.labels, model.encode(X), DIGITS.labels, at=(10,), bits=model.bits
    )
    return report["precision@10"]


def test_an_array_gets_codes_that_keep_what_the_features_find() -> None:
    model = hl.fit(X)
    assert model.method["name"] == "ITQ"
    unit = X / np.linalg.norm(X, axis=1, keepdims=True)
    asked = QUERIES / np.linalg.norm(QUERIES, axis=1, keepdims=True)
    nearest = np.argsort(-asked @ unit.T, axis=1)[:, :10]
    by_cosine = (DIGITS.labels[nearest] == TEST.labels[:, None]).mean()
    assert quality(model) > by_cosine - 0.05
    assert model.class_names == ()
    assert model.codebook is None


def test_a_rotation_keeps_more_than_axes_or_random_planes() -> None:
    found = {name: quality(hl.fit(X, name, bits=24)) for name in PROJECTIONS}
    assert found["itq"] > 0.1 + max(found["pca-signs"], found["lsh"])


def test_a_file_and_a_folder_without_classes_will_do(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    np.save(tmp_path / "x.npy", X)
    with caplog.at_level(logging.INFO, "hashlens"):
        model = hl.fit(tmp_path / "x.npy", bits=32)
    assert "no labels" in caplog.text and "class folders" in caplog.text
    np.testing.assert_array_equal(model.encode(X), hl.fit(X, bits=32).encode(X))
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(60):
        DIGITS.image(number).save(folder / f"{number}.png")
    (folder / "broken.png").write_bytes(b"")
    images = hl.fit(folder, image_size=32)
    assert images.bits == 59
    assert images.training["unreadable"] == 1
    images.save(tmp_path / "model")
    loaded = HashModel.load(tmp_path / "model")
    with pytest.warns(UserWarning, match="1 of 61 images"):
        codes, items = loaded.encode(hl.open_source(folder), return_items=True)
    assert len(items) == 60
    catalogue = hl.Catalogue.create(tmp_path / "index", loaded)
    assert catalogue.update(hl.open_source(folder)).added == 60
    assert catalogue.search(codes[:1], 1)[0][0].distance == 0


def test_labels_are_not_looked_at() -> None:
    labelled = hl.sources.FeatureArray("mine", X, DIGITS.labels)
    np.testing.assert_array_equal(hl.fit(labelled, "itq", bits=32).encode(X), hl.fit(X, bits=32).encode(X))


def test_the_same_seed_gives_the_same_codes() -> None:
    one, again, other = (hl.fit(X, bits=32, seed=seed).encode(X) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert (one != other).any()


def test_codes_are_of_angles_not_of_lengths() -> None:
    model = hl.fit(X, bits=32)
    np.testing.assert_array_equal(model.encode(8 * X), model.encode(X))
    means = (model.continuous_codes(X) > 0).mean(0)
    assert np.abs(means - 0.5).mean() < 0.15


@pytest.mark.parametrize(
    ("ask", "says"),
    [
        pytest.param(lambda: hl.fit(X, bits=65), "at most 64 bits", id="bits"),
        pytest.param(lambda: hl.fit(X[:3]), "too few", id="few items"),
        pytest.param(lambda: hl.fit(X, "orthohash"), "no labels", id="a method with labels"),
        pytest.param(lambda: hl.fit(X, bits=7), "8 to 1024", id="too few bits"),
        pytest.param(lambda: hl.fit(X, "itq", paper=True), "ITQ .* no paper says how to train it", id="a paper"),
        pytest.param(
            lambda: hl.fit(X, paper=True), "ITQ .* no paper says how to train it", id="a paper, by default"
        ),
    ],
)
def test_what_cannot_be_is_refused(ask, says: str) -> None:
    with pytest.raises(BadInput, match=says) as error:
        ask()
    assert is_one_sentence(error)


def test_options_without_effect_are_told(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "hashlens"):
        hl.fit(X, "itq", bits=32, epochs=3, hidden_layers=(8,), seed=1)
    assert "epochs has no effect" in caplog.text
    assert "hidden_layers has no effect" in caplog.text
    assert "seed" not in caplog.text
