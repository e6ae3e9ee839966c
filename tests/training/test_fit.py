"""Training on features and end to end: what it learns, what it refuses, and that it can be interrupted."""

from __future__ import annotations

import gc
import json
import logging
import math
import os
import shutil
import signal
import subprocess
import sys
import weakref
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import save_file
from sklearn.datasets import load_digits

from hashlens.backbones import load_backbone
from hashlens.centres import bernoulli, hadamard
from hashlens.classes import Taxonomy
from hashlens.codes import pack
from hashlens.errors import BadInput
from hashlens.methods import METHODS, SHREWD, OrthoHash, get_method
from hashlens.metrics import evaluate, mean_average_precision
from hashlens.models import HASH_LAYERS, HashModel, HashNetwork, HiddenLayers
from hashlens.sources import FeatureArray, open_source
from hashlens.training import discard_checkpoints, fit
from hashlens.training.split import hold_out
from refusals import is_one_sentence

COLOURS = {"blue": (40, 60, 200), "green": (50, 180, 70), "grey": (120, 120, 125), "red": (200, 50, 40)}


pytestmark = pytest.mark.usefixtures("one_thread")


# Features


def digits(test: bool) -> FeatureArray:
    data = load_digits()
    part = slice(1437, None) if test else slice(1437)
    pixels = (data.data[part] / 16).astype(np.float32)
    return FeatureArray("digits", pixels, data.target[part].astype(np.int64), [f"digit {n}" for n in range(10)])


TRAIN, TEST = digits(test=False), digits(test=True)


def fit_digits(**options: Any) -> HashModel:
    return fit(TRAIN, **({"bits": 16, "epochs": 3, "device": "cpu"} | options))


def retrieval(model: HashModel, test: FeatureArray = TEST, database: FeatureArray = TRAIN) -> float:
    return mean_average_precision(
        model.encode(test), test.labels, model.encode(database), database.labels, bits=model.bits
    )


def untrained(dimension: int, classes: int, bits: int) -> HashModel:
    torch.manual_seed(0)
    network = HashNetwork(None, HiddenLayers(dimension, ()), HASH_LAYERS["batch-norm"](dimension, bits))
    names = tuple(map(str, range(classes)))
    return HashModel(network, bits, "batch-norm", {"name": "none"}, names, bernoulli(classes, bits))


def label_sets(count: int, seed: int) -> FeatureArray:
    """Features that are noisy sums of one direction for each of six labels."""
    random = np.random.default_rng(seed)
    marks = random.random((count, 6)) < 0.25
    marks[np.arange(count), random.integers(0, 6, count)] = True
    directions = np.random.default_rng(0).normal(size=(6, 24))
    features = marks @ directions + 0.8 * random.normal(size=(count, 24))
    return FeatureArray("label sets", features.astype(np.float32), marks, list("abcdef"))


# How alike digits look, as a taxonomy: those of one row share a loop or a stroke.
DIGIT_TREE = Taxonomy.from_edges(
    [("digit", "round"), ("digit", "straight"), *(("round", f"digit {n}") for n in (0, 3, 5, 6, 8, 9))]
    + [("straight", f"digit {n}") for n in (1, 2, 4, 7)]
)


@pytest.mark.parametrize(
    ("method", "paper"),
    # By the papers' settings only one of each: ten epochs of few digits are too few for some of the ablations.
    [(name, False) for name in METHODS] + [(name, True) for name in ("orthohash", "orthoarc", "csq", "shc")],
)
def test_codes_of_unseen_digits_find_their_class_far_better_than_untrained_ones(method: str, paper: bool) -> None:
    # Fewer items and epochs teach our settings as much; the papers' are for more of both.
    few = {} if paper else {"epochs": 12}
    train = TRAIN if paper else TRAIN.select(np.arange(500))
    trained = fit(train, method, bits=32, taxonomy=DIGIT_TREE, paper=paper, device="cpu", **few)
    before = retrieval(untrained(64, 10, 32).adapt(train), database=train)
    assert retrieval(trained, database=train) > before + 0.1


