"""What every method has: hash centres, an objective, the shape of the hash layer, training settings."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import nn

from hashlens.centres import GENERATORS, check_codebook, semantic
from hashlens.errors import BadInput
from hashlens.methods.settings import TrainingSettings

SEMANTIC = "semantic"


@dataclass(frozen=True, kw_only=True, eq=False)
class Method(ABC):
    """A published system as parts and their parameters.

    Attributes:
        centres: name of a generator in :data:`hashlens.centres.GENERATORS`; ``"semantic"`` for centres that
            follow ``similarity``; or a (C, K) codebook.
        similarity: of the classes, for semantic centres: ``"confusion"`` (what a classifier confuses),
            ``"class-means"`` (means of the classes' features), or a (C, C) matrix.
        min_distance: the least distance of two semantic centres; chosen by
            :func:`hashlens.centres.semantic` where it is ``None``.
    """

    centres: str | ArrayLike = "bernoulli"
    similarity: str | ArrayLike = "confusion"
    min_distance: int | None = None

    hash_layer: ClassVar[str]

    @property
    def needs_similarity(self) -> bool:
        return isinstance(self.centres, str) and self.centres == SEMANTIC

    def codebook(
        self, classes: int, bits: int, seed: int, similarity: NDArray[np.float64] | None = None
    ) -> NDArray[np.int8]:
        """Hash centres for ``classes`` classes, (C, K) int8.

        Args:
            similarity: (C, C), needed for semantic centres.

        Raises:
            BadInput: the generator is unknown, or the given codebook does not fit.
        """
        if not isinstance(self.centres, str):
            return check_codebook(self.centres, classes, bits)
        if self.centres == SEMANTIC:
            if similarity is None:
                raise BadInput("Semantic centres need a class similarity.")
            return semantic(similarity, bits, self.min_distance, seed)
        if self.centres not in GENERATORS:
            names = ", ".join((*GENERATORS, SEMANTIC))
            raise BadInput(f"There are no centres '{self.centres}'; use one of {names}.")
        return GENERATORS[self.centres](classes, bits, seed)

    @abstractmethod
    def objective(self, codebook: NDArray[np.int8]) -> nn.Module:
        """The loss that training lowers, see :mod:`hashlens.objectives`."""

    @abstractmethod
    def settings(self, finetune: bool, paper: bool) -> TrainingSettings:
        """Defaults for training: ours, chosen on validation images, or the paper's."""

    def describe(self) -> dict[str, Any]:
        """The parameters, in a form that JSON can hold."""
        return {
            name: value if value is None or isinstance(value, str | int | float) else "given"
            for name, value in vars(self).items()
        }
