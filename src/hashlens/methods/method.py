"""What every method has: an objective, a hash layer, training settings."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import nn

from hashlens.centres import make_codebook, needs_similarity
from hashlens.errors import BadInput
from hashlens.methods.parametrized import Parametrized
from hashlens.methods.settings import TrainingSettings
from hashlens.objectives import Problem

SEMANTIC = "semantic"
SIMILARITIES = ("confusion", "class-means", "taxonomy")


@dataclass(frozen=True, kw_only=True, eq=False)
class Method(Parametrized, ABC):
    """A published system as parts and their parameters, which are the fields of the dataclass.

    Example:
        >>> from hashlens.methods import METHODS, OrthoHash
        >>> isinstance(METHODS["shrewd"], Method), OrthoHash(margin=0.3).describe()["margin"]
        (True, 0.3)
    """

    @abstractmethod
    def objective_for(self, problem: Problem) -> nn.Module:
        """The loss that training lowers, see :mod:`hashlens.objectives`.

        Raises:
            BadInput: a parameter is out of its range, or the problem lacks what the objective needs.
        """

    @abstractmethod
    def hash_layer_for(self, problem: Problem) -> str:
        """Name of the hash layer that the objective wants, see :data:`hashlens.models.HASH_LAYERS`."""

    @abstractmethod
    def settings(self, finetune: bool, paper: bool) -> TrainingSettings:
        """How to train, on frozen features or end to end: as we found best on validation images, or as published.

        Raises:
            BadInput: the paper's settings are asked for, but none are published.
        """

    @property
    def needs_classes(self) -> bool:
        """Whether training needs to know the class of an item, rather than how far items are apart."""
        return True

    @property
    def needs_distance(self) -> bool:
        """Whether training needs to know how far classes, or items, are apart."""
        return False


@dataclass(frozen=True, kw_only=True, eq=False)
class CentreMethod(Method):
    """A method that pulls codes towards hash centres.

    Attributes:
        centres: name of a generator in :data:`hashlens.centres.GENERATORS`, a (C, K) codebook, or ``None`` where
            the objective has no centres.
        similarity: of the classes, for centres that follow one, such as ``"semantic"``: ``"confusion"`` (what a
            classifier confuses), ``"class-means"`` (means of the classes' features), ``"taxonomy"``, or a (C, C)
            matrix.
        taxonomy_weight: share of the taxonomy in the similarity, from 0 to 1; the rest is ``similarity``.
        min_distance: the least distance of two centres, for generators that take one; they choose it themselves
            where it is ``None``.

    Raises:
        BadInput: there is no such similarity, or the weight is out of range.

    Example:
        >>> from hashlens.methods import OrthoHash
        >>> OrthoHash(centres="hadamard").codebook(classes=10, bits=64, seed=0).shape
        (10, 64)
        >>> OrthoHash(centres="semantic", similarity="taxonomy").needs_distance
        True
    """

    centres: str | ArrayLike | None = "bernoulli"
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
        """Whether the centres follow a class similarity."""
        return self.centres is not None and needs_similarity(self.centres)

    @property
    def needs_distance(self) -> bool:
        by_taxonomy = isinstance(self.similarity, str) and self.similarity == "taxonomy"
        return self.needs_similarity and (by_taxonomy or self.taxonomy_weight > 0)

    def codebook(
        self, classes: int, bits: int, seed: int, similarity: NDArray[np.float64] | None = None
    ) -> NDArray[np.int8]:
        """Hash centres for ``classes`` classes, (C, K) int8 in {−1, +1}.

        Args:
            similarity: (C, C), needed where centres follow one.

        Raises:
            BadInput: there are none, or what :func:`hashlens.centres.make_codebook` refuses.
        """
        if self.centres is None:
            raise BadInput(f"{type(self).__name__} without centres has no codebook.")
        followed = similarity if self.needs_similarity else None
        return make_codebook(self.centres, classes, bits, seed, followed, self.min_distance)
