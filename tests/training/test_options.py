"""Options of training: what they refuse, what they override, and what is said of those that have no effect."""

from __future__ import annotations

import dataclasses
import logging
import math
from typing import Any

import numpy as np
import pytest
import torch

from hashlens.backbones import load_backbone
from hashlens.errors import BadInput
from hashlens.methods import SHREWD, Combination, get_method
from hashlens.sources import FeatureArray, ImageArray
from hashlens.training import FitOptions, fit, fit_with
from refusals import is_one_sentence

pytestmark = pytest.mark.usefixtures("one_thread")

LABELS = np.arange(60) % 3
FEATURES = FeatureArray("mine", np.random.default_rng(0).normal(size=(60, 8)).astype(np.float32), LABELS)


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("bits", 4, "4 bits"),
        ("seed", 2**63, "seed is 9223372036854775808"),
        ("seed", 0.5, "seed is 0.5"),
        ("seed", "7", "seed is 7"),
        ("devices", 1.5, "devices is 1.5"),
        ("image_size", 0, "image size is 0"),
        ("image_size", 100_000, "to 10,000"),
        ("image_size", math.nan, "image size is nan"),
        ("hidden_layers", (99_999_999_999,), "hidden layers is 99999999999"),
        ("hidden_layers", (16, math.inf), "hidden layers is inf"),
        ("learning_rate", "fast", "learning rate is fast"),
        ("learning_rate", 1e308, "learning rate is 1e+308"),
        ("feature_dropout", -0.1, "dropout is -0.1"),
        ("validation", 2, "validation share is 2"),
    ],
)
def test_what_is_out_of_range_is_refused_in_a_sentence(name: str, value: Any, says: str) -> None:
    with pytest.raises(BadInput) as error:
        FitOptions(**{name: value})
    assert says in str(error.value)
    assert is_one_sentence(error)


def test_the_largest_seed_trains() -> None:
    assert fit(FEATURES, "orthohash", 16, seed=2**63 - 1, epochs=1, device="cpu").training["seed"] == 2**63 - 1


def test_whole_numbers_of_any_type_become_integers() -> None:
    options = FitOptions(epochs=np.int32(3), bits=16.0, hidden_layers=[8.0, np.int64(4)])  # type: ignore[arg-type]
    assert (options.epochs, options.bits, options.hidden_layers) == (3, 16, (8, 4))
    assert all(type(value) is int for value in (options.epochs, options.bits, *options.hidden_layers))


def test_only_what_is_given_is_overridden() -> None:
    settings = get_method("orthohash").settings(finetune=False, paper=False)
    assert FitOptions().override(settings) == settings
    changed = FitOptions(epochs=2, hidden_layers=(), feature_dropout=0.0).override(settings)
    assert changed == dataclasses.replace(settings, epochs=2, hidden_layers=(), feature_dropout=0.0)


def test_options_as_one_value_train_as_keywords_do() -> None:
    by_keywords = fit(FEATURES, "orthohash", 16, epochs=2, seed=4, hidden_layers=[8], device="cpu")
    options = FitOptions(bits=16, epochs=2, seed=4, hidden_layers=(8,), device="cpu")
    assert fit_with(FEATURES, options, "orthohash").fingerprint() == by_keywords.fingerprint()


IGNORED: list[Any] = [
    pytest.param({"backbone": "lcnet_035"}, "backbone has no effect", id="backbone"),
    pytest.param({"weights": "none.safetensors"}, "weights has no effect", id="weights"),
    pytest.param({"image_size": 64}, "image_size has no effect", id="image size"),
    pytest.param({"devices": 2}, "devices has no effect", id="devices"),
    pytest.param({"checkpoints": "folder"}, "checkpoints has no effect", id="checkpoints"),
    pytest.param({"taxonomy": 1 - np.eye(3)}, "taxonomy has no effect on the method OrthoHash", id="taxonomy"),
    pytest.param(
        {"taxonomy": 1 - np.eye(3), "item_vectors": np.eye(60), "method": SHREWD(classification_weight=0)},
        "taxonomy has no effect: the vectors",
        id="taxonomy beside vectors",
    ),
]


@pytest.mark.parametrize(("options", "says"), IGNORED)
def test_an_option_without_effect_is_told_of(
    options: dict[str, Any], says: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "hashlens"):
        fit(FEATURES, **({"method": "orthohash", "bits": 16, "epochs": 1, "device": "cpu"} | options))
    assert [says in record.getMessage() for record in caplog.records] == [True]


