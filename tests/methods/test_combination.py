"""Methods put together from parts by name, losses of one's own among them."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from hashlens.centres import bernoulli
from hashlens.errors import BadInput
from hashlens.methods import METHODS, Combination, Recipe, TrainingSettings, get_method, register
from hashlens.models import HASH_LAYERS
from hashlens.objectives import OBJECTIVES, Problem, needs
from refusals import is_one_sentence

BITS, CLASSES = 16, 4
DISTANCES = np.abs(np.subtract.outer(np.arange(CLASSES), np.arange(CLASSES))) / 3
PROBLEM = Problem(BITS, CLASSES, codebook=bernoulli(CLASSES, BITS), class_distance=DISTANCES)


class Pairs(nn.Module):
    """Pulls together what is of one class; takes nothing from the problem."""

    def __init__(self, slope=1.0, squared: bool = False) -> None:
        super().__init__()
        self.slope, self.squared = slope, squared

    def forward(self, codes: Tensor, targets: Tensor) -> Tensor:
        bits = torch.tanh(self.slope * codes)
        return torch.where(targets[:, None] == targets, -(bits @ bits.T), bits @ bits.T).mean()


@pytest.mark.parametrize("name", OBJECTIVES)
@pytest.mark.parametrize("hash_layer", HASH_LAYERS)
def test_every_objective_goes_with_every_hash_layer(name: str, hash_layer: str) -> None:
    centres = "bernoulli" if needs(name, "codebook") else None
    method = Combination(objective=name, hash_layer=hash_layer, centres=centres)
    torch.manual_seed(0)
    layer = HASH_LAYERS[method.hash_layer_for(PROBLEM)](6, BITS)
    loss = method.objective_for(PROBLEM)(layer(torch.randn(12, 6)), torch.arange(12) % CLASSES)
    loss.backward()
    assert torch.isfinite(loss)
    assert layer.linear.weight.grad is not None


@pytest.mark.parametrize(
    ("name", "centres", "classes", "distance"),
    [
        ("cosine-softmax", "bernoulli", True, False),
        ("cosine-softmax", "semantic", True, False),
        ("distance-matching", None, False, True),
        ("classification", None, True, False),
        (Pairs, None, True, False),
    ],
)
def test_what_a_combination_needs_follows_from_its_objective(
    name: Any, centres: str | None, classes: bool, distance: bool
) -> None:
    method = Combination(objective=name, centres=centres)
    assert method.needs_classes == classes
    assert method.needs_distance == distance
    assert method.needs_similarity == (centres == "semantic")


def test_parameters_reach_the_objective_and_are_described() -> None:
    method = Combination(objective=Pairs, hash_layer="tanh", parameters={"slope": 3.0})
    assert method.objective_for(PROBLEM).slope == 3.0
    described = method.describe()
    assert described["objective"] == "Pairs"
    assert described["hash_layer"] == "tanh"
    assert described["slope"] == 3.0
    json.dumps(described)


def test_settings_of_a_paper_are_those_that_are_given_or_none() -> None:
    quick = TrainingSettings(2, 16, 1e-3, 0.0, "step")
    published = Combination(objective=Pairs, published=Recipe(quick, quick))
    assert published.settings(finetune=False, paper=True) is quick
    assert published.settings(finetune=False, paper=False) == METHODS["orthohash"].settings(False, False)
    with pytest.raises(BadInput, match="published") as error:
        Combination(objective=Pairs).settings(finetune=False, paper=True)
    assert is_one_sentence(error)


def test_a_registered_method_is_found_by_name() -> None:
    try:
        method = register("pairs")(Combination(objective=Pairs))
        assert get_method("pairs") is method
    finally:
        METHODS._things.pop("pairs", None)


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        ({"objective": "nosuch"}, "'nosuch'"),
        ({"objective": "cosine-softmax"}, "set centres"),
        ({"objective": Pairs, "centres": "bernoulli"}, "leave centres out"),
        ({"objective": Pairs, "parameters": {"slop": 2}}, "no slop; its parameters are slope, squared"),
        ({"objective": "cosine-softmax", "centres": "semantic", "similarity": "taste"}, "'taste'"),
    ],
)
def test_parts_that_do_not_go_together_are_refused_in_a_sentence(parts: dict[str, Any], says: str) -> None:
    with pytest.raises(BadInput) as error:
        Combination(**parts)
    assert says in str(error.value)
    assert is_one_sentence(error)
