"""Our combination of the published parts."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import Literal

from numpy.typing import ArrayLike
from torch import nn

from hashlens.errors import BadInput
from hashlens.methods.central_similarity import CentralSimilarityHashing
from hashlens.methods.method import SEMANTIC, CentreMethod
from hashlens.methods.orthohash import OrthoHash
from hashlens.methods.settings import TrainingSettings
from hashlens.objectives import Problem

log = logging.getLogger("hashlens")


@dataclass(frozen=True, kw_only=True, eq=False)
class HashLens(CentreMethod):
    """Semantic centres, as in SHC, and the published loss that suits how crowded they are.

    Where there is room, it is that of OrthoHash with a larger margin, which parts classes better. Where many
    classes share few bits, centres are close by necessity, and it is that of CSQ and SHC, which pulls codes to
    their centre bit by bit without pushing them away from the others. For label sets it is always the former.

    Attributes:
        scale, margin: of the loss of OrthoHash, see :class:`hashlens.objectives.CosineSoftmax`.
        crowding: classes for each bit beyond which the loss is that of CSQ and SHC.
        mixing: of features, see :class:`hashlens.methods.TrainingSettings`, where the backbone is frozen and the
            loss that of OrthoHash; 1, with a feature dropout of 0.35, serves classes that no training image shows,
            and costs the others little.

    Example:
        >>> method = HashLens()
        >>> [method.hash_layer_for(Problem(bits, classes=100)) for bits in (64, 16)]
        ['batch-norm', 'late-tanh']
    """

    centres: str | ArrayLike | None = SEMANTIC
    similarity: str | ArrayLike = "class-means"
    scale: float | Literal["sqrt", "auto"] = "sqrt"
    margin: float = 0.5
    crowding: float = 4.0
    mixing: float = 0.0

    def hash_layer_for(self, problem: Problem) -> str:
        return self._suiting(problem).hash_layer_for(problem)

    def objective_for(self, problem: Problem) -> nn.Module:
        if self._is_crowded(problem):
            log.info("%d classes crowd %d bits: per-bit cross-entropy", problem.classes, problem.bits)
        return self._suiting(problem).objective_for(problem)

    def settings(self, finetune: bool, paper: bool) -> TrainingSettings:
        if paper:
            raise BadInput(
                "No paper says how to train HashLens, which combines parts of several; train without it."
            )
        settings = self._roomy().settings(finetune, paper)
        return settings if finetune else replace(settings, mixing=self.mixing)

    def _suiting(self, problem: Problem) -> CentreMethod:
        return CentralSimilarityHashing() if self._is_crowded(problem) else self._roomy()

    def _roomy(self) -> OrthoHash:
        return OrthoHash(scale=self.scale, margin=self.margin)

    def _is_crowded(self, problem: Problem) -> bool:
        return not problem.label_sets and problem.classes > self.crowding * problem.bits
