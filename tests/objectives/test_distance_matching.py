"""L_sim of SHREWD against its formula, written out with loops over plain numbers."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hashlens.errors import BadInput
from hashlens.objectives import DistanceMatching
from objectives.references import best_matches, distance_matching

pytestmark = pytest.mark.usefixtures("one_thread")

LINE = [[0.0, 0.25, 1.0], [0.25, 0.0, 0.5], [1.0, 0.5, 0.0]]


def random_codes(count: int, bits: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(count, bits, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize(("gamma", "rho"), [(0.1, 2.0), (1.0, 0.0), (0.5, 3.0)])
def test_classes(gamma: float, rho: float) -> None:
    codes, labels = random_codes(7, 5), [0, 2, 1, 1, 0, 2, 2]
    loss = DistanceMatching(LINE, gamma, rho)(codes, torch.tensor(labels))
    expected = distance_matching(codes.tolist(), lambda a, b: LINE[labels[a]][labels[b]], gamma, rho)
    assert loss.item() == pytest.approx(expected, rel=1e-6)


def test_codes_whose_distances_are_in_proportion_cost_nothing() -> None:
    codes = torch.tensor([[0.0, 0.0], [0.1, 0.1], [0.4, 0.4]], dtype=torch.float64)
    proportional = [[0.0, 0.2, 0.8], [0.2, 0.0, 0.6], [0.8, 0.6, 0.0]]
    assert DistanceMatching(proportional)(codes, torch.arange(3)).item() == pytest.approx(0, abs=1e-7)
    assert DistanceMatching(LINE)(codes, torch.arange(3)).item() > 1e-3


def test_size_of_codes_does_not_matter() -> None:
    codes, labels = random_codes(6, 4), torch.tensor([0, 1, 2, 0, 1, 2])
    objective = DistanceMatching(LINE)
    assert objective(3 * codes + 1, labels).item() == pytest.approx(objective(codes, labels).item(), rel=1e-9)


def test_label_sets_by_best_matches() -> None:
    sets = [{0}, {0, 2}, {1, 2}, {0, 1, 2}, {2}]
    marks = torch.tensor([[number in own for number in range(3)] for own in sets])

    def distance(a: int, b: int) -> float:
        return best_matches(sets[a], sets[b], LINE)

    codes = random_codes(5, 6)
    loss = DistanceMatching(LINE)(codes, marks)
    assert loss.item() == pytest.approx(distance_matching(codes.tolist(), distance, 0.1, 2.0), rel=1e-6)


def test_sets_of_one_label_are_classes() -> None:
    codes, labels = random_codes(6, 4), torch.tensor([0, 1, 2, 2, 0, 1])
    marks = torch.nn.functional.one_hot(labels, 3)
    objective = DistanceMatching(LINE)
    assert objective(codes, marks).item() == pytest.approx(objective(codes, labels).item(), rel=1e-6)


def test_vectors_of_items() -> None:
    vectors = np.random.default_rng(1).normal(size=(6, 3))

    def distance(a: int, b: int) -> float:
        return 1 - float(vectors[a] @ vectors[b]) / float(np.linalg.norm(vectors[a]) * np.linalg.norm(vectors[b]))

    codes = random_codes(6, 4)
    loss = DistanceMatching()(codes, torch.from_numpy(vectors))
    assert loss.item() == pytest.approx(distance_matching(codes.tolist(), distance, 0.1, 2.0), rel=1e-6)


def test_items_without_a_label_are_as_if_absent() -> None:
    codes = random_codes(6, 4)
    some = DistanceMatching(LINE)(codes, torch.tensor([0, 1, -1, 2, -1, 0]))
    assert some.item() == pytest.approx(
        DistanceMatching(LINE)(codes[[0, 1, 3, 5]], torch.tensor([0, 1, 2, 0])).item()
    )
    marks = torch.tensor([[1, 0, 0], [0, 1, 0], [0, 0, 0], [0, 0, 1], [0, 0, 0], [1, 0, 0]])
    assert DistanceMatching(LINE)(codes, marks).item() == pytest.approx(some.item())


@pytest.mark.parametrize(
    ("codes", "labels"),
    [
        (torch.full((4, 3), 0.5), torch.tensor([0, 1, 2, 0])),  # all codes coincide
        (torch.rand(4, 3), torch.tensor([1, 1, 1, 1])),  # all meanings coincide
        (torch.rand(4, 3), torch.tensor([-1, -1, -1, -1])),
        (torch.rand(1, 3), torch.tensor([0])),
    ],
)
def test_degenerate_batches_have_finite_gradients(codes: torch.Tensor, labels: torch.Tensor) -> None:
    codes = codes.clone().requires_grad_()
    loss = DistanceMatching(LINE)(codes, labels)
    loss.backward()
    assert torch.isfinite(loss)
    assert codes.grad is not None
    assert torch.isfinite(codes.grad).all()


def test_gradient() -> None:
    codes = random_codes(5, 4, seed=3).requires_grad_()
    objective = DistanceMatching(LINE)
    assert torch.autograd.gradcheck(lambda z: objective(z, torch.tensor([0, 1, 2, 0, 1])), (codes,))


def test_descent_orders_distances() -> None:
    codes = random_codes(12, 8, seed=5).requires_grad_()
    labels = torch.arange(12) % 3
    optimizer, objective = torch.optim.Adam([codes], lr=0.02), DistanceMatching(LINE)
    for _ in range(300):
        optimizer.zero_grad()
        objective(codes, labels).backward()
        optimizer.step()
    distances = torch.cdist(codes.detach(), codes.detach(), p=1)
    means = [[distances[labels == a][:, labels == b].mean().item() for b in range(3)] for a in range(3)]
    assert means[0][1] < means[1][2] < means[0][2]
    assert means[0][0] < means[0][1]


def test_half_precision_is_not_used_under_autocast() -> None:
    codes, labels = random_codes(6, 4).float(), torch.tensor([0, 1, 2, 0, 1, 2])
    exact = DistanceMatching(LINE)(codes, labels)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = DistanceMatching(LINE)(codes, labels)
    assert mixed.dtype == torch.float32
    assert mixed.item() == exact.item()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"class_distance": [[0, 1]]}, "matrix"),
        ({"class_distance": [[0, 1], [0.5, 0]]}, "symmetric"),
        ({"class_distance": [[0.1, 1], [1, 0]]}, "diagonal"),
        ({"class_distance": [[0, float("nan")], [float("nan"), 0]]}, "finite"),
        ({"class_distance": LINE, "gamma": 0}, "gamma"),
        ({"class_distance": LINE, "rho": -1}, "rho"),
    ],
)
def test_bad_arguments(arguments: dict, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        DistanceMatching(**arguments)


def test_class_numbers_without_class_distances_are_refused() -> None:
    with pytest.raises(BadInput, match="vectors"):
        DistanceMatching()(random_codes(3, 4), torch.tensor([0, 1, 2]))
