"""Our combination of the published parts."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from numpy.typing import ArrayLike
from torch import nn

from hashlens.methods.central_similarity import CentralSimilarityHashing
from hashlens.methods.method import SEMANTIC, Setting
from hashlens.methods.orthohash import OrthoHash

log = logging.getLogger("hashlens")

BIT_BY_BIT = CentralSimilarityHashing()


@dataclass(frozen=True, kw_only=True, eq=False)
class HashLens(OrthoHash):
    """Semantic centres, as in SHC, and the loss that suits how crowded they are.

    Where there is room, it is the cosine softmax of OrthoHash with a larger margin, which parts classes better.
    Where many classes share few bits, centres are close by necessity, and it is the per-bit cross-entropy of CSQ
    and SHC, which pulls codes to their centre without pushing them away from the others. For label sets it is the
    cosine softmax always.

    Attributes:
        crowding: classes for each bit beyond which the loss is per-bit cross-entropy, without a margin.
    """

    centres: str | ArrayLike = SEMANTIC
    similarity: str | ArrayLike = "class-means"
    margin: float = 0.5
    crowding: float = 4.0

    def hash_layer(self, setting: Setting) -> str:
        return BIT_BY_BIT.hash_layer(setting) if self._is_crowded(setting) else super().hash_layer(setting)

    def objective(self, setting: Setting) -> nn.Module:
        if not self._is_crowded(setting):
            return super().objective(setting)
        log.info("%d classes crowd %d bits: per-bit cross-entropy", setting.classes, setting.bits)
        return BIT_BY_BIT.objective(setting)

    def _is_crowded(self, setting: Setting) -> bool:
        return not setting.label_sets and setting.classes > self.crowding * setting.bits
