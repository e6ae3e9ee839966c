"""The hash centres of MDS (Wang et al., "Deep Hashing with Minimal-Distance-Separated Hash Centers", CVPR 2023)."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from hashlens.centres.codebook import check_size
from hashlens.centres.csq_codes import csq
from hashlens.centres.distance_bounds import gilbert_varshamov_distance
from hashlens.centres.random_codes import bernoulli
from hashlens.compute.kernels import compiled
from hashlens.errors import BadInput

LARGEST_CLASSES = 1_000

# Of the authors' program.
SWEEPS = 50
OUTER, INNER = 1000, 10
FIRST_PENALTY, LARGEST_PENALTY, GROWTH = 1e-5, 1e7, 1.09
STEP = (1 + math.sqrt(5)) / 2  # of the multipliers
ERROR = 1e-6
TRIALS = 100  # steps at the largest penalty
ON_SPHERE = 1e-3


def mds(classes: int, bits: int, seed: int = 0) -> NDArray[np.int8]:
    """Centres pushed apart to the distance of Gilbert and Varshamov, one after the other, by Lp-box ADMM.

    Each centre in turn is moved away from the mean of the others, under the constraint that its distance to each of
    them is at least d (:func:`gilbert_varshamov_distance`), as a real vector that is drawn both into the box
    [−1, 1]^K and onto the sphere of radius √K, which meet in the binary codes. Sweeps over all classes go on until
    the smallest distance is d, 50 times at most; the best codebook by mean + minimum − variance of the distances is
    kept. The start is CSQ's centres where K is a power of two and there are enough, else random ones. Constants are
    those of the authors' program. :func:`maximum_distance` gets farther, and at once.

    Deviations: the linear system of a centre is inverted once and not in every step, which only differs by
    rounding; a centre that another one has too is replaced by a random one.

    Args:
        classes: C, from 1 to 1,000; the time grows with its square.
        bits: K, from 8 to 1024.
        seed: decides the start and the first multipliers.

    Returns:
        (C, K) int8 in {−1, +1} with distinct rows.

    Raises:
        BadInput: C or K is out of range.

    Example:
        >>> from hashlens.centres import minimum_distance
        >>> minimum_distance(mds(10, 16)) >= gilbert_varshamov_distance(10, 16)
        True
    """
    check_size(classes, bits)
    if classes > LARGEST_CLASSES:
        raise BadInput(
            f"MDS centres are for up to {LARGEST_CLASSES:,} classes, not {classes}; maximum-distance takes more."
        )
    random = np.random.default_rng(seed)
    wanted = gilbert_varshamov_distance(classes, bits)
    try:
        start = csq(classes, bits, seed) if bits & (bits - 1) == 0 else bernoulli(classes, bits, seed)
    except BadInput:
        start = bernoulli(classes, bits, seed)
    if classes == 1:
        return start
    codes = start.astype(np.float64)
    best, best_score = codes.copy(), -math.inf
    for _ in range(SWEEPS):
        for number in range(classes):
            others = np.delete(codes, number, axis=0)
            inverse = np.linalg.inv(2 * np.eye(bits) + others.T @ others)
            multipliers = random.random(bits), random.random(bits), random.random(classes - 1)
            codes[number] = _apart(codes[number].copy(), others, inverse, float(bits - 2 * wanted), *multipliers)
        score, closest = _score(codes)
        if score > best_score:
            best, best_score = codes.copy(), score
        if closest >= wanted:
            break
    return _distinct(best.astype(np.int8), random)


def _score(codes: NDArray[np.float64]) -> tuple[float, float]:
    distances = (codes.shape[1] - codes @ codes.T)[np.triu_indices(len(codes), 1)] / 2
    return float(distances.mean() + distances.min() - distances.var()), float(distances.min())


def _distinct(codes: NDArray[np.int8], random: np.random.Generator) -> NDArray[np.int8]:
    seen: set[bytes] = set()
    for number in range(len(codes)):
        while codes[number].tobytes() in seen:
            codes[number] = random.choice(np.array([-1, 1], np.int8), codes.shape[1])
        seen.add(codes[number].tobytes())
    return codes


@compiled
def _apart(code, others, inverse, limit, to_box, to_sphere, to_limits):
    """One centre, (K,) of −1 and 1, apart from the others (C − 1, K), with first multipliers."""
    bits = len(code)
    count = others.shape[0]
    mean = np.zeros(bits)
    for row in range(count):
        for k in range(bits):
            mean[k] += others[row, k] / count
    signs = np.where(code > 0, 1.0, -1.0)
    best = code.copy()
    best_score, best_closest = _score_of_one(signs, others)
    box, sphere = code.copy(), code.copy()
    slack = np.empty(count)
    products = np.empty(count)
    for row in range(count):
        slack[row] = limit - np.dot(others[row], signs)
    penalty = FIRST_PENALTY
    trials = 0
    right = np.empty(bits)
    for _outer in range(OUTER):
        for _inner in range(INNER):
            for k in range(bits):
                right[k] = penalty * (box[k] + sphere[k]) - to_box[k] - to_sphere[k] - mean[k]
            for row in range(count):
                weight = penalty * (limit - slack[row]) - to_limits[row]
                for k in range(bits):
                    right[k] += weight * others[row, k]
            code = np.dot(inverse, right) / penalty
            length = 0.0
            for k in range(bits):
                box[k] = code[k] + to_box[k] / penalty
                sphere[k] = code[k] + to_sphere[k] / penalty
                length += sphere[k] ** 2
            negative = False
            for row in range(count):
                products[row] = np.dot(others[row], code)
                slack[row] = limit - products[row] - to_limits[row] / penalty
                negative = negative or slack[row] < 0
            inside = not negative and abs(length - bits) <= ON_SPHERE
            if not inside:
                scale = math.sqrt(bits / length)
                for k in range(bits):
                    box[k] = min(max(box[k], -1.0), 1.0)
                    sphere[k] *= scale
                for row in range(count):
                    slack[row] = max(slack[row], 0.0)
            for k in range(bits):
                to_box[k] += STEP * penalty * (code[k] - box[k])
                to_sphere[k] += STEP * penalty * (code[k] - sphere[k])
            for row in range(count):
                to_limits[row] += STEP * penalty * (products[row] + slack[row] - limit)
            if inside:
                break
        penalty = min(GROWTH * penalty, LARGEST_PENALTY)
        if penalty == LARGEST_PENALTY:
            trials += 1
            signs = np.where(code > 0, 1.0, -1.0)
            score, closest = _score_of_one(signs, others)
            if score > best_score or closest > best_closest:
                best_score, best_closest = score, closest
                best = signs
        gap = 0.0
        for k in range(bits):
            gap = max(gap, abs(code[k] - box[k]), abs(code[k] - sphere[k]))
        for row in range(count):
            gap = max(gap, abs(products[row] + slack[row] - limit))
        if gap < ERROR or trials == TRIALS:
            break
    return best


@compiled
def _score_of_one(code, others):
    """Mean + minimum − variance of the distances, and the minimum."""
    bits, count = len(code), others.shape[0]
    total, squares, closest = 0.0, 0.0, float(bits)
    for row in range(count):
        distance = (bits - np.dot(others[row], code)) / 2
        total += distance
        squares += distance**2
        closest = min(closest, distance)
    mean = total / count
    return mean + closest - (squares / count - mean**2), closest
