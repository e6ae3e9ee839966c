"""What every method has: an objective, the shape of the hash layer, training settings."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import nn

from hashlens.centres import GENERATORS, check_codebook, semantic
from hashlens.errors import BadInput
from hashlens.methods.settings import TrainingSettings

SEMANTIC = "semantic"
SIMILARITIES = ("confusion", "class-means", "taxonomy")


@dataclass(frozen=True)
class Setting:
    """What an objective and a hash layer are made for.

    Attributes:
        bits: K.
        classes: C; 0 where items have no classes.
        seed: of what the objective draws at random.
        codebook: (C, K) hash centres, for methods that have them.
        class_distance: (C, C) in [0, 1], for methods that use it; ``None`` where targets are vectors of items.
        label_sets: whether items may have several classes.
    """

    bits: int
    classes: int
    seed: int = 0
    codebook: NDArray[np.int8] | None = None
    class_distance: NDArray[np.float64] | None = None
    label_sets: bool = False


@dataclass(frozen=True, kw_only=True, eq=False)
class Method(ABC):
    """A published system as parts and their parameters."""

    @abstractmethod
    def objective(self, setting: Setting) -> nn.Module:
        """The loss that training lowers, see :mod:`hashlens.objectives`."""

    @abstractmethod
    def hash_layer(self, setting: Setting) -> str:
        """Name of the hash layer that the objective wants, see :data:`hashlens.models.HASH_LAYERS`."""

    @abstractmethod
    def settings(self, finetune: bool, paper: bool) -> TrainingSettings:
        """Defaults for training: ours, chosen on validation images, or the paper's."""

    @property
    def needs_classes(self) -> bool:
        """Whether training needs to know the class of an item, rather than how far items are apart."""
        return True

    @property
    def needs_distance(self) -> bool:
        """Whether training needs to know how far classes, or items, are apart."""
        return False

    def describe(self) -> dict[str, Any]:
        """The parameters, in a form that JSON can hold."""
        return {
            name: value if value is None or isinstance(value, str | int | float) else "given"
            for name, value in vars(self).items()
        }


@dataclass(frozen=True, kw_only=True, eq=False)
class CentreMethod(Method):
    """A method that pulls codes towards hash centres.

    Attributes:
        centres: name of a generator in :data:`hashlens.centres.GENERATORS`; ``"semantic"`` for centres that
            follow ``similarity``; or a (C, K) codebook.
        similarity: of the classes, for semantic centres: ``"confusion"`` (what a classifier confuses),
            ``"class-means"`` (means of the classes' features), ``"taxonomy"``, or a (C, C) matrix.
        taxonomy_weight: share of the taxonomy in the similarity, from 0 to 1; the rest is ``similarity``.
        min_distance: the least distance of two semantic centres; chosen by
            :func:`hashlens.centres.semantic` where it is ``None``.

    Raises:
        BadInput: there is no such similarity, or the weight is out of range.
    """

    centres: str | ArrayLike = "bernoulli"
    similarity: str | ArrayLike = "confusion"
    taxonomy_weight: float = 0.0
    min_distance: int | None = None

    def __post_init__(self) -> None:
        if isinstance(self.similarity, str) and self.similarity not in SIMILARITIES:
            names = ", ".join(SIMILARITIES)
            raise BadInput(f"There is no class similarity '{self.similarity}'; use {names}, or give a matrix.")
        if not 0 <= self.taxonomy_weight <= 1:
            raise BadInput(f"The taxonomy weight is {self.taxonomy_weight}; it must be from 0 to 1.")

    @property
    def needs_similarity(self) -> bool:
        return isinstance(self.centres, str) and self.centres == SEMANTIC

    @property
    def needs_distance(self) -> bool:
        by_taxonomy = isinstance(self.similarity, str) and self.similarity == "taxonomy"
        return self.needs_similarity and (by_taxonomy or self.taxonomy_weight > 0)

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