def test_options_that_have_an_effect_are_not(caplog: pytest.LogCaptureFixture) -> None:
    images = ImageArray("noise", np.random.default_rng(0).integers(0, 256, (60, 32, 32, 3), np.uint8), LABELS)
    with caplog.at_level(logging.WARNING, "hashlens"):
        fit(images, "shrewd", 16, taxonomy=1 - np.eye(3), image_size=32, epochs=1, paper=False, device="cpu")
    assert not caplog.records


def test_progress_is_silent_unless_asked_for(capfd: pytest.CaptureFixture[str]) -> None:
    from collections.abc import Iterator
    from contextlib import contextmanager

    told: dict[str, list[Any]] = {}

    @contextmanager
    def note(description: str, total: int) -> Iterator[Any]:
        told[description] = [total, 0]

        def advance(steps: int = 1, note: str = "") -> None:
            told[description][1] += steps
            told[description] += [note] if note else []

        yield advance

    options = FitOptions(bits=16, epochs=2, batch_size=10, device="cpu", validation=0.4)
    fit_with(FEATURES, options, "orthohash")
    assert capfd.readouterr() == ("", "")
    fit_with(FEATURES, options, "orthohash", progress=note)
    total, done, *notes = told["Training"]
    assert total == done == 6
    assert len(notes) == 2
    assert all(said.startswith("validation mAP 0.") for said in notes)


class Exploding(torch.nn.Module):
    """From the second epoch on its loss is no number, or only its gradient is none."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor, self.progress = factor, 0.0

    def on_epoch(self, progress: float) -> None:
        self.progress = progress

    def forward(self, codes: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        if not self.progress:
            return codes.mean()
        return (self.factor * (codes - codes.detach())).abs().sqrt().mean()


@pytest.mark.parametrize("factor", [math.nan, math.inf, 1.0])
def test_a_training_that_diverges_is_refused(factor: float) -> None:
    method = Combination(objective=Exploding, hash_layer="sigmoid", parameters={"factor": factor})
    with pytest.raises(BadInput, match="diverged in epoch 2") as error:
        fit(FEATURES, method, 16, epochs=3, device="cpu")
    assert is_one_sentence(error)


def test_the_callers_backbone_is_not_trained() -> None:
    images = ImageArray("noise", np.random.default_rng(0).integers(0, 256, (16, 32, 32, 3), np.uint8), LABELS[:16])
    model = fit(images, "orthohash", 16, finetune=True, epochs=1, image_size=32, learning_rate=0.1, device="cpu")
    assert model.backbone is not None
    assert model.backbone.fingerprint() != load_backbone(image_size=32).fingerprint()


def test_a_paper_holds_nothing_out_unless_asked_to() -> None:
    assert [FitOptions(paper=paper).held_out_share for paper in (False, True)] == [0.1, 0.0]
    assert FitOptions(paper=True, validation=0.2).held_out_share == 0.2
    random = np.random.default_rng(0)
    labels = np.arange(400) % 4
    features = (np.eye(4, 16)[labels] + random.normal(size=(400, 16))).astype(np.float32)
    by_paper = fit(features, "orthohash", labels=labels, bits=16, paper=True, device="cpu")
    assert (by_paper.training["held_out"], by_paper.training["best_epoch"]) == (0, 10)
    assert fit(features, "orthohash", labels=labels, bits=16, epochs=1, device="cpu").training["held_out"] == 40


@pytest.mark.parametrize("method", ["mds", "orthohash", "orthohash-no-batch-norm"])  # csq has PyTorch's
def test_a_paper_starts_its_hash_layer_from_small_normal_numbers(method: str) -> None:
    labels = np.arange(300) % 3
    features = np.random.default_rng(0).normal(size=(300, 200)).astype(np.float32)
    model = fit(
        features,
        method,
        labels=labels,
        bits=64,
        paper=True,
        epochs=1,
        learning_rate=1e-9,
        batch_size=300,
        device="cpu",
    )
    linear = model.network.hash_layer.linear
    assert linear.weight.std().item() == pytest.approx(0.01, rel=0.05)
    assert linear.bias is None or linear.bias.abs().max().item() < 1e-5