def test_hidden_layers_tell_classes_apart_that_no_plane_does(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    corners = random.integers(0, 2, (1200, 2))
    features = np.hstack([4 * corners - 2, np.zeros((1200, 6))]) + 0.5 * random.normal(size=(1200, 8))
    crossed = FeatureArray("crossed", features.astype(np.float32), corners[:, 0] ^ corners[:, 1])
    train, test = crossed.select(np.arange(900)), crossed.select(np.arange(900, 1200))
    options: dict[str, Any] = {"method": "orthohash", "bits": 16, "epochs": 20, "device": "cpu"}
    flat, bent = (fit(train, hidden_layers=sizes, **options) for sizes in ((), (32, 16)))
    assert retrieval(bent, test, train) > 0.9 > 0.75 > retrieval(flat, test, train)
    assert bent.training["settings"]["hidden_layers"] == [32, 16]
    assert bent.feature_dimension == flat.feature_dimension == 8
    bent.save(tmp_path)
    loaded = HashModel.load(tmp_path)
    np.testing.assert_array_equal(loaded.continuous_codes(test), bent.continuous_codes(test))
    bent.adapt(test)
    np.testing.assert_allclose(
        bent.continuous_codes(test).mean(0), bent.network.hash_layer.norm.bias.detach(), atol=1e-4
    )


def test_feature_dropout_leaves_features_out_in_training_alone() -> None:
    none, half = (fit_digits(epochs=2, feature_dropout=share) for share in (0.0, 0.5))
    assert half.training["settings"]["feature_dropout"] == 0.5
    assert half.training["history"][0]["loss"] > none.training["history"][0]["loss"]
    np.testing.assert_array_equal(half.continuous_codes(TEST), half.continuous_codes(TEST))


@pytest.mark.parametrize("sizes", [[0], [16, -1], [2.5]])
def test_hidden_layers_of_no_size_are_refused(sizes: list[float]) -> None:
    with pytest.raises(BadInput, match="hidden layers") as error:
        fit_digits(hidden_layers=sizes)
    assert is_one_sentence(error)


def hierarchical_precision(model: HashModel) -> float:
    report = evaluate(
        model.encode(TEST), TEST.labels, model.encode(TRAIN), TRAIN.labels, (250,), DIGIT_TREE, TRAIN.class_names
    )
    return report["mAHP@250"]


WEAK = SHREWD(classification_weight=0)


def test_distances_alone_are_learnt_from() -> None:
    chance = untrained(64, 10, 32).adapt(TRAIN)
    weak = fit(TRAIN, WEAK, bits=32, taxonomy=DIGIT_TREE, device="cpu")
    assert hierarchical_precision(weak) > hierarchical_precision(chance) + 0.05
    assert retrieval(weak) > retrieval(chance) + 0.05
    assert weak.codebook is None
    assert all(0 < entry["validation_mAHP@250"] <= 1 for entry in weak.training["history"])
    matrix = DIGIT_TREE.distance_matrix(TRAIN.class_names)
    by_matrix = fit(TRAIN, WEAK, bits=32, taxonomy=matrix, device="cpu")
    np.testing.assert_array_equal(by_matrix.encode(TEST), weak.encode(TEST))


def test_vectors_of_items_take_the_place_of_classes(tmp_path: Path) -> None:
    vectors = np.random.default_rng(0).normal(size=(10, 8))[TRAIN.labels]
    vectors[:7] = 0
    unlabelled = FeatureArray("digits", TRAIN.features())
    model = fit(unlabelled, WEAK, bits=32, item_vectors=vectors, device="cpu")
    assert model.training["images"] + model.training["held_out"] == len(TRAIN) - 7
    assert model.class_names == ()
    assert model.codebook is None
    assert retrieval(model) > retrieval(untrained(64, 10, 32).adapt(TRAIN)) + 0.05
    model.save(tmp_path / "model")
    loaded = HashModel.load(tmp_path / "model")
    assert loaded.codebook is None
    np.testing.assert_array_equal(loaded.encode(TEST), model.encode(TEST))
    np.save(tmp_path / "vectors.npy", vectors)
    again = fit(unlabelled, WEAK, bits=32, item_vectors=str(tmp_path / "vectors.npy"), device="cpu")
    np.testing.assert_array_equal(again.encode(TEST), model.encode(TEST))


def test_label_sets_and_distances() -> None:
    train, test = label_sets(600, 1), label_sets(150, 2)
    distances = np.abs(np.subtract.outer(np.arange(6), np.arange(6))) / 5
    for method in (SHREWD(), WEAK):
        model = fit(train, method, bits=32, taxonomy=distances, device="cpu")
        assert retrieval(model, test, train) > retrieval(untrained(24, 6, 32).adapt(train), test, train)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"method": "shrewd"}, "taxonomy"),
        ({"method": OrthoHash(centres="semantic", similarity="taxonomy")}, "taxonomy"),
        ({"method": "shrewd", "taxonomy": np.zeros((3, 3))}, "3 classes, but there are 10"),
        ({"method": "shrewd", "taxonomy": Taxonomy.from_edges([("a", "b"), ("a", "c")])}, "'digit 0'"),
        ({"method": "shrewd", "taxonomy": DIGIT_TREE, "paper": True}, "paper"),
        ({"method": "hashlens", "item_vectors": np.ones((len(TRAIN), 3))}, "without classes"),
        ({"method": WEAK, "item_vectors": np.ones((5, 3))}, "1437 items"),
        ({"method": WEAK, "item_vectors": np.full((len(TRAIN), 3), np.nan)}, "Row 0"),
        ({"method": WEAK, "item_vectors": np.zeros((len(TRAIN), 3))}, "vector"),
    ],
)
def test_what_distances_need_is_told_in_a_sentence(options: dict[str, Any], says: str) -> None:
    with pytest.raises(BadInput) as error:
        fit(TRAIN, **options)
    assert says in str(error.value)
    assert is_one_sentence(error)


