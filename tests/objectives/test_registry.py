"""Every registered objective against its slow reference, and how objectives are made for a problem."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from hashlens.centres import bernoulli
from hashlens.errors import BadInput
from hashlens.objectives import (
    OBJECTIVES,
    Classification,
    Problem,
    WeightedSum,
    announce_epoch,
    make_objective,
    needs,
    parameters_of,
    register,
)
from hashlens.objectives.pairs import has_label
from objectives.references import REFERENCES
from refusals import is_one_sentence

pytestmark = pytest.mark.usefixtures("one_thread")

CLASSES, BITS = 5, 12
DISTANCES = np.abs(np.subtract.outer(np.arange(CLASSES), np.arange(CLASSES))) / 4
PROBLEM = Problem(BITS, CLASSES, seed=3, codebook=bernoulli(CLASSES, BITS), class_distance=DISTANCES)
LABELS = torch.tensor([0, 4, 2, -1, 1, 1, 3, 0, 2])
MARKS = torch.zeros(6, CLASSES, dtype=torch.bool)
for row, marked in enumerate(([0, 3], [1, 2], [], [4], [0, 1, 2, 3, 4], [1, 4])):
    MARKS[row, marked] = True


class Sloped(nn.Module):
    """An objective as anyone may write it: it knows nothing of ours."""

    def __init__(self, classes: int, weight: float = 1.0) -> None:
        super().__init__()
        self.classes, self.weight, self.slope = classes, weight, 1.0

    def forward(self, codes: Tensor, targets: Tensor) -> Tensor:
        return self.weight * torch.tanh(self.slope * codes).mean()

    def on_epoch(self, progress: float) -> None:
        self.slope = 1 + 9 * progress


@pytest.mark.parametrize("name", OBJECTIVES)
@pytest.mark.parametrize("targets", [LABELS, MARKS], ids=["classes", "label sets"])
def test_every_objective_costs_what_its_reference_says(name: str, targets: Tensor) -> None:
    assert name in REFERENCES, f"{name} has no reference; write it in loops in tests/objectives/references.py"
    torch.manual_seed(0)
    objective = make_objective(name, PROBLEM).double()
    codes = 0.02 + 0.96 * torch.rand(len(targets), BITS, dtype=torch.float64)
    wanted = REFERENCES[name](codes, targets, PROBLEM, objective)
    found = objective(codes, targets)
    assert found.shape == ()
    assert found.item() == pytest.approx(wanted, rel=1e-9)


WITH_QUANTIZATION: dict[str, dict[str, Any]] = {
    "cosine-softmax": {"quantization": "l2", "quantization_weight": 0.7},
    "central-similarity": {"quantization_weight": 0.7},
}


@pytest.mark.parametrize("name", [name for name in OBJECTIVES if name != "empirical-divergence"])  # takes no labels
@pytest.mark.parametrize("targets", [LABELS, MARKS], ids=["classes", "label sets"])
def test_items_without_a_label_count_in_no_term(name: str, targets: Tensor) -> None:
    torch.manual_seed(0)
    last = targets[has_label(targets)]
    nothing = torch.full((3,), -1) if targets.ndim == 1 else torch.zeros(3, CLASSES, dtype=torch.bool)
    codes = torch.rand(len(last) + 3, BITS, dtype=torch.float64, requires_grad=True)

    def loss(rows: slice) -> Tensor:
        torch.manual_seed(1)  # of what is learnt; what is drawn is drawn item by item
        objective = make_objective(name, PROBLEM, **WITH_QUANTIZATION.get(name, {})).double()
        return objective(codes[rows], torch.cat([last, nothing])[rows])

    every = loss(slice(None))
    every.backward()
    assert codes.grad is not None
    assert every.item() == pytest.approx(loss(slice(len(last))).item(), rel=1e-12)
    assert codes.grad[: len(last)].any()
    assert not codes.grad[len(last) :].any()
    codes.grad = None
    none = loss(slice(len(last), None))
    none.backward()
    assert none.item() == 0
    assert not codes.grad.any()


def test_references_are_of_objectives_that_there_are() -> None:
    assert set(REFERENCES) <= set(OBJECTIVES)


def test_what_a_problem_knows_is_filled_in_and_the_rest_are_parameters() -> None:
    objective = make_objective(Sloped, PROBLEM, weight=2.0)
    assert (objective.classes, objective.weight) == (CLASSES, 2.0)
    assert list(parameters_of(Sloped)) == ["weight"]
    assert needs(Sloped, "classes")
    assert not needs(Sloped, "codebook")


def test_a_registered_objective_is_found_by_name() -> None:
    try:
        register("sloped")(Sloped)
        assert isinstance(make_objective("sloped", PROBLEM), Sloped)
    finally:
        OBJECTIVES._things.pop("sloped", None)


def test_sums_tell_their_terms_of_the_epoch() -> None:
    one, other = Sloped(CLASSES), Sloped(CLASSES)
    announce_epoch(WeightedSum((1.0, Classification(2, 4)), (0.5, WeightedSum((1.0, one))), (1.0, other)), 0.5)
    assert one.slope == other.slope == 5.5
    announce_epoch(Classification(2, 4), 0.5)  # which has nothing to hear it


@pytest.mark.parametrize(
    ("objective", "parameters", "says"),
    [
        ("nosuchloss", {}, "cosine-softmax"),
        (Sloped, {"slop": 1}, "has no slop; its parameters are weight"),
        ("cosine-softmax", {"margin": -1}, "margin is -1"),
        (lambda strength: Sloped(2, strength), {}, "needs the parameter strength"),
    ],
)
def test_what_cannot_be_made_is_refused_in_a_sentence(
    objective: Any, parameters: dict[str, Any], says: str
) -> None:
    with pytest.raises(BadInput) as error:
        make_objective(objective, PROBLEM, **parameters)
    assert says in str(error.value)
    assert is_one_sentence(error)


@pytest.mark.parametrize("name", ["cosine-softmax", "central-similarity"])
def test_hash_centres_that_are_missing_are_asked_for(name: str) -> None:
    with pytest.raises(BadInput, match="hash centres") as error:
        make_objective(name, Problem(BITS, CLASSES))
    assert is_one_sentence(error)
