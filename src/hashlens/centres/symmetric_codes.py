"""Binary linear codes found by a search among those with a symmetry."""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from hashlens.centres.finite_fields import powers_of_generator
from hashlens.compute.kernels import compiled

LARGEST_SEARCHED_DIMENSION = 12
OPERATIONS = 60_000_000
RESTARTS = 4
LARGEST_ORBIT_COUNT = 2_000
# Orders of symmetries that are worth a search, with the degree of the field in which they act.
SYMMETRIES = {3: 2, 7: 3, 5: 4, 31: 5, 9: 6, 17: 8, 11: 10, 13: 12}


@functools.lru_cache(maxsize=64)
def symmetric_code(length: int, dimension: int, goal: int) -> tuple[NDArray[np.uint8], int]:
    """The best linear code that a short search finds.

    A code is the list of the columns of its generator matrix, which are vectors of ``dimension`` bits; its
    weights say how many of the columns each message meets in an odd number of bits. If the columns are whole
    orbits of a group acting on those vectors, then a message and its images have equal weights, and there are
    few orbits to choose from: both make a search by annealing short (Braun, Kohnert and Wassermann, 2005). We
    try cyclic groups that act by multiplication on a sum of small fields, and no symmetry at all.

    Args:
        length: n, the number of columns.
        dimension: k, from 2 to 12.
        goal: the minimum distance at which the search ends early, an upper bound on it for example.

    Returns:
        A (k, n) uint8 generator matrix of rank k and the code's minimum distance; distance 0 where no code
        of full rank was found.
    """
    random = np.random.default_rng(length * 1000 + dimension)
    best_columns, best_distance = np.zeros(length, np.int64), 0
    symmetries = [(order, degree) for order, degree in SYMMETRIES.items() if degree <= dimension]
    for order, degree in [*symmetries, (1, 1)]:
        orbits = _orbits(dimension, degree, order)
        sizes = np.array([len(orbit) for orbit in orbits])
        if len(sizes) > LARGEST_ORBIT_COUNT or sizes.min() > length:
            continue
        incidence, multiplicity = _weights_by_orbit(dimension, degree, order, orbits)
        moves = max(2_000, OPERATIONS // (RESTARTS * (len(symmetries) + 1) * len(multiplicity)))
        for _ in range(RESTARTS):
            chosen = _starting_orbits(sizes, length, random)
            distance = _anneal_orbits(incidence, multiplicity, sizes, chosen, length, moves, goal, random)
            columns = np.concatenate([orbits[number] for number in chosen if number >= 0])
            if len(columns) < length:
                columns, distance = _complete(columns, length, dimension)
            if distance > best_distance:
                best_columns, best_distance = columns, int(distance)
            if best_distance >= goal:
                break
        if best_distance >= goal:
            break
    generator = (best_columns >> np.arange(dimension)[:, None] & 1).astype(np.uint8)
    return generator, best_distance


def _multiplication(dimension: int, degree: int, order: int) -> NDArray[np.int64]:
    """(2^dimension,) image of every vector under an element of the given order, on as many fields as fit."""
    powers = powers_of_generator(2**degree)
    period = len(powers)
    field = np.zeros(2**degree, np.int64)
    field[powers] = np.roll(powers, -(period // order))
    vectors = np.arange(2**dimension)
    image = np.zeros_like(vectors)
    fields = dimension // degree
    for number in range(fields):
        shift = number * degree
        image |= field[vectors >> shift & (2**degree - 1)] << shift
    return image | (vectors >> fields * degree << fields * degree)


def _orbits(dimension: int, degree: int, order: int) -> list[NDArray[np.int64]]:
    image = _multiplication(dimension, degree, order)
    seen = np.zeros(len(image), bool)
    orbits = []
    for start in range(1, len(image)):
        if seen[start]:
            continue
        orbit = [start]
        while (following := int(image[orbit[-1]])) != start:
            orbit.append(following)
        seen[orbit] = True
        orbits.append(np.array(orbit))
    return orbits


def _weights_by_orbit(
    dimension: int, degree: int, order: int, orbits: list[NDArray[np.int64]]
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """How many members of each orbit of columns a message meets oddly, for one message of each equal set.

    Returns:
        (orbits, messages) int32 and (messages,) int64, how many messages each one stands for.
    """
    messages = np.arange(1, 2**dimension)
    counts = np.empty((len(orbits), len(messages)), np.int16)
    for number, orbit in enumerate(orbits):
        counts[number] = _parity(messages[:, None] & orbit).sum(1)
    # Messages of one orbit of the transposed action agree on everything, so equal columns are merged.
    merged, multiplicity = np.unique(counts, axis=1, return_counts=True)
    return np.ascontiguousarray(merged, np.int32), multiplicity.astype(np.int64)


def _starting_orbits(sizes: NDArray[np.int64], length: int, random: np.random.Generator) -> NDArray[np.int64]:
    """(length,) numbers of random orbits of total size ``length``, or as much as fits, then −1."""
    chosen = np.full(length, -1)
    left, slot = length, 0
    while (sizes <= left).any() and left:
        number = int(random.choice(np.flatnonzero(sizes <= left)))
        chosen[slot] = number
        left -= int(sizes[number])
        slot += 1
    return chosen


def _parity(vectors: NDArray[np.int64]) -> NDArray[np.int64]:
    """1 where a vector of up to 16 bits has an odd number of ones."""
    for shift in (8, 4, 2, 1):
        vectors = vectors ^ vectors >> shift
    return vectors & 1


def _complete(columns: NDArray[np.int64], length: int, dimension: int) -> tuple[NDArray[np.int64], int]:
    """Append columns, each the one that meets most of the lightest words oddly; also the minimum distance."""
    vectors = np.arange(2**dimension)
    weights = np.zeros(len(vectors), np.int64)
    for column in columns:
        weights += _parity(vectors & column)
    while len(columns) < length:
        lightest = vectors[1:][weights[1:] == weights[1:].min()][:1000]
        met = _parity(vectors[:, None] & lightest).sum(1)
        column = int(met.argmax())
        weights += _parity(vectors & column)
        columns = np.append(columns, column)
    return columns, int(weights[1:].min())


@compiled
def _anneal_orbits(incidence, multiplicity, sizes, chosen, length, moves, goal, random):
    """Exchange orbits of equal size, in place, so that light words become rare.

    The cost of a word grows exponentially as its weight falls, so that the lightest words decide. Returns the
    largest minimum weight met; ``chosen`` ends with the orbits that have it.
    """
    messages = incidence.shape[1]
    weights = np.zeros(messages, np.int64)
    used = 0
    while used < len(chosen) and chosen[used] >= 0:
        weights += incidence[chosen[used]]
        used += 1
    cost = np.exp(-1.2 * (np.arange(length + 1) - goal))
    total = 0.0
    for message in range(messages):
        total += multiplicity[message] * cost[weights[message]]
    best, best_chosen = weights.min(), chosen.copy()
    fresh = np.empty(messages, np.int64)
    for move in range(moves):
        slot = random.integers(0, used)
        old = chosen[slot]
        new = random.integers(0, len(sizes))
        if sizes[new] != sizes[old] or new == old:
            continue
        changed = 0.0
        lightest = length
        gone, come = incidence[old], incidence[new]
        for message in range(messages):
            weight = weights[message] + come[message] - gone[message]
            fresh[message] = weight
            lightest = min(lightest, weight)
            changed += multiplicity[message] * cost[weight]
        temperature = 0.5 * (1.0 - move / moves) + 0.01
        if changed < total or random.random() < np.exp((np.log(total) - np.log(changed)) / (0.2 * temperature)):
            chosen[slot] = new
            total = changed
            weights, fresh = fresh, weights
            if lightest > best:
                best = lightest
                best_chosen[:] = chosen
                if best >= goal:
                    break
    chosen[:] = best_chosen
    return best
