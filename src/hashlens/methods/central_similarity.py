"""CSQ (Yuan et al., CVPR 2020), MDS (Wang et al., CVPR 2023) and SHC (Chen et al., 2025).

The three train alike and differ in their centres: Hadamard, as far apart as possible, semantic.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from hashlens.methods.method import CentreMethod, Setting
from hashlens.methods.settings import END_TO_END, FROZEN, TrainingSettings
from hashlens.objectives import CentralSimilarity


@dataclass(frozen=True, kw_only=True, eq=False)
class CentralSimilarityHashing(CentreMethod):
    """Per-bit cross-entropy to hash centres.

    Attributes:
        quantization_weight: see :class:`hashlens.objectives.CentralSimilarity`.
    """

    quantization_weight: float = 1e-4

    def hash_layer(self, setting: Setting) -> str:
        return "tanh"

    def objective(self, setting: Setting) -> nn.Module:
        assert setting.codebook is not None
        return CentralSimilarity(setting.codebook, self.quantization_weight)

    def settings(self, finetune: bool, paper: bool) -> TrainingSettings:
        if paper:  # SHC, section 4.1
            return TrainingSettings(100, 64, 1e-4, 1e-5, "annealing", "rmsprop", backbone_rate=1.0)
        return END_TO_END if finetune else FROZEN
