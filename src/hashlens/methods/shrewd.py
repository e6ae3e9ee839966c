"""SHREWD (Arponen and Bishop, 2019; arXiv 1908.05602): codes whose distances follow a semantic hierarchy."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import nn

from hashlens.errors import BadInput
from hashlens.methods.method import Method
from hashlens.methods.settings import END_TO_END, FROZEN, Recipe, TrainingSettings
from hashlens.objectives import Problem, WeightedSum, make_objective

# Weight decay and the KL term pull weights in opposite directions, most of all without labels.
OURS = Recipe(frozen=replace(FROZEN, learning_rate=3e-3, weight_decay=0.0), end_to_end=END_TO_END)


@dataclass(frozen=True, kw_only=True, eq=False)
class SHREWD(Method):
    """The parts of SHREWD and their parameters: L_sim + λ1·L_KL + λ2·L_cls.

    Attributes:
        divergence_weight: λ1, of :class:`hashlens.objectives.EmpiricalDivergence`.
        classification_weight: λ2, of :class:`hashlens.objectives.Classification`; 0 is weakly supervised
            training, which knows how far items are apart but not their classes.
        gamma, rho: see :class:`hashlens.objectives.DistanceMatching`.
        alpha, beta: see :class:`hashlens.objectives.EmpiricalDivergence`.

    Example:
        >>> SHREWD().needs_classes, SHREWD(classification_weight=0).needs_classes
        (True, False)
    """

    divergence_weight: float = 0.003
    classification_weight: float = 1.0
    gamma: float = 0.1
    rho: float = 2.0
    alpha: float = 0.1
    beta: float = 0.1

    @property
    def needs_distance(self) -> bool:
        return True

    @property
    def needs_classes(self) -> bool:
        return self.classification_weight > 0

    def hash_layer_for(self, problem: Problem) -> str:
        return "sigmoid"

    def objective_for(self, problem: Problem) -> nn.Module:
        matching = make_objective("distance-matching", problem, gamma=self.gamma, rho=self.rho)
        divergence = make_objective("empirical-divergence", problem, alpha=self.alpha, beta=self.beta)
        terms = [(1.0, matching), (self.divergence_weight, divergence)]
        if self.needs_classes:
            terms.append((self.classification_weight, make_objective("classification", problem)))
        return WeightedSum(*terms)

    def settings(self, finetune: bool, paper: bool) -> TrainingSettings:
        if paper:
            raise BadInput("We do not know all training settings of SHREWD's paper; train without them.")
        return OURS.settings(finetune)
