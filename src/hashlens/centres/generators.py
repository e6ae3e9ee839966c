"""Centre generators by name, and the one way from a name or an array to a codebook."""

from __future__ import annotations

import inspect
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hashlens.centres.alternating_codes import shc
from hashlens.centres.codebook import check_codebook
from hashlens.centres.csq_codes import csq
from hashlens.centres.distant_codes import maximum_distance
from hashlens.centres.hadamard_codes import hadamard
from hashlens.centres.lp_box_codes import mds
from hashlens.centres.random_codes import bernoulli
from hashlens.centres.semantic_codes import semantic
from hashlens.classes import check_similarity
from hashlens.errors import BadInput
from hashlens.registry import Registry

Generator = Callable[..., NDArray[np.int8]]
"""From (classes, bits, seed) to a codebook, (C, K) int8 in {−1, +1} with distinct rows, the same for the same seed.
What takes ``similarity`` or ``min_distance`` besides is given them by name."""

GENERATORS: Registry[Generator] = Registry("centre generator")
"""Every centre generator by name."""

register = GENERATORS.register

register("bernoulli")(bernoulli)
register("hadamard")(hadamard)
register("maximum-distance")(maximum_distance)
register("csq")(csq)
register("mds")(mds)
register("shc")(shc)


@register("semantic")
def _semantic(
    classes: int, bits: int, seed: int, similarity: ArrayLike, min_distance: int | None = None
) -> NDArray[np.int8]:
    return semantic(check_similarity(similarity, classes), bits, min_distance, seed)


def make_codebook(
    centres: str | ArrayLike,
    classes: int,
    bits: int,
    seed: int = 0,
    similarity: ArrayLike | None = None,
    min_distance: int | None = None,
) -> NDArray[np.int8]:
    """Hash centres from a name or an array.

    Args:
        centres: the name of one of :data:`GENERATORS`, or a (C, K) codebook of one's own in {−1, +1}.
        classes: C, from 1 to 100,000 and at most 2^K.
        bits: K, from 8 to 1024.
        seed: 0 or more; decides what a generator draws.
        similarity: (C, C) in [−1, 1], symmetric, 1 on the diagonal, for generators that follow one.
        min_distance: least Hamming distance of two centres, for generators that take one.

    Returns:
        (C, K) int8 in {−1, +1} with distinct rows.

    Raises:
        BadInput: there is no such generator, an argument is out of range, a similarity is missing, or something is
            given that the centres do not follow; or the array is not such a codebook.

    Example:
        >>> make_codebook("hadamard", classes=3, bits=8) @ make_codebook("hadamard", classes=3, bits=8).T
        array([[8, 0, 0],
               [0, 8, 0],
               [0, 0, 8]], dtype=int8)
        >>> make_codebook("semantic", 2, 16, similarity=[[1, -0.5], [-0.5, 1]]).shape
        (2, 16)
    """
    if seed < 0 or int(seed) != seed:
        raise BadInput(f"The seed is {seed}; it must be a whole number from 0 up.")
    given = {"similarity": similarity, "min_distance": min_distance}
    given = {name: value for name, value in given.items() if value is not None}
    if not isinstance(centres, str):
        if given:
            raise BadInput(f"A codebook of your own is taken as it is; leave out the {_words(*given)}.")
        return check_codebook(centres, classes, bits)
    generator = GENERATORS[centres]
    for name in given:
        if not _takes(centres, name):
            others = ", ".join(other for other in GENERATORS if _takes(other, name))
            raise BadInput(f"The centres {centres} follow no {_words(name)}; leave it out, or use {others}.")
    if needs_similarity(centres) and similarity is None:
        raise BadInput(f"The centres {centres} follow a class similarity; give one.")
    return check_codebook(generator(classes, bits, seed, **given), classes, bits)


def needs_similarity(centres: str | ArrayLike) -> bool:
    """Whether centres cannot be made without a class similarity.

    Args:
        centres: as for :func:`make_codebook`.

    Raises:
        BadInput: there is no generator of that name.

    Example:
        >>> needs_similarity("semantic"), needs_similarity("bernoulli"), needs_similarity([[1, -1], [-1, 1]])
        (True, False, False)
    """
    if not isinstance(centres, str):
        return False
    argument = inspect.signature(GENERATORS[centres]).parameters.get("similarity")
    return argument is not None and argument.default is inspect.Parameter.empty


def _takes(name: str, argument: str) -> bool:
    return argument in inspect.signature(GENERATORS[name]).parameters


def _words(*names: str) -> str:
    return " and the ".join({"similarity": "class similarity", "min_distance": "least distance"}[n] for n in names)
