"""OrthoHash (Hoe et al., NeurIPS 2021): cosine softmax towards random or orthogonal hash centres."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import nn

from hashlens.methods.method import CentreMethod, Setting
from hashlens.methods.settings import END_TO_END, FROZEN, TrainingSettings
from hashlens.objectives import CosineSoftmax


@dataclass(frozen=True, kw_only=True, eq=False)
class OrthoHash(CentreMethod):
    """The parts of OrthoHash and their parameters.

    Attributes:
        scale, margin, margin_kind, quantization, quantization_weight: see
            :class:`hashlens.objectives.CosineSoftmax`.
    """

    scale: float | Literal["sqrt", "auto"] = "sqrt"
    margin: float = 0.2
    margin_kind: Literal["cos", "arc"] = "cos"
    quantization: Literal["cosine", "l1", "l2"] | None = None
    quantization_weight: float = 0.0

    def hash_layer(self, setting: Setting) -> str:
        return "batch-norm"

    def objective(self, setting: Setting) -> nn.Module:
        assert setting.codebook is not None
        return CosineSoftmax(
            setting.codebook,
            self.scale,
            self.margin,
            self.margin_kind,
            self.quantization,
            self.quantization_weight,
        )

    def settings(self, finetune: bool, paper: bool) -> TrainingSettings:
        if paper:  # section 4.1; supplement D.5 for given features
            if finetune:
                return TrainingSettings(100, 256, 1e-4, 5e-4, "step")
            return TrainingSettings(10, 256, 1e-3, 5e-4, "step")
        return END_TO_END if finetune else FROZEN
