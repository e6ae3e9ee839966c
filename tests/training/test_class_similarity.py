"""The stages of SHC: what is learned of the classes, and the centres that follow from it."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import numpy as np
import pytest

import hashlens as hl
from hashlens.centres import quality
from hashlens.errors import BadInput
from hashlens.methods import METHODS, SEMANTIC, CentralSimilarityHashing, OrthoHash
from hashlens.sources import FeatureArray
from hashlens.training import class_similarity as stage
from hashlens.training import discard_checkpoints

PAIRS = ((0, 3), (1, 4), (2, 5))


def paired_classes(count: int, seed: int, multi_label: bool = False) -> FeatureArray:
    """Six classes, each hard to tell from the one three further on."""
    rng = np.random.default_rng(seed)
    centres = np.eye(3, 16)[[0, 1, 2, 0, 1, 2]] * 4
    centres[3:, 8:11] += np.eye(3) * 1.2
    labels = np.arange(count) % 6
    features = (centres[labels] + rng.normal(size=(count, 16))).astype(np.float32)
    if not multi_label:
        return FeatureArray("pairs", features, labels, list("abcdef"))
    marks = np.eye(6, dtype=bool)[labels]
    marks[::5, 1] = True
    features[::5] += centres[1].astype(np.float32)
    return FeatureArray("pairs", features, marks, list("abcdef"))


@pytest.mark.parametrize("similarity", ["confusion", "class-means"])
@pytest.mark.parametrize("multi_label", [False, True])
def test_related_classes_get_near_centres(
    similarity: str, multi_label: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="hashlens")
    method = CentralSimilarityHashing(centres=SEMANTIC, similarity=similarity, min_distance=4)
    model = hl.fit(paired_classes(600, 0, multi_label), method, bits=24, epochs=20, device="cpu")
    cosines = model.codebook.astype(int) @ model.codebook.T.astype(int)
    np.fill_diagonal(cosines, -99)
    assert {(min(a, b), max(a, b)) for a, b in enumerate(cosines.argmax(1).tolist())} >= set(PAIRS[::2])
    assert quality(model.codebook)["minimum_distance"] >= 4
    assert "most alike: a and d" in caplog.text
    assert "semantic centres: smallest distance" in caplog.text


def test_any_method_takes_semantic_centres() -> None:
    similarity = np.where(np.add.outer(np.arange(6), np.arange(6)) % 3 == 0, 0.6, -0.2)
    similarity = (similarity + similarity.T) / 2
    np.fill_diagonal(similarity, 1)
    for name in ("orthohash", "csq"):
        method = type(METHODS[name])(centres=SEMANTIC, similarity=similarity)
        model = hl.fit(paired_classes(120, 0), method, bits=16, epochs=1, device="cpu")
        np.testing.assert_array_equal(model.codebook, hl.centres.semantic(similarity, 16))
        assert model.method["parameters"]["similarity"] == "given"


def test_same_seed_same_centres_and_codes() -> None:
    source = paired_classes(300, 1)
    one, two = (hl.fit(source, "shc-annealed", bits=16, epochs=2, seed=4, device="cpu") for _ in range(2))
    np.testing.assert_array_equal(one.codebook, two.codebook)
    np.testing.assert_array_equal(one.encode(source), two.encode(source))


@pytest.mark.parametrize(
    ("similarity", "says"), [("taste", "'taste'"), (np.eye(5), "5 classes"), (np.zeros((6, 6)), "diagonal")]
)
def test_wrong_similarities_are_refused(similarity, says: str) -> None:
    with pytest.raises(BadInput, match=says):
        hl.fit(paired_classes(60, 0), OrthoHash(centres=SEMANTIC, similarity=similarity), bits=16, device="cpu")


def test_an_interrupted_end_to_end_training_does_not_train_its_classifier_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digits = hl.open_source("digits")
    for number in range(40):
        folder = tmp_path / "photos" / digits.label_names(number)[0]
        folder.mkdir(parents=True, exist_ok=True)
        digits.image(number).save(folder / f"{number}.png")
    options = {
        "method": "shc-annealed", "bits": 16, "image_size": 32, "finetune": True, "epochs": 1, "device": "cpu",
    }  # fmt: skip
    plain = hl.fit(tmp_path / "photos", **options)

    purposes = []
    train = stage.train
    monkeypatch.setattr(stage, "train", lambda *a, **k: purposes.append(k["purpose"]) or train(*a, **k))
    fit_module = sys.modules["hashlens.training.fit"]  # the package's own "fit" is the function
    monkeypatch.setattr(fit_module, "train", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        hl.fit(tmp_path / "photos", **options, checkpoints=tmp_path / "checkpoints")
    monkeypatch.setattr(fit_module, "train", train)
    resumed = hl.fit(tmp_path / "photos", **options, checkpoints=tmp_path / "checkpoints")
    assert purposes == ["classifier"]
    np.testing.assert_array_equal(resumed.codebook, plain.codebook)
    assert resumed.fingerprint() == plain.fingerprint()
    discard_checkpoints(tmp_path / "checkpoints")
    assert not (tmp_path / "checkpoints").exists()
