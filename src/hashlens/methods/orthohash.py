"""OrthoHash (Hoe et al., NeurIPS 2021): cosine softmax towards random or orthogonal hash centres."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import nn

from hashlens.centres import GENERATORS, check_codebook
from hashlens.errors import BadInput
from hashlens.methods.settings import TrainingSettings
from hashlens.objectives import CosineSoftmax


@dataclass(frozen=True)
class OrthoHash:
    """The parts of OrthoHash and their parameters.

    Attributes:
        centres: name of a generator in :data:`hashlens.centres.GENERATORS`, or a (C, K) codebook.
        scale, margin, margin_kind, quantization, quantization_weight: see
            :class:`hashlens.objectives.CosineSoftmax`.
    """

    centres: str | ArrayLike = "bernoulli"
    scale: float | Literal["sqrt", "auto"] = "sqrt"
    margin: float = 0.2
    margin_kind: Literal["cos", "arc"] = "cos"
    quantization: Literal["cosine", "l1", "l2"] | None = None
    quantization_weight: float = 0.0

    hash_layer: ClassVar[str] = "batch-norm"

    def codebook(self, classes: int, bits: int, seed: int) -> NDArray[np.int8]:
        """Hash centres for ``classes`` classes, (C, K) int8.

        Raises:
            BadInput: the generator is unknown, or the given codebook does not fit.
        """
        if not isinstance(self.centres, str):
            return check_codebook(self.centres, classes, bits)
        if self.centres not in GENERATORS:
            raise BadInput(f"There are no centres '{self.centres}'; use one of {', '.join(GENERATORS)}.")
        return GENERATORS[self.centres](classes, bits, seed)

    def objective(self, codebook: NDArray[np.int8]) -> nn.Module:
        return CosineSoftmax(
            codebook, self.scale, self.margin, self.margin_kind, self.quantization, self.quantization_weight
        )

    def settings(self, finetune: bool, paper: bool) -> TrainingSettings:
        """Defaults for training: ours, chosen on validation images, or the paper's."""
        if paper:  # section 4.1; supplement D.5 for given features
            if finetune:
                return TrainingSettings(100, 256, 1e-4, 5e-4, "step")
            return TrainingSettings(10, 256, 1e-3, 5e-4, "step")
        if finetune:
            return TrainingSettings(12, 64, 1e-3, 5e-4, "cosine", backbone_rate=0.3)
        return TrainingSettings(20, 256, 1e-3, 5e-4, "cosine", feature_dropout=0.2)
