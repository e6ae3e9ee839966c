"""The classifier over codes, and sums of objectives."""

from __future__ import annotations

import pytest
import torch

from hashlens.errors import BadInput
from hashlens.objectives import Classification, DistanceMatching, WeightedSum
from objectives.references import binary_cross_entropy, logits, softmax_cross_entropy

pytestmark = pytest.mark.usefixtures("one_thread")


def logits_of(objective: Classification, codes: torch.Tensor) -> list[list[float]]:
    return logits(codes.tolist(), objective.linear.weight.tolist(), objective.linear.bias.tolist())


def test_softmax_cross_entropy() -> None:
    objective, codes, labels = Classification(3, 4), torch.rand(5, 4), [0, 2, 1, -1, 2]
    expected = softmax_cross_entropy(logits_of(objective, codes), labels)
    loss = objective(codes, torch.tensor(labels))
    assert loss.item() == pytest.approx(expected, rel=1e-5)


def test_label_sets() -> None:
    objective, codes = Classification(3, 4), torch.rand(2, 4)
    marks = [[1, 0, 1], [0, 0, 0]]
    expected = binary_cross_entropy(logits_of(objective, codes[:1]), [{0, 2}])  # the second has no label
    assert objective(codes, torch.tensor(marks)).item() == pytest.approx(expected, rel=1e-5)


def test_no_labels_at_all() -> None:
    assert Classification(3, 4)(torch.rand(2, 4), torch.tensor([-1, -1])).item() == 0


def test_it_learns() -> None:
    torch.manual_seed(0)
    objective, labels = Classification(2, 3), torch.arange(20) % 2
    codes = torch.rand(20, 3) + labels[:, None]
    optimizer = torch.optim.Adam(objective.parameters(), lr=0.1)
    before = objective(codes, labels).item()
    for _ in range(100):
        optimizer.zero_grad()
        objective(codes, labels).backward()
        optimizer.step()
    assert objective(codes, labels).item() < before / 3


def test_one_class_is_refused() -> None:
    with pytest.raises(BadInput, match="at least two"):
        Classification(1, 8)


def test_weighted_sum() -> None:
    one, two = DistanceMatching([[0, 1], [1, 0]]), Classification(2, 4)
    codes, labels = torch.rand(6, 4), torch.tensor([0, 1, 0, 1, 1, 0])
    both = WeightedSum((2.0, one), (0.5, two))
    assert both(codes, labels).item() == pytest.approx(
        2 * one(codes, labels).item() + 0.5 * two(codes, labels).item()
    )
    assert {id(p) for p in both.parameters()} == {id(p) for p in two.parameters()}


@pytest.mark.parametrize("weight", [-1.0, float("nan"), float("inf")])
def test_bad_weights(weight: float) -> None:
    with pytest.raises(BadInput, match="DistanceMatching"):
        WeightedSum((weight, DistanceMatching()))


def test_a_sum_of_nothing_is_refused() -> None:
    with pytest.raises(BadInput, match="at least one"):
        WeightedSum()
