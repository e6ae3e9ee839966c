"""Central similarity against its formula in loops."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from hashlens.centres import bernoulli, hadamard
from hashlens.errors import BadInput
from hashlens.objectives import CentralSimilarity
from objectives.references import central_similarity


@pytest.mark.parametrize("bits", [8, 9, 33])
@pytest.mark.parametrize("weight", [0.0, 1e-4, 0.7])
def test_single_labels(bits: int, weight: float) -> None:
    codebook = bernoulli(5, bits)
    codes = torch.randn(12, bits, dtype=torch.float64, generator=torch.Generator().manual_seed(bits))
    targets = torch.arange(12) % 5
    found = CentralSimilarity(codebook, weight)(codes, targets)
    expected = central_similarity(codes.tolist(), codebook[targets.numpy()].tolist(), weight)
    assert float(found) == pytest.approx(expected, rel=1e-12)


def test_worked_example() -> None:
    codebook = np.array([[1] * 8, [-1] * 8])
    codes = torch.full((1, 8), 0.5, dtype=torch.float64).atanh()
    found = CentralSimilarity(codebook, quantization_weight=2)(codes, torch.tensor([0]))
    assert float(found) == pytest.approx(-math.log(0.75) + 2 * 0.25)
    found = CentralSimilarity(codebook, quantization_weight=2)(codes, torch.tensor([1]))
    assert float(found) == pytest.approx(-math.log(0.25) + 2 * 0.25)


def test_label_sets_go_to_the_bitwise_majority() -> None:
    codebook = np.array([[1, 1, 1, 1, 1, 1, 1, 1], [1, 1, -1, -1, 1, 1, -1, -1], [-1, 1, 1, -1, 1, -1, 1, -1]])
    objective = CentralSimilarity(codebook)
    centres, labelled = objective.centres_of(torch.tensor([[1, 1, 1], [0, 0, 1], [0, 0, 0]]))
    assert centres[0].tolist() == [1, 1, 1, -1, 1, 1, 1, -1]
    assert centres[1].tolist() == codebook[2].tolist()
    assert labelled.tolist() == [True, True, False]


def test_one_fixed_code_breaks_ties() -> None:
    codebook = np.array([[1] * 64, [-1] * 64])
    both = torch.tensor([[1, 1], [1, 1]])
    centres, _ = CentralSimilarity(codebook, seed=3).centres_of(both)
    assert torch.equal(centres[0], centres[1])
    assert set(centres.unique().tolist()) == {-1, 1}
    assert torch.equal(centres, CentralSimilarity(codebook, seed=3).centres_of(both)[0])
    assert not torch.equal(centres, CentralSimilarity(codebook, seed=4).centres_of(both)[0])


def test_items_without_label_do_not_count() -> None:
    objective = CentralSimilarity(hadamard(4, 16), quantization_weight=0.3)
    codes = torch.randn(3, 16, generator=torch.Generator().manual_seed(0))
    assert objective(codes, torch.tensor([2, -1, 1])) == pytest.approx(
        float(objective(codes[[0, 2]], torch.tensor([2, 1])))
    )
    assert float(objective(codes, torch.tensor([-1, -1, -1]))) == 0


def test_gradients() -> None:
    codes = torch.randn(4, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    objective = CentralSimilarity(bernoulli(3, 9), quantization_weight=0.3)
    targets = torch.tensor([0, 1, 2, 1])
    assert torch.autograd.gradcheck(lambda u: objective(u, targets), codes.requires_grad_())


@pytest.mark.parametrize("code", [-20.0, -9.5, -3.0, -0.25, 0.0, 0.5, 4.0, 20.0])
def test_single_precision_has_the_loss_and_gradient_of_double_however_far_out(code: float) -> None:
    """Of the authors' BCE of (tanh x + 1)/2, which is 1/(1 + e^−2x)."""
    with_sign = torch.tensor([[code, -code] * 4], requires_grad=True)
    loss = CentralSimilarity(np.array([[1] * 8, [-1] * 8]), quantization_weight=0)(with_sign, torch.tensor([0]))
    loss.backward()
    wanted = [math.log1p(math.exp(-2 * x)) for x in (code, -code)]
    slopes = [-2 / (1 + math.exp(2 * x)) / 8 for x in (code, -code)]  # −0.25 far on the wrong side
    assert loss.item() == pytest.approx(math.fsum(wanted) / 2, rel=1e-6)
    assert with_sign.grad is not None
    np.testing.assert_allclose(with_sign.grad[0, :2].numpy(), slopes, rtol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_half_precision_is_computed_in_single(dtype: torch.dtype) -> None:
    codes = torch.tensor([[60.0] * 8, [-60.0] * 8], dtype=dtype, requires_grad=True)
    loss = CentralSimilarity(np.array([[1] * 8, [-1] * 8]))(codes, torch.tensor([1, 0]))
    loss.backward()
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(120)
    assert codes.grad is not None
    assert torch.equal(codes.grad, torch.tensor([[0.125], [-0.125]], dtype=dtype).expand(2, 8))


@pytest.mark.parametrize("weight", [-1, math.nan])
def test_wrong_weights_are_refused(weight: float) -> None:
    with pytest.raises(BadInput, match="quantization weight"):
        CentralSimilarity(bernoulli(3, 8), weight)
