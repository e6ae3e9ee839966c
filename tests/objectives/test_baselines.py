"""Losses over pairs, triplets and bits: formulas on codes of both signs, gradients, and what they refuse."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import hashlens as hl
from hashlens.centres import bernoulli
from hashlens.errors import BadInput
from hashlens.methods import Combination
from hashlens.models import HASH_LAYERS
from hashlens.objectives import (
    DPN,
    DPSH,
    DSH,
    DTSH,
    JMLH,
    SDHC,
    CosineSoftmax,
    GreedyHash,
    HashNet,
    LearnedCosineSoftmax,
    Problem,
    WeightedSum,
    announce_hash_layer,
)
from hashlens.sources import FeatureArray
from objectives import references
from objectives.references import label_sets_of
from refusals import is_one_sentence

pytestmark = pytest.mark.usefixtures("one_thread")

BITS, CLASSES = 12, 4
CLASSES_OF_ITEMS = torch.tensor([0, 3, 2, -1, 1, 1, 3, 0, 2])
SETS_OF_ITEMS = torch.tensor([[1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 0, 1], [0, 0, 0, 0], [1, 0, 0, 0], [0, 1, 1, 0]])
BOTH = pytest.mark.parametrize("targets", [CLASSES_OF_ITEMS, SETS_OF_ITEMS], ids=["classes", "label sets"])


def codes_for(targets: Tensor, spread: float = 2.0) -> Tensor:
    generator = torch.Generator().manual_seed(len(targets))
    return spread * torch.randn(len(targets), BITS, dtype=torch.float64, generator=generator)


@BOTH
def test_losses_over_pairs_and_triplets(targets: Tensor) -> None:
    codes, sets = codes_for(targets), label_sets_of(targets)
    rows = codes.tolist()
    hashnet = HashNet(BITS, sigmoid_slope=5.0, growth=24.0)
    hashnet.on_epoch(0.5)
    for objective, wanted in [
        (DPSH(0.3), references.dpsh(rows, sets, 0.3)),
        (DSH(BITS, 30.0, 0.2), references.dsh(rows, sets, 30.0, 0.2)),
        (hashnet, references.hashnet(rows, sets, 5.0 / BITS, math.sqrt(13))),
        (DTSH(BITS, 1.5, 0.7), references.dtsh(rows, sets, 1.5, 0.7)),
    ]:
        assert objective(codes, targets).item() == pytest.approx(wanted, rel=1e-12), objective


@BOTH
def test_polarization_of_both_signs(targets: Tensor) -> None:
    codes, codebook = codes_for(targets), bernoulli(CLASSES, BITS)
    items = [one for one in zip(codes.tolist(), label_sets_of(targets), strict=True) if one[1]]
    wanted = math.fsum(references.polarization(*one, codebook.tolist(), 0.6) for one in items) / len(items)
    assert DPN(codebook, margin=0.6)(codes, targets).item() == pytest.approx(wanted, rel=1e-12)


def test_balanced_cross_entropy_of_label_sets() -> None:
    codebook, targets = bernoulli(CLASSES, BITS), SETS_OF_ITEMS
    codes = codes_for(targets)
    objective = CosineSoftmax(codebook, scale=6.0, margin=0.2, label_set_loss="balanced-bce")
    sets = label_sets_of(targets)
    rows = [
        [
            6.0 * (references.cosine(code, centre) - 0.2 * (number in labels))
            for number, centre in enumerate(codebook)
        ]
        for code, labels in zip(codes.tolist(), sets, strict=True)
        if labels
    ]
    labelled = [labels for labels in sets if labels]
    assert any(logit > math.log(0.7 / 0.3) for row in rows for logit in row)  # both weights occur
    wanted = references.balanced_binary_cross_entropy(rows, labelled)
    assert objective(codes, targets).item() == pytest.approx(wanted, rel=1e-12)
    plain = CosineSoftmax(codebook, scale=6.0, margin=0.2, label_set_loss="bce")
    wanted = references.binary_cross_entropy(rows, labelled)
    assert plain(codes, targets).item() == pytest.approx(wanted, rel=1e-12)


@BOTH
def test_sdhc_of_both_signs(targets: Tensor) -> None:
    torch.manual_seed(0)
    objective, codes = SDHC(CLASSES, BITS, 0.4, 0.3).double(), codes_for(targets).tanh()
    found = references.logits(codes.tolist(), objective.linear.weight.tolist(), objective.linear.bias.tolist())
    wanted = references.sdhc(codes.tolist(), found, targets, 0.4, 0.3)
    assert objective(codes, targets).item() == pytest.approx(wanted, rel=1e-12)


@BOTH
def test_sdhc_pulls_the_rows_of_the_hash_layer_apart(targets: Tensor) -> None:
    torch.manual_seed(0)
    objective, layer = SDHC(CLASSES, BITS, orthogonality_weight=0.3).double(), nn.Linear(5, BITS).double()
    codes = codes_for(targets).tanh()
    without = objective(codes, targets).item()
    announce_hash_layer(WeightedSum((1.0, objective)), layer.weight)
    loss = objective(codes, targets)
    wanted = without + 0.3 * references.correlation_of_rows(layer.weight.tolist())
    assert loss.item() == pytest.approx(wanted, rel=1e-12)
    loss.backward()
    assert layer.weight.grad is not None
    away = layer.weight @ layer.weight.T - torch.eye(BITS)
    torch.testing.assert_close(layer.weight.grad, 0.3 * 4 * away @ layer.weight / BITS**2)
    assert len(list(objective.parameters())) == 2  # the classifier's: those of the network are not its own


def test_training_shows_an_objective_the_hash_layer_that_it_trains() -> None:
    random = np.random.default_rng(0)
    features, labels = random.standard_normal((900, 6)).astype(np.float32), np.arange(900) % 3

    def trained(weight: float) -> float:
        method = Combination(objective="sdhc", hash_layer="tanh", parameters={"orthogonality_weight": weight})
        points = FeatureArray("points", features, labels)
        model = hl.fit(points, method, 8, hidden_layers=[16], epochs=30, validation=0, device="cpu")
        return references.correlation_of_rows(model.network.hash_layer.linear.weight.tolist())

    assert trained(30.0) < trained(0.0) / 2


@BOTH
def test_greedyhash_of_both_signs(targets: Tensor) -> None:
    torch.manual_seed(0)
    objective, codes = GreedyHash(CLASSES, BITS).double(), codes_for(targets)
    wanted = references.REFERENCES["greedyhash"](codes, targets, Problem(BITS, CLASSES), objective)
    assert objective(codes, targets).item() == pytest.approx(wanted, rel=1e-12)


def objectives() -> list[nn.Module]:
    torch.manual_seed(0)
    made = [DPSH(), DSH(BITS), HashNet(BITS), DTSH(BITS), DPN(bernoulli(CLASSES, BITS))]
    return [*made, LearnedCosineSoftmax(CLASSES, BITS).double(), SDHC(CLASSES, BITS, 0.4, 0.3).double()]


@pytest.mark.parametrize("number", range(len(objectives())))
@BOTH
def test_gradients(number: int, targets: Tensor) -> None:
    objective = objectives()[number]
    codes = codes_for(targets, spread=0.7).requires_grad_()
    assert torch.autograd.gradcheck(lambda u: objective(u, targets), codes)


@pytest.mark.parametrize("number", range(len(objectives())))
def test_items_without_a_label_are_as_if_absent(number: int) -> None:
    objective = objectives()[number]
    codes, known = codes_for(CLASSES_OF_ITEMS), CLASSES_OF_ITEMS >= 0
    some, fewer = objective(codes, CLASSES_OF_ITEMS), objective(codes[known], CLASSES_OF_ITEMS[known])
    assert some.item() == pytest.approx(fewer.item(), rel=1e-12)
    codes.requires_grad_()
    nothing = objective(codes, torch.full_like(CLASSES_OF_ITEMS, -1))
    nothing.backward()
    assert nothing.item() == 0
    assert codes.grad is not None
    assert torch.isfinite(codes.grad).all()


def test_the_classifier_of_greedyhash_sees_signs_and_passes_its_gradient_on() -> None:
    torch.manual_seed(0)
    objective = GreedyHash(CLASSES, BITS, penalty_weight=0).double()
    codes, labels = codes_for(CLASSES_OF_ITEMS).requires_grad_(), CLASSES_OF_ITEMS
    objective(codes, labels).backward()
    signs = torch.where(codes.detach() > 0, 1.0, -1.0).double().requires_grad_()
    functional.cross_entropy(objective.linear(signs), labels, ignore_index=-1).backward()
    assert codes.grad is not None
    assert signs.grad is not None
    torch.testing.assert_close(codes.grad, signs.grad)


def test_bits_of_jmlh_are_fresh_but_repeatable_and_go_on_after_a_restart() -> None:
    torch.manual_seed(0)
    objective = JMLH(CLASSES, BITS, seed=3).double()
    codes = torch.rand(9, BITS, dtype=torch.float64).requires_grad_()
    first = [objective(codes, CLASSES_OF_ITEMS).item() for _ in range(3)]
    assert len(set(first)) == 3
    restarted = JMLH(CLASSES, BITS, seed=3).double()
    restarted.load_state_dict(objective.state_dict() | {"calls": torch.tensor(1)})
    assert restarted(codes, CLASSES_OF_ITEMS).item() == first[1]
    certain = JMLH(CLASSES, BITS)
    loss = certain(torch.tensor([[0.0, 1.0] * 6]).requires_grad_(), torch.tensor([1]))
    assert torch.isfinite(loss)


def test_the_slope_of_hashnet_grows_as_in_its_program() -> None:
    objective = HashNet(BITS)
    for step in (0, 200, 5_000, 9_800):
        objective.on_epoch(step / 10_000)
        assert objective.slope == pytest.approx((1 + 0.005 * step) ** 0.5)


@pytest.mark.parametrize("count", [2, 7, 8])
def test_the_bi_half_layer_halves_every_bit(count: int) -> None:
    torch.manual_seed(0)
    layer = HASH_LAYERS["bi-half"](5, BITS).double()
    features = torch.randn(count, 5, dtype=torch.float64)
    continuous = layer.eval()(features)
    bits = layer.train()(features)
    assert (bits == 1).sum(0).tolist() == [count // 2] * BITS
    for bit in range(BITS):
        order = sorted(range(count), key=lambda item, bit=bit: -continuous[item, bit].item())  # type: ignore[misc]
        assert bits[order, bit].tolist() == [1.0] * (count // 2) + [-1.0] * (count - count // 2)
    weights = torch.randn_like(bits)
    (bits * weights).sum().backward()
    wanted = weights + 6 * (continuous - bits).detach() / (count * BITS)
    assert layer.linear.bias.grad is not None
    torch.testing.assert_close(layer.linear.bias.grad, wanted.sum(0))


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: DPSH(-1), "quantization weight"),
        (lambda: DSH(8, margin=0), "margin"),
        (lambda: DSH(8, regularization_weight=-1), "regularization"),
        (lambda: HashNet(8, sigmoid_slope=0), "sigmoid slope"),
        (lambda: HashNet(8, growth=-1), "growth"),
        (lambda: DTSH(8, margin=-1), "margin"),
        (lambda: DTSH(8, quantization_weight=-1), "quantization weight"),
        (lambda: GreedyHash(1, 8), "two"),
        (lambda: GreedyHash(3, 8, penalty_power=0), "power"),
        (lambda: JMLH(1, 8), "two"),
        (lambda: JMLH(3, 8, divergence_weight=-1), "divergence"),
        (lambda: SDHC(1, 8), "two"),
        (lambda: SDHC(3, 8, quantization_weight=-1), "quantization weight"),
        (lambda: SDHC(3, 8, variance_weight=-1), "variance weight"),
        (lambda: SDHC(3, 8, orthogonality_weight=-1), "orthogonality weight"),
        (lambda: DPN(bernoulli(3, 8), margin=0), "margin"),
        (lambda: LearnedCosineSoftmax(1, 8), "two"),
        (lambda: LearnedCosineSoftmax(3, 8, margin_kind="tan"), "margin kind"),  # type: ignore[arg-type]
        (lambda: CosineSoftmax(bernoulli(3, 8), label_set_loss="hinge"), "'bce'"),  # type: ignore[arg-type]
    ],
)
def test_arguments_out_of_range_are_refused_in_a_sentence(make: Any, says: str) -> None:
    with pytest.raises(BadInput) as error:
        make()
    assert says in str(error.value)
    assert is_one_sentence(error)
