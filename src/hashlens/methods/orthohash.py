"""OrthoHash (Hoe et al., NeurIPS 2021): cosine softmax towards random or orthogonal hash centres."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import nn

from hashlens.methods.method import CentreMethod
from hashlens.methods.settings import OURS, Recipe, TrainingSettings
from hashlens.objectives import Problem, make_objective

PAPER = Recipe(  # section 4.1; supplement D.5 for given features
    frozen=TrainingSettings(10, 256, 1e-3, 5e-4, "step"),
    end_to_end=TrainingSettings(100, 256, 1e-4, 5e-4, "step"),
)


@dataclass(frozen=True, kw_only=True, eq=False)
class OrthoHash(CentreMethod):
    """The parts of OrthoHash and their parameters.

    Attributes:
        scale, margin, margin_kind, quantization, quantization_weight: see
            :class:`hashlens.objectives.CosineSoftmax`.

    Example:
        >>> method = OrthoHash(centres="hadamard", margin=0.3)
        >>> problem = Problem(bits=32, classes=10, codebook=method.codebook(10, 32, seed=0))
        >>> type(method.objective_for(problem)).__name__, method.hash_layer_for(problem)
        ('CosineSoftmax', 'batch-norm')
    """

    scale: float | Literal["sqrt", "auto"] = "sqrt"
    margin: float = 0.2
    margin_kind: Literal["cos", "arc"] = "cos"
    quantization: Literal["cosine", "l1", "l2"] | None = None
    quantization_weight: float = 0.0

    def hash_layer_for(self, problem: Problem) -> str:
        return "batch-norm"

    def objective_for(self, problem: Problem) -> nn.Module:
        return make_objective(
            "cosine-softmax",
            problem,
            scale=self.scale,
            margin=self.margin,
            margin_kind=self.margin_kind,
            quantization=self.quantization,
            quantization_weight=self.quantization_weight,
        )

    def settings(self, finetune: bool, paper: bool) -> TrainingSettings:
        return (PAPER if paper else OURS).settings(finetune)
