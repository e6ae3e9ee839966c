"""L_KL of SHREWD: its formula, and cases in which the divergence is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hashlens.errors import BadInput
from hashlens.objectives import EmpiricalDivergence
from hashlens.objectives.empirical_divergence import nearest_neighbour_divergence
from objectives import references

pytestmark = pytest.mark.usefixtures("one_thread")


def test_formula() -> None:
    random = np.random.default_rng(0)
    codes, reference = random.random((9, 4)), random.random((7, 4))
    found = nearest_neighbour_divergence(torch.from_numpy(codes), torch.from_numpy(reference))
    assert found.item() == pytest.approx(
        references.nearest_neighbour_divergence(codes.tolist(), reference.tolist()), rel=1e-9
    )


def test_the_sample_is_beta_distributed() -> None:
    codes = torch.from_numpy(np.random.default_rng(4).random((6, 3)))
    reference = np.random.default_rng((5, 0)).beta(0.3, 0.7, (6, 3))
    found = EmpiricalDivergence(0.3, 0.7, seed=5)(codes)
    assert found.item() == pytest.approx(
        references.nearest_neighbour_divergence(codes.tolist(), reference.tolist()), rel=1e-9
    )


def test_estimates_the_divergence_of_normal_distributions() -> None:
    """KL(N(0, I) ‖ N(m, I)) is |m|²/2; the estimator is that divided by the dimension."""
    random = np.random.default_rng(0)
    dimension, shift = 2, 1.5
    codes, reference = random.normal(size=(4000, dimension)), random.normal(size=(4000, dimension)) + shift
    found = nearest_neighbour_divergence(torch.from_numpy(codes), torch.from_numpy(reference))
    assert dimension * found.item() == pytest.approx(dimension * shift**2 / 2, rel=0.1)


@pytest.mark.parametrize("shape", [(512, 16), (256, 64)])
def test_a_distribution_does_not_diverge_from_itself(shape: tuple[int, int]) -> None:
    objective = EmpiricalDivergence(0.1, 0.1, seed=0)
    codes = torch.from_numpy(np.random.default_rng(99).beta(0.1, 0.1, shape))
    assert abs(np.mean([objective(codes).item() for _ in range(10)])) < 0.05


def test_codes_far_from_the_corners_diverge() -> None:
    random = np.random.default_rng(3)
    in_the_middle = torch.from_numpy(0.5 + 0.05 * random.random((256, 16)))
    in_one_corner = torch.from_numpy(0.01 * random.random((256, 16)))
    assert EmpiricalDivergence()(in_the_middle).item() > 1
    assert EmpiricalDivergence()(in_one_corner).item() > 1


def test_descent_makes_codes_binary_and_balanced() -> None:
    torch.manual_seed(0)
    logits = (0.5 * torch.randn(128, 8) + 1).requires_grad_()
    optimizer, objective = torch.optim.Adam([logits], lr=0.05), EmpiricalDivergence()
    for _ in range(400):
        optimizer.zero_grad()
        objective(torch.sigmoid(logits)).backward()
        optimizer.step()
    codes = torch.sigmoid(logits.detach())
    assert ((codes < 0.1) | (codes > 0.9)).float().mean() > 0.6
    assert ((codes > 0.5).float().mean(0) - 0.5).abs().max() < 0.2


def test_codes_that_coincide_cost_much_but_not_infinitely_much() -> None:
    codes = torch.full((5, 4), 0.3).requires_grad_()
    loss = EmpiricalDivergence()(codes)
    loss.backward()
    assert 5 < loss.item() < 20
    assert codes.grad is not None
    assert torch.isfinite(codes.grad).all()


def test_gradient() -> None:
    codes = torch.rand(5, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1)).requires_grad_()
    reference = torch.rand(5, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    assert torch.autograd.gradcheck(lambda z: nearest_neighbour_divergence(z, reference), (codes,))


def test_samples_are_fresh_but_repeatable_and_go_on_after_a_restart() -> None:
    codes = torch.rand(8, 4, generator=torch.Generator().manual_seed(0))
    objective, again = EmpiricalDivergence(seed=3), EmpiricalDivergence(seed=3)
    first = [objective(codes).item() for _ in range(3)]
    assert len(set(first)) == 3
    assert [again(codes).item() for _ in range(2)] == first[:2]
    restarted = EmpiricalDivergence(seed=3)
    restarted.load_state_dict(again.state_dict())
    assert restarted(codes).item() == first[2]
    assert EmpiricalDivergence(seed=4)(codes).item() != first[0]


@pytest.mark.parametrize("arguments", [{"alpha": 0}, {"beta": -1}, {"alpha": float("inf")}])
def test_bad_arguments(arguments: dict[str, float]) -> None:
    with pytest.raises(BadInput, match="positive"):
        EmpiricalDivergence(**arguments)
