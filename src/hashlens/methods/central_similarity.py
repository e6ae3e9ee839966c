"""CSQ (Yuan et al., CVPR 2020), MDS (Wang et al., CVPR 2023) and SHC (Chen et al., 2025).

The three train alike and differ in their centres. Those of the papers are the generators ``csq``, ``mds`` and
``shc``; ``hadamard``, ``maximum-distance`` and ``semantic`` are ours: for more sizes, farther apart, a better fit.
"""

from __future__ import annotations

from dataclasses import dataclass

from numpy.typing import ArrayLike
from torch import nn

from hashlens.methods.method import CentreMethod
from hashlens.methods.settings import OURS, Recipe, TrainingSettings
from hashlens.objectives import Problem, make_objective

SHC = TrainingSettings(  # section 4.1
    100,
    64,
    1e-4,
    1e-5,
    "annealing",
    "rmsprop",
    backbone_rate=1.0,
    batch_norm_momentum=0.1,
    hash_layer_deviation=0.01,
    augmentation="crop",
    mixed_precision=False,
)
PAPER = Recipe(frozen=SHC, end_to_end=SHC)
OF_CSQ = TrainingSettings(  # docs/recipes.md has the source of each value
    90,
    64,
    1e-3,
    0.0,
    "ninths",
    backbone_rate=0.01,
    batch_norm_momentum=0.1,
    augmentation="crop",
    mixed_precision=False,
    hash_layer="csq",
)
PAPER_OF_CSQ = Recipe(frozen=OF_CSQ, end_to_end=OF_CSQ)


@dataclass(frozen=True, kw_only=True, eq=False)
class CentralSimilarityHashing(CentreMethod):
    """Per-bit cross-entropy to hash centres.

    Attributes:
        quantization_weight: see :class:`hashlens.objectives.CentralSimilarity`.

    Example:
        >>> method = CentralSimilarityHashing(centres="maximum-distance")
        >>> problem = Problem(bits=32, classes=10, codebook=method.codebook(10, 32, seed=0))
        >>> type(method.objective_for(problem)).__name__, method.hash_layer_for(problem)
        ('CentralSimilarity', 'late-tanh')
    """

    quantization_weight: float = 1e-4

    def hash_layer_for(self, problem: Problem) -> str:
        return "late-tanh"

    def objective_for(self, problem: Problem) -> nn.Module:
        return make_objective("central-similarity", problem, quantization_weight=self.quantization_weight)

    def settings(self, finetune: bool, paper: bool) -> TrainingSettings:
        return (PAPER if paper else OURS).settings(finetune)


@dataclass(frozen=True, kw_only=True, eq=False)
class CSQ(CentralSimilarityHashing):
    """The same with the training settings of CSQ's program for ``paper=True``.

    Example:
        >>> CSQ().settings(finetune=True, paper=True).hash_layer
        'csq'
    """

    centres: str | ArrayLike | None = "csq"

    def settings(self, finetune: bool, paper: bool) -> TrainingSettings:
        return (PAPER_OF_CSQ if paper else OURS).settings(finetune)
