"""Every method and every kind of centres, from codebook to gradient, and the figures of the papers."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from hashlens.centres import GENERATORS, check_codebook, needs_similarity
from hashlens.classes import embedding_similarity
from hashlens.errors import BadInput
from hashlens.methods import (
    METHODS,
    SCHEDULES,
    SHREWD,
    CentreMethod,
    OrthoHash,
    TrainingSettings,
    get_method,
)
from hashlens.models import HASH_LAYERS
from hashlens.objectives import (
    Classification,
    DistanceMatching,
    EmpiricalDivergence,
    Problem,
)
from refusals import UNPUBLISHED, is_one_sentence

CLASSES, BITS = 6, 24
DISTANCES = 0.25 + 0.75 * np.abs(np.subtract.outer(np.arange(CLASSES) // 2, np.arange(CLASSES) // 2)) / 2
np.fill_diagonal(DISTANCES, 0)


def problem(codebook: Any = None) -> Problem:
    return Problem(BITS, CLASSES, codebook=codebook, class_distance=DISTANCES)


def targets_for(count: int, multi_label: bool) -> torch.Tensor:
    classes = torch.arange(count) % CLASSES
    if not multi_label:
        return classes
    marks = nn.functional.one_hot(classes, CLASSES)
    marks[::2, 0] = 1
    return marks


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("multi_label", [False, True])
def test_every_method_trains_its_hash_layer(name: str, multi_label: bool) -> None:
    method = get_method(name)
    similarity = embedding_similarity(np.random.default_rng(0).normal(size=(CLASSES, 4)))
    codebook = None
    if isinstance(method, CentreMethod) and method.centres is not None:
        codebook = method.codebook(CLASSES, BITS, 3, similarity)
    objective = method.objective_for(problem(codebook))
    torch.manual_seed(0)
    layer = HASH_LAYERS[method.hash_layer_for(problem())](10, BITS)
    inputs = torch.randn(18, 10)
    loss = objective(layer(inputs), targets_for(18, multi_label))
    loss.backward()
    if codebook is not None:
        assert codebook.shape == (CLASSES, BITS)
        assert codebook.dtype == np.int8
    assert loss.shape == ()
    assert torch.isfinite(loss)
    for parameter in layer.parameters():
        assert parameter.grad is not None
        assert torch.isfinite(parameter.grad).all()
    assert layer.linear.weight.grad.abs().sum() > 0


@pytest.mark.parametrize("centres", [name for name in GENERATORS if not needs_similarity(name)])
@pytest.mark.parametrize("kind", ["cos", "arc"])
def test_every_kind_of_centres_goes_with_every_margin(centres: str, kind: Any) -> None:
    method = OrthoHash(centres=centres, margin_kind=kind)
    codebook = method.codebook(CLASSES, BITS, seed=1)
    np.testing.assert_array_equal(codebook, GENERATORS[centres](CLASSES, BITS, 1))
    codes = torch.randn(12, BITS, generator=torch.Generator().manual_seed(0), requires_grad=True)
    loss = method.objective_for(problem(codebook))(codes, targets_for(12, False))
    loss.backward()
    assert torch.isfinite(loss)
    assert codes.grad is not None
    assert (codes.grad.abs().sum(1) > 0).all()


@pytest.mark.parametrize("centres", [name for name in GENERATORS if not needs_similarity(name)])
@pytest.mark.parametrize(("classes", "bits"), [(2, 8), (7, 9), (100, 16), (40, 200)])
def test_centres_are_distinct_and_depend_on_the_seed_alone(centres: str, classes: int, bits: int) -> None:
    if centres == "mds" and classes > 10:
        classes, bits = 10, min(bits, 40)  # as published it takes long
    method = OrthoHash(centres=centres)
    codebook = method.codebook(classes, bits, seed=5)
    np.testing.assert_array_equal(check_codebook(codebook, classes, bits), codebook)
    np.testing.assert_array_equal(method.codebook(classes, bits, seed=5), codebook)
    assert (method.codebook(classes, bits, seed=6) != codebook).any()


def test_a_codebook_of_ones_own_is_used() -> None:
    given = GENERATORS["hadamard"](CLASSES, BITS, 9)
    for form in (given, given.tolist(), given.astype(np.float64)):
        codebook = OrthoHash(centres=form).codebook(CLASSES, BITS, seed=0)
        np.testing.assert_array_equal(codebook, given)
        assert codebook.dtype == np.int8


@pytest.mark.parametrize(
    ("centres", "says"),
    [
        pytest.param(np.ones((CLASSES, BITS)), "1 distinct", id="equal rows"),
        pytest.param(np.zeros((CLASSES, BITS)), "−1 and +1", id="zeros"),
        pytest.param(GENERATORS["hadamard"](CLASSES - 1, BITS, 0), "5 classes, but 6", id="a class short"),
        pytest.param(GENERATORS["hadamard"](CLASSES, BITS + 8, 0), "32 bits, but 24", id="too long"),
        pytest.param("gaussian", "'gaussian'", id="unknown name"),
    ],
)
def test_centres_that_do_not_fit_are_refused_in_a_sentence(centres: Any, says: str) -> None:
    with pytest.raises(BadInput) as error:
        OrthoHash(centres=centres).codebook(CLASSES, BITS, seed=0)
    assert says in str(error.value)
    assert is_one_sentence(error)


def test_unknown_centres_are_answered_with_the_known_ones() -> None:
    with pytest.raises(BadInput) as error:
        OrthoHash(centres="gaussian").codebook(CLASSES, BITS, seed=0)
    assert all(name in str(error.value) for name in GENERATORS)


@pytest.mark.parametrize("name", ["nosuchmethod", "", "OrthoHash", "orthohash "])
def test_unknown_methods_are_refused_with_the_known_ones(name: str) -> None:
    with pytest.raises(BadInput) as error:
        get_method(name)
    assert f"'{name}'" in str(error.value)
    assert all(known in str(error.value) for known in METHODS)
    assert is_one_sentence(error)


def test_a_method_with_parameters_of_ones_own_passes_through() -> None:
    method = OrthoHash(margin=0.4)
    assert get_method(method) is method


def test_published_names_stand_for_the_published_losses() -> None:
    codes, targets = torch.randn(12, BITS, generator=torch.Generator().manual_seed(1)), targets_for(12, False)
    codebook = GENERATORS["bernoulli"](CLASSES, BITS, 0)
    cosines = nn.functional.normalize(codes, dim=1) @ torch.from_numpy(codebook).float().T / math.sqrt(BITS)
    target = nn.functional.one_hot(targets, CLASSES).bool()
    for name, lowered in (("orthohash", cosines - 0.2), ("orthoarc", torch.cos(torch.arccos(cosines) + 0.2))):
        logits = math.sqrt(BITS) * torch.where(target, lowered, cosines)
        wanted = nn.functional.cross_entropy(logits, targets).item()
        method = get_method(name)
        assert isinstance(method, CentreMethod)
        np.testing.assert_array_equal(method.codebook(CLASSES, BITS, 0), codebook)
        assert method.objective_for(problem(codebook))(codes, targets).item() == pytest.approx(wanted, rel=1e-5)


def test_shrewd_is_the_weighted_sum_of_its_three_losses() -> None:
    codes = torch.rand(12, BITS, generator=torch.Generator().manual_seed(1))
    targets = targets_for(12, False)
    weak = SHREWD(classification_weight=0, divergence_weight=0.3, gamma=0.2, rho=1.0, alpha=0.4, beta=0.6)
    assert not weak.needs_classes
    assert SHREWD().needs_classes
    expected = DistanceMatching(DISTANCES, 0.2, 1.0)(codes, targets) + 0.3 * EmpiricalDivergence(0.4, 0.6)(codes)
    assert weak.objective_for(problem())(codes, targets).item() == pytest.approx(expected.item(), rel=1e-6)
    strong = dataclasses.replace(weak, classification_weight=2.0).objective_for(problem())
    (classifier,) = [part for part in strong.modules() if isinstance(part, Classification)]
    expected = expected + 2 * classifier(codes, targets)
    assert strong(codes, targets).item() == pytest.approx(expected.item(), rel=1e-6)


@pytest.mark.parametrize(
    ("parameters", "says"), [({"similarity": "colour"}, "'colour'"), ({"taxonomy_weight": 1.5}, "1.5")]
)
def test_similarities_that_do_not_exist_are_refused_in_a_sentence(parameters: dict[str, Any], says: str) -> None:
    with pytest.raises(BadInput) as error:
        OrthoHash(**parameters)
    assert says in str(error.value)
    assert is_one_sentence(error)


def test_what_methods_need() -> None:
    assert get_method("shrewd").needs_distance
    assert not get_method("hashlens").needs_distance
    assert OrthoHash(centres="semantic", similarity="class-means", taxonomy_weight=0.5).needs_distance
    assert not OrthoHash(similarity="taxonomy").needs_distance
    assert not OrthoHash(centres="semantic", similarity=np.eye(CLASSES)).needs_distance


@pytest.mark.parametrize("name", UNPUBLISHED)
def test_methods_without_published_settings_refuse_them(name: str) -> None:
    with pytest.raises(BadInput) as error:
        get_method(name).settings(finetune=False, paper=True)
    assert is_one_sentence(error)


def test_parameters_of_a_method_reach_its_objective() -> None:
    codebook = GENERATORS["bernoulli"](CLASSES, BITS, 0)
    codes, targets = torch.randn(12, BITS, generator=torch.Generator().manual_seed(1)), targets_for(12, False)
    plain = OrthoHash().objective_for(problem(codebook))(codes, targets)
    for change in ({"scale": 2.0}, {"margin": 0.5}, {"margin_kind": "arc"}, {"scale": "auto"}):
        assert OrthoHash(**change).objective_for(problem(codebook))(codes, targets) != plain
    with_term = OrthoHash(quantization="l2", quantization_weight=0.5).objective_for(problem(codebook))(
        codes, targets
    )
    gaps = codes - torch.where(codes > 0, 1.0, -1.0)
    assert with_term.item() == pytest.approx(plain.item() + 0.5 * gaps.square().mean().item(), rel=1e-5)


@pytest.mark.parametrize("name", ["orthohash", "orthoarc"])
@pytest.mark.parametrize(("finetune", "epochs", "rate"), [(True, 100, 1e-4), (False, 10, 1e-3)])
def test_paper_settings_of_orthohash_are_those_of_the_paper(
    name: str, finetune: bool, epochs: int, rate: float
) -> None:
    settings = get_method(name).settings(finetune=finetune, paper=True)
    assert settings.epochs == epochs
    assert settings.batch_size == 256
    assert settings.learning_rate == rate
    assert settings.backbone_rate == 0.1
    assert settings.weight_decay == 5e-4
    assert settings.batch_norm_momentum == 0.1
    assert settings.optimizer == "adam"
    assert settings.feature_dropout == 0
    assert settings.hidden_layers == ()
    assert settings.hash_layer_deviation == 0.01
    assert not settings.mixed_precision
    if finetune:
        assert settings.augmentation == "by-data"
    drops = [epoch for epoch in range(1, epochs) if rate_at(settings, epoch) < rate_at(settings, epoch - 1)]
    assert drops == ([80] if finetune else [4, 7])
    assert [rate_at(settings, epoch) for epoch in (0, *drops)] == pytest.approx(
        [rate * 0.1**number for number in range(1 + len(drops))]
    )


@pytest.mark.parametrize("finetune", [False, True])
def test_paper_settings_of_shc_are_those_of_the_paper(finetune: bool) -> None:
    method = get_method("shc")
    settings = method.settings(finetune=finetune, paper=True)
    assert (settings.epochs, settings.batch_size) == (100, 64)
    assert (settings.optimizer, settings.learning_rate, settings.weight_decay) == ("rmsprop", 1e-4, 1e-5)
    assert settings.backbone_rate == 1
    assert settings.hidden_layers == ()
    assert settings.hash_layer_deviation == 0.01
    assert settings.augmentation == "crop"
    assert not settings.mixed_precision
    assert rate_at(settings, 0) == 1e-4
    assert rate_at(settings, 50) == pytest.approx((1e-4 + 1e-7) / 2)
    assert rate_at(settings, 100) == pytest.approx(1e-7)
    assert method.describe()["quantization_weight"] == 1e-4
    assert method.describe()["centres"] == "shc"


@pytest.mark.parametrize("name", ["csq", "csq-hadamard"])
@pytest.mark.parametrize("finetune", [False, True])
def test_paper_settings_of_csq_are_those_of_its_program(name: str, finetune: bool) -> None:
    settings = get_method(name).settings(finetune=finetune, paper=True)
    assert (settings.epochs, settings.batch_size, settings.optimizer) == (90, 64, "adam")
    assert (settings.learning_rate, settings.backbone_rate, settings.weight_decay) == (1e-3, 0.01, 0)
    assert (settings.augmentation, settings.hidden_layers, settings.hash_layer_deviation) == ("crop", (), None)
    assert not settings.mixed_precision
    assert [rate_at(settings, epoch) for epoch in range(90)] == pytest.approx(
        [1e-3 * 0.7 ** (epoch // 10) for epoch in range(90)]
    )
    layer = HASH_LAYERS[settings.hash_layer or ""](20, 16)
    kinds = [type(part).__name__ for part in layer.hidden]  # type: ignore[union-attr]
    assert kinds == ["Linear", "ReLU", "Dropout", "Linear", "ReLU"]
    assert [tuple(weights.shape) for weights in layer.parameters() if weights.ndim == 2] == [
        (16, 20),
        (20, 20),
        (20, 20),
    ]
    assert layer.hidden[2].p == 0.5  # type: ignore[index,union-attr]


def rate_at(settings: TrainingSettings, epoch: int) -> float:
    """At the start of an epoch, from 0."""
    return settings.learning_rate * SCHEDULES[settings.schedule](epoch / settings.epochs)


@pytest.mark.parametrize(
    ("name", "paper"),
    [(name, paper) for name in METHODS for paper in (False, True) if not paper or name not in UNPUBLISHED],
)
@pytest.mark.parametrize("finetune", [False, True])
def test_settings_of_every_method_make_sense(name: str, finetune: bool, paper: bool) -> None:
    settings = get_method(name).settings(finetune=finetune, paper=paper)
    assert settings.epochs >= 1
    assert settings.batch_size >= 2
    assert settings.learning_rate > 0
    assert settings.weight_decay >= 0
    assert settings.schedule in SCHEDULES
    assert 0 < settings.backbone_rate <= 1
    assert 0 <= settings.feature_dropout < 1


@pytest.mark.parametrize("name", METHODS)
def test_methods_cannot_be_changed_by_accident(name: str) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        get_method(name).margin = 1.0  # type: ignore[misc]


def test_the_step_schedule_divides_the_rate_by_ten_after_four_fifths() -> None:
    step = SCHEDULES["step"]
    assert [step(progress / 100) for progress in range(80)] == [1] * 80
    assert [step(progress / 100) for progress in range(80, 101)] == pytest.approx([0.1] * 21)


def test_the_cosine_schedule_warms_up_and_falls_to_zero() -> None:
    factors = [SCHEDULES["cosine"](progress / 1000) for progress in range(1001)]
    assert 0 < factors[0] < 0.1
    assert factors[25] == pytest.approx(0.5)
    assert factors[50] == pytest.approx(1)
    assert factors[525] == pytest.approx(0.5)
    assert factors[-1] == pytest.approx(0, abs=1e-12)
    assert factors[1:51] == sorted(factors[1:51])
    assert factors[50:] == sorted(factors[50:], reverse=True)
    assert all(0 <= factor <= 1 for factor in factors)
