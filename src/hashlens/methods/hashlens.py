"""Our combination of the published parts."""

from __future__ import annotations

from dataclasses import dataclass, replace

from numpy.typing import ArrayLike

from hashlens.errors import BadInput
from hashlens.methods.method import SEMANTIC
from hashlens.methods.orthohash import OrthoHash
from hashlens.methods.settings import TrainingSettings


@dataclass(frozen=True, kw_only=True, eq=False)
class HashLens(OrthoHash):
    """Semantic centres, as in SHC, and the loss of OrthoHash with a larger margin, which parts classes better.

    Attributes:
        stages: whether it learns from what earlier stages of a frozen backbone give too, see
            :class:`hashlens.methods.TrainingSettings`. Published systems take what the last layer gives.
        mixing: of features, see :class:`hashlens.methods.TrainingSettings`, where the backbone is frozen; 1, with a
            feature dropout of 0.35, serves classes that no training image shows, and costs the others little.

    Example:
        >>> HashLens().similarity, HashLens().margin
        ('class-means', 0.5)
    """

    centres: str | ArrayLike | None = SEMANTIC
    similarity: str | ArrayLike = "class-means"
    margin: float = 0.5
    stages: bool = True
    mixing: float = 0.0

    def settings(self, finetune: bool, paper: bool) -> TrainingSettings:
        if paper:
            raise BadInput(
                "No paper says how to train HashLens, which combines parts of several; train without it."
            )
        settings = super().settings(finetune, paper)
        return settings if finetune else replace(settings, stages=self.stages, mixing=self.mixing)
