"""OrthoHash (Hoe et al., NeurIPS 2021): cosine softmax towards random or orthogonal hash centres."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

from torch import nn

from hashlens.errors import BadInput
from hashlens.methods.method import CentreMethod
from hashlens.methods.settings import OURS, Recipe, TrainingSettings
from hashlens.objectives import Problem, make_objective
from hashlens.objectives.cosine_softmax import LabelSetLoss

HashLayerName = Literal["batch-norm", "linear", "bi-half"]

PAPER = Recipe(  # docs/recipes.md has the source of each value
    frozen=TrainingSettings(
        10, 256, 1e-3, 5e-4, "two-steps", batch_norm_momentum=0.1, hash_layer_deviation=0.01, mixed_precision=False
    ),
    end_to_end=TrainingSettings(
        100,
        256,
        1e-4,
        5e-4,
        "step",
        batch_norm_momentum=0.1,
        hash_layer_deviation=0.01,
        augmentation="by-data",
        mixed_precision=False,
    ),
)


@dataclass(frozen=True, kw_only=True, eq=False)
class OrthoHash(CentreMethod):
    """The parts of OrthoHash and their parameters, with those of its ablations.

    Attributes:
        scale, margin, margin_kind, quantization, quantization_weight, label_set_loss: see
            :class:`hashlens.objectives.CosineSoftmax`; without ``centres``, they are learnt, see
            :class:`hashlens.objectives.LearnedCosineSoftmax`.
        hash_layer: ``"batch-norm"``, or without it ``"linear"`` or ``"bi-half"``.

    Raises:
        BadInput: there is no such hash layer, or a quantisation term is asked for beside centres that are learnt.

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
    label_set_loss: LabelSetLoss = "softmax"
    hash_layer: HashLayerName = "batch-norm"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.hash_layer not in get_args(HashLayerName):
            names = ", ".join(get_args(HashLayerName))
            raise BadInput(f"OrthoHash has no hash layer '{self.hash_layer}'; use one of {names}.")
        if self.centres is None and self.quantization is not None:
            raise BadInput("Centres that are learnt go without a quantization term; leave one of the two out.")

    def hash_layer_for(self, problem: Problem) -> str:
        return self.hash_layer

    def objective_for(self, problem: Problem) -> nn.Module:
        parameters: dict[str, Any] = {
            "scale": self.scale,
            "margin": self.margin,
            "margin_kind": self.margin_kind,
            "label_set_loss": self.label_set_loss,
        }
        if self.centres is None:
            return make_objective("learned-cosine-softmax", problem, **parameters)
        parameters |= {"quantization": self.quantization, "quantization_weight": self.quantization_weight}
        return make_objective("cosine-softmax", problem, **parameters)

    def settings(self, finetune: bool, paper: bool) -> TrainingSettings:
        return (PAPER if paper else OURS).settings(finetune)
