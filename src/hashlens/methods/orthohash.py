"""OrthoHash (Hoe et al., NeurIPS 2021): cosine softmax towards random or orthogonal hash centres."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from torch import nn

from hashlens.methods.method import Method
from hashlens.methods.settings import TrainingSettings
from hashlens.objectives import CosineSoftmax


@dataclass(frozen=True, kw_only=True, eq=False)
class OrthoHash(Method):
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

    hash_layer: ClassVar[str] = "batch-norm"

    def objective(self, codebook: NDArray[np.int8]) -> nn.Module:
        return CosineSoftmax(
            codebook, self.scale, self.margin, self.margin_kind, self.quantization, self.quantization_weight
        )

    def settings(self, finetune: bool, paper: bool) -> TrainingSettings:
        if paper:  # section 4.1; supplement D.5 for given features
            if finetune:
                return TrainingSettings(100, 256, 1e-4, 5e-4, "step")
            return TrainingSettings(10, 256, 1e-3, 5e-4, "step")
        if finetune:
            return TrainingSettings(12, 64, 1e-3, 5e-4, "cosine", backbone_rate=0.3)
        return TrainingSettings(20, 256, 1e-3, 5e-4, "cosine", feature_dropout=0.2)
