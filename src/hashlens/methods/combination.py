"""Any objective with any hash layer and any centres, put together by name."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

from numpy.typing import ArrayLike
from torch import nn

from hashlens.errors import BadInput
from hashlens.methods.method import CentreMethod
from hashlens.methods.parametrized import plain
from hashlens.methods.settings import OURS, Recipe, TrainingSettings
from hashlens.objectives import ObjectiveMaker, Problem, make_objective, needs, parameters_of
from hashlens.objectives.objective import check_parameters, maker_of, name_of

NOT_PARAMETERS = ("objective", "parameters", "recipe", "published")


@dataclass(frozen=True, kw_only=True, eq=False)
class Combination(CentreMethod):
    """A method of one objective, for a loss of your own or a new combination of parts.

    What it needs follows from what the objective asks for (see :data:`hashlens.objectives.ObjectiveMaker`): hash
    centres for a ``codebook``, a taxonomy for a ``class_distance``, and classes unless ``class_distance`` is all
    that it asks for.

    Attributes:
        objective: its name in :data:`hashlens.objectives.OBJECTIVES`, or what makes it, such as its class.
        hash_layer: its name in :data:`hashlens.models.HASH_LAYERS`.
        parameters: of the objective, by name.
        centres, similarity, taxonomy_weight, min_distance: see :class:`CentreMethod`; no centres for an objective
            that asks for no codebook.
        recipe: how to train.
        published: how its paper trains; or, in a sentence, why that cannot be done; ``None`` for no paper.

    Raises:
        BadInput: there is no such objective or parameter, or centres are missing or of no use.

    Example:
        >>> method = Combination(objective="cosine-softmax", centres="hadamard", parameters={"margin": 0.3})
        >>> method.needs_classes, method.needs_distance
        (True, False)
        >>> Combination(objective="distance-matching", hash_layer="sigmoid").needs_distance
        True
    """

    objective: str | ObjectiveMaker
    hash_layer: str = "batch-norm"
    centres: str | ArrayLike | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    recipe: Recipe = field(default=OURS, repr=False)
    published: Recipe | str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_parameters(self.objective, self.parameters)
        name, pulls = name_of(self.objective), needs(self.objective, "codebook")
        if pulls and self.centres is None:
            raise BadInput(f"The objective {name} pulls codes to hash centres; set centres, such as 'bernoulli'.")
        if not pulls and self.centres is not None:
            raise BadInput(f"The objective {name} has no hash centres; leave centres out.")

    @property
    def needs_distance(self) -> bool:
        return super().needs_distance or needs(self.objective, "class_distance")

    @property
    def needs_classes(self) -> bool:
        asks = [name for name in ("codebook", "classes", "class_distance") if needs(self.objective, name)]
        return asks != ["class_distance"]

    def hash_layer_for(self, problem: Problem) -> str:
        return self.hash_layer

    def objective_for(self, problem: Problem) -> nn.Module:
        return make_objective(self.objective, problem, **self.parameters)

    def settings(self, finetune: bool, paper: bool) -> TrainingSettings:
        if not paper:
            return self.recipe.settings(finetune)
        if isinstance(self.published, str):
            raise BadInput(self.published)
        if self.published is None:
            name = name_of(self.objective)
            raise BadInput(f"No training settings are published for the method of {name}; train without them.")
        return self.published.settings(finetune)

    def settable(self) -> dict[str, Any]:
        own = {name: hint for name, hint in super().settable().items() if name not in NOT_PARAMETERS}
        arguments = inspect.signature(maker_of(self.objective), eval_str=True).parameters
        return own | {name: _hint(arguments[name]) for name in parameters_of(self.objective)}

    def with_parameters(self, values: Mapping[str, Any]) -> Self:
        known = parameters_of(self.objective)
        of_objective = {name: value for name, value in values.items() if name in known}
        own = {name: value for name, value in values.items() if name not in known}
        return replace(self, parameters={**self.parameters, **of_objective}, **own)

    def describe(self) -> dict[str, Any]:
        own = {name: value for name, value in super().describe().items() if name not in NOT_PARAMETERS}
        of_objective = {name: plain(value) for name, value in self.parameters.items()}
        return {"objective": name_of(self.objective), **own, **of_objective}


def _hint(argument: inspect.Parameter) -> Any:
    """The annotation, or else the type of the default, of one argument of an objective."""
    if argument.annotation is not inspect.Parameter.empty:
        return argument.annotation
    return str if argument.default in (None, inspect.Parameter.empty) else type(argument.default)
