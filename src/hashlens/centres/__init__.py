"""Hash centres: the binary codes that classes are pulled to."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from hashlens.centres.codebook import check_codebook, minimum_distance, quality
from hashlens.centres.distance_bounds import distance_upper_bound, gilbert_varshamov_distance
from hashlens.centres.distant_codes import maximum_distance
from hashlens.centres.hadamard_codes import hadamard
from hashlens.centres.random_codes import bernoulli
from hashlens.centres.semantic_codes import semantic

GENERATORS: dict[str, Callable[[int, int, int], NDArray[np.int8]]] = {
    "bernoulli": bernoulli,
    "hadamard": hadamard,
    "maximum-distance": maximum_distance,
}

__all__ = [
    "GENERATORS",
    "bernoulli",
    "check_codebook",
    "distance_upper_bound",
    "gilbert_varshamov_distance",
    "hadamard",
    "maximum_distance",
    "minimum_distance",
    "quality",
    "semantic",
]