def test_label_sets_are_learnt() -> None:
    train, test = label_sets(600, 1), label_sets(150, 2)
    model = fit(train, bits=32, device="cpu")
    assert retrieval(model, test, train) > retrieval(untrained(24, 6, 32).adapt(train), test, train) + 0.05
    assert model.training["held_out"] == 60
    assert all(0 < entry["validation_mAP"] <= 1 for entry in model.training["history"])


@pytest.mark.parametrize("bits", [8, 13, 100])
def test_the_model_is_what_was_asked_for(bits: int) -> None:
    model = fit_digits(bits=bits, method="orthoarc", seed=4)
    assert model.bits == bits
    assert model.encode(TEST).shape == (len(TEST), (bits + 7) // 8)
    assert model.class_names == TRAIN.class_names
    assert model.feature_dimension == 64
    assert model.backbone is None
    assert not model.finetuned
    assert not model.network.training
    assert model.method["name"] == "OrthoHash"
    assert model.method["parameters"]["margin_kind"] == "arc"
    np.testing.assert_array_equal(model.codebook, METHODS["orthoarc"].codebook(10, bits, 4))


def test_a_trained_model_survives_saving(tmp_path: Path) -> None:
    model = fit_digits(method=OrthoHash(centres=hadamard(10, 16), scale="auto"))
    model.save(tmp_path)
    loaded = HashModel.load(tmp_path)
    np.testing.assert_array_equal(loaded.continuous_codes(TEST), model.continuous_codes(TEST))
    assert loaded.training == model.training
    assert loaded.method == model.method


def test_the_same_seed_gives_the_same_codes_and_another_one_others() -> None:
    first = fit_digits(seed=1)
    np.random.seed(5)  # noqa: NPY002
    torch.manual_seed(5)
    again, other = fit_digits(seed=1), fit_digits(seed=2)
    np.testing.assert_array_equal(again.continuous_codes(TEST), first.continuous_codes(TEST))
    assert again.fingerprint() == first.fingerprint()
    assert again.training == first.training
    assert (other.encode(TEST) != first.encode(TEST)).any()
    assert (other.codebook != first.codebook).any()


def test_training_leaves_the_random_numbers_of_its_caller_alone() -> None:
    torch.manual_seed(3)
    wanted = torch.rand(4)
    torch.manual_seed(3)
    fit_digits(epochs=1)
    torch.testing.assert_close(torch.rand(4), wanted, rtol=0, atol=0)


def test_training_data_are_let_go_at_once() -> None:
    source = digits(test=False)
    held = weakref.ref(source)
    gc.disable()
    try:
        model = fit(source, bits=16, epochs=1, device="cpu")
        del source
        assert held() is None
    finally:
        gc.enable()
    assert model.bits == 16


def test_training_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    fit_digits(epochs=1)
    assert list(tmp_path.iterdir()) == []


def test_the_best_epoch_is_kept() -> None:
    few, best_before_last = TRAIN.select(np.arange(300)), 0
    for seed in range(5):
        # A rate that is far too high makes some epochs worse than those before.
        options: dict[str, Any] = {"epochs": 6, "learning_rate": 3.0, "batch_size": 32, "validation": 0.2}
        model = fit(few, "orthohash", bits=8, seed=seed, paper=True, device="cpu", **options)
        scores = [entry["validation_mAP"] for entry in model.training["history"]]
        assert model.training["best_epoch"] == int(np.argmax(scores)) + 1
        best_before_last += model.training["best_epoch"] < len(scores)
        held_out = few.select(hold_out(few.labels, 0.2, seed)[1])
        assert model.training["held_out"] == len(held_out)
        codes = model.encode(held_out)
        found = mean_average_precision(codes, held_out.labels, codes, held_out.labels, leave_one_out=True)
        assert found == pytest.approx(max(scores), abs=1e-6)
    assert best_before_last, "the last epoch was always best, so nothing was shown"


def test_without_validation_all_is_trained_on_and_the_last_epoch_kept() -> None:
    model = fit_digits(validation=0)
    assert model.training["images"] == len(TRAIN)
    assert model.training["held_out"] == 0
    assert model.training["best_epoch"] == 3
    assert all("validation_mAP" not in entry for entry in model.training["history"])


def test_the_history_records_every_epoch() -> None:
    training = fit_digits(epochs=4, seed=3).training
    assert [entry["epoch"] for entry in training["history"]] == [1, 2, 3, 4]
    losses = [entry["loss"] for entry in training["history"]]
    assert all(math.isfinite(loss) for loss in losses)
    assert losses[-1] < losses[0]
    assert training["source"] == "digits"
    assert training["seed"] == 3
    assert training["images"] + training["held_out"] == len(TRAIN)
    assert training["unreadable"] == 0
    assert not training["finetune"]


def test_paper_settings_are_used_on_demand() -> None:
    training = fit(TRAIN, "orthohash", bits=16, paper=True, device="cpu").training
    wanted = get_method("orthohash").settings(finetune=False, paper=True)
    assert training["settings"] == vars(wanted) | {"hidden_layers": []}
    assert training["paper"]
    assert len(training["history"]) == 10


def test_single_settings_are_overridden() -> None:
    settings = fit_digits(method="orthohash", epochs=2, batch_size=50, learning_rate=0.01).training["settings"]
    assert (settings["epochs"], settings["batch_size"], settings["learning_rate"]) == (2, 50, 0.01)
    untouched = vars(get_method("orthohash").settings(finetune=False, paper=False))
    assert {name: settings[name] for name in ("weight_decay", "schedule")} == {
        name: untouched[name] for name in ("weight_decay", "schedule")
    }


def test_features_are_trained_on_from_a_file(tmp_path: Path) -> None:
    np.savez(tmp_path / "digits.npz", x=TRAIN.features(), y=TRAIN.labels, class_names=np.array(TRAIN.class_names))
    from_file = fit(str(tmp_path / "digits.npz"), bits=16, epochs=3, device="cpu")
    np.testing.assert_array_equal(from_file.encode(TEST), fit_digits().encode(TEST))
    assert from_file.class_names == TRAIN.class_names


def test_rows_without_a_label_are_left_out() -> None:
    labels = TRAIN.labels.copy()
    labels[::3] = -1
    features = TRAIN.features().copy()
    features[::3] = 1e6  # would spoil everything
    model = fit(FeatureArray("digits", features, labels, TRAIN.class_names), bits=16, epochs=3, device="cpu")
    rest = TRAIN.select(labels >= 0)
    np.testing.assert_array_equal(model.encode(TEST), fit(rest, bits=16, epochs=3, device="cpu").encode(TEST))
    assert model.training["images"] + model.training["held_out"] == len(rest)


def test_label_sets_without_a_label_are_left_out() -> None:
    source = label_sets(200, 1)
    source.labels[:50] = False
    model = fit(source, bits=16, epochs=1, device="cpu")
    assert model.training["images"] + model.training["held_out"] == 150


def test_a_given_codebook_is_trained_towards() -> None:
    codebook = hadamard(10, 32, 8)
    model = fit(TRAIN, OrthoHash(centres=codebook), bits=32, device="cpu")
    np.testing.assert_array_equal(model.codebook, codebook)
    assert mean_average_precision(model.encode(TEST), TEST.labels, pack(codebook), np.arange(10), bits=32) > 0.8


def test_batches_larger_than_the_source_are_the_whole_source() -> None:
    few = TRAIN.select(np.arange(60))
    model = fit(few, bits=16, epochs=2, batch_size=10_000, device="cpu")
    assert len(model.training["history"]) == 2


def test_four_images_of_two_classes_are_enough() -> None:
    few = FeatureArray("few", np.eye(4, 6, dtype=np.float32), np.array([0, 0, 1, 1]), ["a", "b"])
    assert fit(few, bits=8, epochs=2, device="cpu").encode(few).shape == (4, 1)


def one_class() -> FeatureArray:
    return FeatureArray("one", TRAIN.features(), np.zeros(len(TRAIN), np.int64), ["only"])


def unlabelled() -> FeatureArray:
    return FeatureArray("none", TRAIN.features(), np.full(len(TRAIN), -1), ["a", "b"])


def an_empty_class() -> FeatureArray:
    return FeatureArray("gap", TRAIN.features(), TRAIN.labels, [*TRAIN.class_names, "ghost"])


def an_empty_label() -> FeatureArray:
    marks = np.eye(11, dtype=bool)[TRAIN.labels]
    return FeatureArray("gap", TRAIN.features(), marks, [*TRAIN.class_names, "ghost"])


def many_classes() -> FeatureArray:
    return FeatureArray("many", np.eye(600, dtype=np.float32), np.arange(600) // 2, list(map(str, range(300))))


def three_items() -> FeatureArray:
    return FeatureArray("few", np.eye(3, dtype=np.float32), np.array([0, 0, 1]), ["a", "b"])


@pytest.mark.parametrize(
    ("source", "options", "says"),
    [
        pytest.param(TRAIN.features(), {"method": "orthohash"}, "no labels", id="no labels"),
        pytest.param(unlabelled(), {}, "label", id="every label missing"),
        pytest.param(one_class(), {}, "'only'", id="one class"),
        pytest.param(an_empty_class(), {}, "'ghost'", id="a class without items"),
        pytest.param(an_empty_label(), {}, "'ghost'", id="a label without items"),
        pytest.param(three_items(), {}, "3", id="three items"),
        pytest.param(many_classes(), {"bits": 8}, "300 classes", id="too few bits for the classes"),
        pytest.param(TRAIN, {"bits": 7}, "7 bits", id="bits too few"),
        pytest.param(TRAIN, {"bits": 1025}, "1025 bits", id="bits too many"),
        pytest.param(TRAIN, {"bits": 16.5}, "16.5 bits", id="half a bit"),
        pytest.param(TRAIN, {"method": "nosuch"}, "'nosuch'", id="unknown method"),
        pytest.param(TRAIN, {"method": OrthoHash(centres="x")}, "'x'", id="unknown centres"),
        pytest.param(TRAIN, {"method": OrthoHash(centres=hadamard(9, 16))}, "9 classes", id="codebook too small"),
        pytest.param(TRAIN, {"method": OrthoHash(margin=-1)}, "margin", id="a margin out of range"),
        pytest.param(TRAIN, {"epochs": 0}, "epochs is 0", id="no epochs"),
        pytest.param(TRAIN, {"epochs": -3}, "epochs is -3", id="negative epochs"),
        pytest.param(TRAIN, {"feature_dropout": 1.0}, "dropout is 1.0", id="no feature left"),
        pytest.param(TRAIN, {"feature_dropout": math.nan}, "dropout is nan", id="dropout of no number"),
        pytest.param(TRAIN, {"epochs": 1.5}, "epochs is 1.5", id="half an epoch"),
        pytest.param(TRAIN, {"epochs": math.inf}, "epochs is inf", id="endless epochs"),
        pytest.param(TRAIN, {"batch_size": 0}, "batch size is 0", id="empty batches"),
        pytest.param(TRAIN, {"batch_size": 1}, "batch size is 1", id="batches of one"),
        pytest.param(TRAIN, {"batch_size": 2.5}, "batch size is 2.5", id="batches of two and a half"),
        pytest.param(TRAIN, {"learning_rate": 0}, "learning rate is 0", id="learning rate zero"),
        pytest.param(TRAIN, {"learning_rate": -0.1}, "learning rate is -0.1", id="negative learning rate"),
        pytest.param(TRAIN, {"learning_rate": math.nan}, "learning rate is nan", id="learning rate NaN"),
        pytest.param(TRAIN, {"learning_rate": math.inf}, "learning rate is inf", id="infinite learning rate"),
        pytest.param(TRAIN, {"validation": 1.0}, "validation share is 1.0", id="validation on all"),
        pytest.param(TRAIN, {"validation": -0.1}, "validation share is -0.1", id="negative validation"),
        pytest.param(TRAIN, {"validation": math.nan}, "validation share is nan", id="validation NaN"),
        pytest.param(TRAIN, {"seed": -1}, "seed is -1", id="a negative seed"),
        pytest.param(TRAIN, {"devices": 0}, "devices is 0", id="no devices"),
        pytest.param(TRAIN, {"finetune": True}, "no backbone", id="finetuning features"),
        pytest.param(TRAIN, {"device": "abacus"}, "'abacus'", id="unknown device"),
        pytest.param("no/such/place", {}, "no/such/place", id="no such source"),
    ],
)
def test_what_cannot_be_trained_is_refused_in_a_sentence(source: Any, options: dict[str, Any], says: str) -> None:
    with pytest.raises(BadInput) as error:
        fit(source, **({"bits": 16, "epochs": 1, "device": "cpu"} | options))
    assert says in str(error.value)
    assert is_one_sentence(error)


@pytest.mark.parametrize(
    "of", [lambda y: y + 1, lambda y: y * 100, lambda y: y + 1.0], ids=["1…", "gaps", "floats"]
)
def test_numbers_that_occur_are_the_classes(of: Any) -> None:
    x, y = TRAIN.features(), np.asarray(TRAIN.labels)
    model = fit(x, labels=of(y), bits=16, epochs=2, device="cpu")
    assert model.class_names == tuple(str(int(of(number))) for number in range(10))
    np.testing.assert_array_equal(model.encode(x), fit(x, labels=y, bits=16, epochs=2, device="cpu").encode(x))


def test_a_class_of_no_feature_is_not_called_one_of_no_image() -> None:
    with pytest.raises(BadInput, match="has no item of 'ghost'; add some"):
        fit(an_empty_class(), bits=16, epochs=1, device="cpu")


def test_as_much_validation_as_allowed_leaves_something_to_train_on() -> None:
    for source in (TRAIN, label_sets(100, 1)):
        training = fit(source, bits=16, epochs=1, validation=0.999, device="cpu").training
        assert training["images"] >= 2
        assert math.isfinite(training["history"][0]["loss"])


# Images


def draw_images(folder: Path, each: int = 10) -> Path:
    """Noisy squares of four colours, 40 × 40 pixels, a folder for each."""
    random = np.random.default_rng(0)
    for name, colour in COLOURS.items():
        (folder / name).mkdir(parents=True)
        for number in range(each):
            noisy = np.array(colour) + random.normal(0, 40, (40, 40, 3))
            Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(folder / name / f"{number}.png")
    return folder


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_images(tmp_path_factory.mktemp("images") / "bäume 木")


@pytest.fixture(scope="module")
def weights(images: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights of a small architecture, with batch-norm statistics that keep its features apart."""
    path = tmp_path_factory.mktemp("weights") / "lcnet.safetensors"
    torch.manual_seed(0)
    network = timm.create_model("lcnet_035", num_classes=0).train()
    source = open_source(images)
    pixels = torch.stack([torch.from_numpy(np.array(source.image(item))) for item in range(len(source))])
    with torch.no_grad():
        for _ in range(30):
            network(pixels.permute(0, 3, 1, 2).float() / 64 - 2)
    save_file(network.state_dict(), path)
    return path


def spoil(folder: Path, class_name: str) -> list[Path]:
    """Add a truncated image, a text and an empty file to a class."""
    bad = [folder / class_name / name for name in ("1-truncated.png", "2-notes.jpg", "3-empty.jpg")]
    whole = (folder / class_name / "1.png").read_bytes()
    bad[0].write_bytes(whole[: len(whole) // 2])
    bad[1].write_text("not an image")
    bad[2].touch()
    return bad


@pytest.mark.parametrize("finetune", [False, True])
def test_files_that_are_no_images_are_told_of_and_left_out(
    finetune: bool, tmp_path: Path, images: Path, weights: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = Path(shutil.copytree(images, tmp_path / "images"))
    bad = spoil(folder, "green")
    options: dict[str, Any] = {
        "bits": 16, "epochs": 1, "batch_size": 16, "image_size": 32, "validation": 0.5, "device": "cpu",
        "backbone": "lcnet_035", "weights": weights, "finetune": finetune,
    }  # fmt: skip
    with caplog.at_level(logging.WARNING, "hashlens"):
        model = fit(folder, **options)
    assert model.training["unreadable"] == 3
    assert model.training["images"] + model.training["held_out"] == 40
    assert all(path.name in caplog.text for path in bad)
    clean = fit(images, **options)
    np.testing.assert_array_equal(model.encode(images), clean.encode(images))


def test_frozen_features_of_the_default_backbone_tell_colours_apart(images: Path) -> None:
    model = fit(images, bits=16, image_size=32, device="cpu")
    assert model.backbone is not None
    assert model.backbone.name == "efficientnet_lite0"
    assert not model.finetuned
    assert model.backbone.fingerprint() == load_backbone(image_size=32, stages=True).fingerprint()
    assert model.training["unreadable"] == 0
    source = open_source(images)
    codes = model.encode(source)
    assert mean_average_precision(codes, source.labels, codes, source.labels, leave_one_out=True) > 0.9


def test_a_class_without_a_readable_image_is_named(tmp_path: Path, images: Path, weights: Path) -> None:
    folder = Path(shutil.copytree(images, tmp_path / "images"))
    spoil(folder, "red")
    for path in (folder / "red").glob("?.png"):
        path.unlink()
    for finetune in (False, True):
        with pytest.raises(BadInput, match="'red'") as error:
            fit(
                folder,
                bits=16,
                image_size=32,
                backbone="lcnet_035",
                weights=weights,
                finetune=finetune,
                device="cpu",
            )
        assert is_one_sentence(error)


def test_images_without_class_folders_are_refused(images: Path) -> None:
    with pytest.raises(BadInput, match="no labels") as error:
        fit(images / "red", "orthohash", bits=16, device="cpu")
    assert is_one_sentence(error)


def test_one_class_folder_is_refused(tmp_path: Path, images: Path, weights: Path) -> None:
    shutil.copytree(images / "red", tmp_path / "images" / "red")
    with pytest.raises(BadInput, match="'red'") as error:
        fit(tmp_path / "images", bits=16, image_size=32, backbone="lcnet_035", weights=weights, device="cpu")
    assert is_one_sentence(error)


def test_the_backbone_is_trained_end_to_end_on_demand(images: Path, tmp_path: Path) -> None:
    model = fit(
        images, bits=16, finetune=True, epochs=1, batch_size=16, image_size=32, validation=0.5, device="cpu"
    )
    assert model.finetuned
    assert model.training["finetune"]
    assert model.backbone is not None
    before, after = load_backbone(image_size=32).state_dict(), model.backbone.state_dict()
    convolutions = [name for name, value in after.items() if value.ndim == 4]
    changed = [bool((before[name] != after[name]).any()) for name in convolutions]
    assert not changed[0]  # the first layers stay as they were pretrained
    assert all(changed[changed.index(True) :])
    assert sum(changed) > len(changed) / 2
    assert len(model.training["history"]) == 1
    assert math.isfinite(model.training["history"][0]["loss"])
    codes = model.encode(images)
    assert codes.shape == (40, 2)
    model.save(tmp_path / "model")
    np.testing.assert_array_equal(HashModel.load(tmp_path / "model").encode(images), codes)


@pytest.mark.parametrize(("method", "shorter"), [("csq", 37), ("orthohash", None)])
def test_by_the_paper_codes_are_of_the_middle_of_a_wider_image_where_training_crops(
    images: Path, weights: Path, tmp_path: Path, method: str, shorter: int | None
) -> None:
    model = fit(
        images, method, bits=16, paper=True, finetune=True, epochs=1, image_size=32, backbone="lcnet_035",
        weights=weights, device="cpu",
    )  # fmt: skip
    assert model.backbone is not None
    assert model.backbone.preprocessing.shorter_side == shorter  # small images, as CIFAR-10's, are not cropped
    codes = model.continuous_codes(images)
    model.save(tmp_path / "model")
    loaded = HashModel.load(tmp_path / "model")
    assert loaded.backbone is not None
    assert loaded.backbone.preprocessing == model.backbone.preprocessing
    assert loaded.backbone.fingerprint() == model.backbone.fingerprint()
    np.testing.assert_array_equal(loaded.continuous_codes(images), codes)
    other = replace(model.backbone.preprocessing, shorter_side=40)
    loaded.backbone.preprocessing = other
    assert not np.array_equal(loaded.continuous_codes(images), codes)


# Interruption


class Interruption(Exception):
    pass


class InterruptAt(logging.Filter):
    """Raises when the training tells that its second epoch has ended, before that epoch is saved."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.getMessage().startswith("epoch 2 of 3"):
            raise Interruption
        return True


def resumable(weights: Path, **changes: Any) -> dict[str, Any]:
    return {
        "bits": 16, "backbone": "lcnet_035", "weights": str(weights), "image_size": 32, "finetune": True,
        "epochs": 3, "batch_size": 8, "learning_rate": 0.01, "validation": 0, "seed": 3, "device": "cpu",
        "method": OrthoHash(centres=hadamard(4, 16, 5)),
    } | changes  # fmt: skip


@pytest.fixture(scope="module")
def uninterrupted(images: Path, weights: Path) -> HashModel:
    return fit(images, **resumable(weights))


def fit_and_discard(source: Path, **options: Any) -> HashModel:
    """Train to the end, and remove the checkpoints as one does who has saved the model."""
    model = fit(source, **options)
    discard_checkpoints(options["checkpoints"])
    return model


def interrupt(images: Path, options: dict[str, Any]) -> None:
    log = logging.getLogger("hashlens")
    level, interruption = log.level, InterruptAt()
    log.setLevel(logging.INFO)
    log.addFilter(interruption)
    try:
        with pytest.raises(Interruption):
            fit(images, **options)
    finally:
        log.removeFilter(interruption)
        log.setLevel(level)


@pytest.fixture(scope="module")
def checkpoints(images: Path, weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a training that was interrupted in its second epoch has left."""
    folder = tmp_path_factory.mktemp("checkpoints") / "unfinished"
    interrupt(images, resumable(weights, checkpoints=folder))
    return folder


def test_interrupted_training_goes_on_and_ends_like_an_uninterrupted_one(
    images: Path,
    weights: Path,
    checkpoints: Path,
    uninterrupted: HashModel,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    folder = Path(shutil.copytree(checkpoints, tmp_path / "unfinished"))
    with caplog.at_level(logging.INFO, "hashlens"):
        model = fit_and_discard(images, **resumable(weights, checkpoints=folder))
    assert [record.getMessage()[:7] for record in caplog.records if "of 3" in record.getMessage()] == [
        "epoch 2",
        "epoch 3",
    ]
    assert model.training == uninterrupted.training
    np.testing.assert_array_equal(model.continuous_codes(images), uninterrupted.continuous_codes(images))
    assert model.fingerprint() == uninterrupted.fingerprint()
    assert not folder.exists()


def test_interrupted_training_with_dropout_and_validation_goes_on_exactly(
    images: Path, weights: Path, tmp_path: Path
) -> None:
    class WithDropout(OrthoHash):
        def settings(self, finetune: bool, paper: bool) -> Any:
            from dataclasses import replace

            return replace(super().settings(finetune, paper), feature_dropout=0.5)

    options = resumable(weights, method=WithDropout(), validation=0.5)
    whole = fit(images, **options)
    interrupt(images, options | {"checkpoints": tmp_path / "unfinished"})
    resumed = fit(images, **options, checkpoints=tmp_path / "unfinished")
    assert resumed.training == whole.training
    assert resumed.fingerprint() == whole.fingerprint()


KILLED = """
import json, logging, os, signal, sys

import numpy as np

from hashlens.centres import hadamard
from hashlens.methods import OrthoHash
from hashlens.training import fit


class Kill(logging.Handler):
    def emit(self, record):
        if record.getMessage().startswith("epoch 2 of 3"):
            os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    options = json.loads(sys.argv[2])
    logging.getLogger("hashlens").setLevel(logging.INFO)
    logging.getLogger("hashlens").addHandler(Kill())
    fit(sys.argv[1], **options, method=OrthoHash(centres=hadamard(4, 16, 5)))
"""


def run_script(script: str, folder: Path, *arguments: str) -> tuple[int, str]:
    (folder / "script.py").write_text(script, encoding="utf-8")
    with (folder / "output.txt").open("w+", encoding="utf-8") as output:  # a pipe would wait for orphaned workers
        command = [sys.executable, str(folder / "script.py"), *arguments]
        status = subprocess.run(
            command,
            stdout=output,
            stderr=output,
            stdin=subprocess.DEVNULL,
            cwd=folder,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            timeout=100,
            check=False,
        ).returncode
        output.seek(0)
        return status, output.read()


@pytest.mark.skipif(os.name != "posix", reason="kills a process by a signal")
def test_killed_training_goes_on_in_another_process(
    images: Path, weights: Path, uninterrupted: HashModel, tmp_path: Path
) -> None:
    folder = tmp_path / "deep" / "unfinished"
    options = resumable(weights, checkpoints=str(folder))
    method = options.pop("method")
    status, output = run_script(KILLED, tmp_path, str(images), json.dumps(options))
    assert status == -signal.SIGKILL, output
    assert folder.is_dir()
    model = fit_and_discard(images, **options, method=method)
    assert model.training == uninterrupted.training
    assert model.fingerprint() == uninterrupted.fingerprint()
    assert not folder.exists()


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"epochs": 4}, id="epochs"),
        pytest.param({"batch_size": 10}, id="batch size"),
        pytest.param({"learning_rate": 0.02}, id="learning rate"),
        pytest.param({"seed": 4}, id="seed"),
        pytest.param({"validation": 0.5}, id="validation"),
        pytest.param({"image_size": 48}, id="image size"),
        pytest.param({"bits": 24, "method": OrthoHash(centres=hadamard(4, 24, 5))}, id="bits"),
        pytest.param({"method": OrthoHash(centres=hadamard(4, 16, 6))}, id="codebook"),
        pytest.param({"method": OrthoHash(centres=hadamard(4, 16, 5), margin=0.5)}, id="margin"),
        pytest.param({"method": "orthoarc"}, id="method"),
        pytest.param({"paper": True}, id="paper"),
        pytest.param({"backbone": "efficientnet_lite0", "weights": None}, id="backbone"),
    ],
)
def test_other_settings_do_not_go_on_with_an_unfinished_training(
    change: dict[str, Any], images: Path, weights: Path, checkpoints: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(checkpoints, tmp_path / "unfinished"))
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(BadInput, match="other settings") as error:
        fit(images, **(resumable(weights, checkpoints=folder) | change))
    assert str(folder) in str(error.value)
    assert is_one_sentence(error)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_other_weights_do_not_go_on_with_an_unfinished_training(
    images: Path, weights: Path, checkpoints: Path, tmp_path: Path
) -> None:
    torch.manual_seed(1)
    save_file(timm.create_model("lcnet_035", num_classes=0).state_dict(), tmp_path / "other.safetensors")
    folder = Path(shutil.copytree(checkpoints, tmp_path / "unfinished"))
    with pytest.raises(BadInput, match="other settings"):
        fit(images, **resumable(tmp_path / "other.safetensors", checkpoints=folder))


def test_other_images_do_not_go_on_with_an_unfinished_training(
    images: Path, weights: Path, checkpoints: Path, tmp_path: Path
) -> None:
    moved = Path(shutil.copytree(images, tmp_path / "images"))
    (moved / "red" / "3.png").rename(moved / "blue" / "3-more.png")
    folder = Path(shutil.copytree(checkpoints, tmp_path / "unfinished"))
    with pytest.raises(BadInput, match="other settings"):
        fit(moved, **resumable(weights, checkpoints=folder))


def test_checkpoints_are_discarded_and_nothing_else(
    images: Path, weights: Path, uninterrupted: HashModel, tmp_path: Path
) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    model = fit_and_discard(images, **resumable(weights, checkpoints=tmp_path))
    assert model.fingerprint() == uninterrupted.fingerprint()
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_training_that_was_interrupted_after_its_last_epoch_only_ends(
    images: Path, weights: Path, uninterrupted: HashModel, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "unfinished"
    fit(images, **resumable(weights, checkpoints=folder))  # and killed before the model is saved
    with caplog.at_level(logging.INFO, "hashlens"):
        model = fit_and_discard(images, **resumable(weights, checkpoints=folder))
    assert not [record for record in caplog.records if record.getMessage().startswith("epoch")]
    assert model.training == uninterrupted.training
    assert model.fingerprint() == uninterrupted.fingerprint()
    assert not folder.exists()


def test_training_that_was_interrupted_before_an_epoch_ended_starts_again(
    images: Path, weights: Path, checkpoints: Path, uninterrupted: HashModel, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(checkpoints, tmp_path / "unfinished"))
    (folder / "last.ckpt").unlink()
    model = fit_and_discard(images, **resumable(weights, checkpoints=folder))
    assert model.fingerprint() == uninterrupted.fingerprint()
    assert not folder.exists()
