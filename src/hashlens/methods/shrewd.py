"""SHREWD (Arponen and Bishop, 2019; arXiv 1908.05602): codes whose distances follow a semantic hierarchy."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import nn

from hashlens.errors import BadInput
from hashlens.methods.method import Method, Setting
from hashlens.methods.settings import END_TO_END, FROZEN, TrainingSettings
from hashlens.objectives import Classification, DistanceMatching, EmpiricalDivergence, WeightedSum


@dataclass(frozen=True, kw_only=True, eq=False)
class SHREWD(Method):
    """The parts of SHREWD and their parameters: L_sim + λ1·L_KL + λ2·L_cls.

    Attributes:
        divergence_weight: λ1, of :class:`hashlens.objectives.EmpiricalDivergence`.
        classification_weight: λ2, of :class:`hashlens.objectives.Classification`; 0 is weakly supervised
            training, which knows how far items are apart but not their classes.
        gamma, rho: see :class:`hashlens.objectives.DistanceMatching`.
        alpha, beta: see :class:`hashlens.objectives.EmpiricalDivergence`.
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

    def hash_layer(self, setting: Setting) -> str:
        return "sigmoid"

    def objective(self, setting: Setting) -> nn.Module:
        terms: list[tuple[float, nn.Module]] = [
            (1.0, DistanceMatching(setting.class_distance, self.gamma, self.rho)),
            (self.divergence_weight, EmpiricalDivergence(self.alpha, self.beta, setting.seed)),
        ]
        if self.needs_classes:
            terms.append((self.classification_weight, Classification(setting.classes, setting.bits)))
        return WeightedSum(*terms)

    def settings(self, finetune: bool, paper: bool) -> TrainingSettings:
        if paper:
            raise BadInput("We do not know all training settings of SHREWD's paper; train without them.")
        # Weight decay and the KL term pull weights in opposite directions, most of all without labels.
        return END_TO_END if finetune else replace(FROZEN, learning_rate=3e-3, weight_decay=0.0)
