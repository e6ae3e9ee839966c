"""A loss that somebody adds from outside: one file that defines it, registers it, and trains with it."""

from __future__ import annotations

import logging
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits
from torch import Tensor, nn

import hashlens as hl
from hashlens.metrics import mean_average_precision
from hashlens.sources import FeatureArray

pytestmark = pytest.mark.usefixtures("one_thread")


class SteepPairs(nn.Module):
    """Like SteepPairs (Cao et al., ICCV 2017): the likelihood of pairs, with a tanh that grows into a sign."""

    heard: ClassVar[list[float]] = []

    def __init__(self, slope: float = 10.0, bits: int = 64) -> None:
        super().__init__()
        self.slope, self.bits, self.now = slope, bits, 1.0

    def on_epoch(self, progress: float) -> None:
        self.heard.append(progress)
        self.now = 1 + (self.slope - 1) * progress

    def forward(self, codes: Tensor, targets: Tensor) -> Tensor:
        bits = torch.tanh(self.now * codes)
        products = 8 * bits @ bits.T / self.bits
        alike = (targets[:, None] == targets).to(codes.dtype)
        weights = torch.where(alike > 0, 1 / alike.mean(), 1.0)
        return (weights * (nn.functional.softplus(products) - alike * products)).mean()


@pytest.fixture
def registered() -> Iterator[str]:
    SteepPairs.heard.clear()
    hl.objectives.register("steep-pairs")(SteepPairs)
    hl.methods.register("steep-pairs-method")(hl.methods.Combination(objective="steep-pairs"))
    yield "steep-pairs-method"
    hl.objectives.OBJECTIVES._things.pop("steep-pairs")
    hl.methods.METHODS._things.pop("steep-pairs-method")


def digits(part: slice) -> FeatureArray:
    data = load_digits()
    return FeatureArray("digits", (data.data[part] / 16).astype(np.float32), data.target[part])


def test_it_is_trained_by_name(registered: str) -> None:
    train, test = digits(slice(1437)), digits(slice(1437, None))
    model = hl.fit(train, registered, bits=32, epochs=5, device="cpu")
    assert model.codebook is None
    assert model.method == {
        "name": "Combination",
        "parameters": {
            "objective": "steep-pairs", "hash_layer": "batch-norm", "centres": None, "similarity": "confusion",
            "taxonomy_weight": 0.0, "min_distance": None,
        },
    }  # fmt: skip
    found = mean_average_precision(model.encode(test), test.labels, model.encode(train), train.labels, bits=32)
    assert found > 0.75
    assert SteepPairs.heard == [0.0, 0.2, 0.4, 0.6, 0.8]


def test_it_is_trained_as_it_stands_with_parameters_of_ones_own() -> None:
    SteepPairs.heard.clear()
    method = hl.methods.Combination(objective=SteepPairs, hash_layer="tanh", parameters={"slope": 3.0})
    assert hl.methods.configure(method, {"slope": "5"}).parameters == {"slope": 5.0}  # type: ignore[attr-defined]
    model = hl.fit(digits(slice(200)), method, bits=16, epochs=1, device="cpu")
    assert model.method["parameters"]["slope"] == 3.0
    assert SteepPairs.heard == [0.0]


class Interrupted(SteepPairs):
    def on_epoch(self, progress: float) -> None:
        if progress:
            signal.raise_signal(signal.SIGINT)


@pytest.fixture
def interruptible() -> Iterator[None]:
    """A shell has interrupts ignored by what it starts in the background, and so perhaps by these tests."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_reaches_the_caller_who_may_train_again() -> None:
    with pytest.raises(KeyboardInterrupt):
        hl.fit(digits(slice(100)), hl.methods.Combination(objective=Interrupted), bits=16, epochs=2, device="cpu")
    assert hl.fit(digits(slice(100)), "orthohash", bits=16, epochs=1, device="cpu").bits == 16


def test_a_hash_layer_that_there_is_not_is_refused_with_those_that_there_are() -> None:
    method = hl.methods.Combination(objective=SteepPairs, hash_layer="relu")
    with pytest.raises(hl.BadInput, match=r"'relu'.*batch-norm"):
        hl.fit(digits(slice(100)), method, bits=16, epochs=1, device="cpu")


class Interruption(Exception):
    pass


def interrupt_in_second_epoch(record: logging.LogRecord) -> bool:
    if record.getMessage().startswith("epoch 2 of 4"):
        raise Interruption
    return True


def test_a_training_that_is_taken_up_again_tells_it_where_it_is(
    registered: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    random = np.random.default_rng(0)
    for number in range(24):
        folder = tmp_path / "images" / "ab"[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 256, (32, 32, 3), np.uint8)).save(folder / f"{number}.png")
    options: dict[str, Any] = {
        "method": registered, "bits": 8, "epochs": 4, "batch_size": 8, "image_size": 32, "finetune": True,
        "validation": 0, "device": "cpu",
    }  # fmt: skip
    whole = hl.fit(tmp_path / "images", **options)
    SteepPairs.heard.clear()
    log = logging.getLogger("hashlens")
    with caplog.at_level(logging.INFO, "hashlens"):
        log.addFilter(interrupt_in_second_epoch)
        try:
            with pytest.raises(Interruption):
                hl.fit(tmp_path / "images", **options, checkpoints=tmp_path / "unfinished")
        finally:
            log.removeFilter(interrupt_in_second_epoch)
    resumed = hl.fit(tmp_path / "images", **options, checkpoints=tmp_path / "unfinished")
    warm_start = [epoch / 20 for epoch in range(20)]
    assert SteepPairs.heard == [*warm_start, 0.0, 0.25, *warm_start, 0.25, 0.5, 0.75]
    assert resumed.fingerprint() == whole.fingerprint()
