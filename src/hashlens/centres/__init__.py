"""Hash centres: the binary codes that classes are pulled to."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from hashlens.centres.codebook import check_codebook, minimum_distance, quality
from hashlens.centres.distant_codes import maximum_distance
from hashlens.centres.hadamard_codes import hadamard
from hashlens.centres.random_codes import bernoulli

GENERATORS: dict[str, Callable[[int, int, int], NDArray[np.int8]]] = {
    "bernoulli": bernoulli,
    "hadamard": hadamard,
    "maximum-distance": maximum_distance,
}

__all__ = [
    "GENERATORS",
    "bernoulli",
    "check_codebook",
    "hadamard",
    "maximum_distance",
    "minimum_distance",
    "quality",
]
