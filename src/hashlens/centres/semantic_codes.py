"""Codebooks in which similar classes have similar codes (SHC, Chen et al., 2025, stage 2)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hashlens.centres.annealing import (
    UNIT,
    anneal_assignment,
    anneal_bits,
    as_words,
    closest_and_mismatch,
    too_close,
)
from hashlens.centres.best_known_codes import best_known_code, words_at_distance
from hashlens.centres.codebook import check_size, minimum_distance
from hashlens.centres.distance_bounds import distance_upper_bound
from hashlens.centres.distant_codes import maximum_distance
from hashlens.classes import check_similarity
from hashlens.errors import BadInput

LARGEST_CLASSES = 10_000

# The rule for the distance, found on validation images. With few classes retrieval gains from distance up to about
# what the rule gives; with 100 it depends on the network: linear hash layers gain from smaller distances, hidden
# layers do not, and hierarchical precision always does. A multiple of the unconstrained mismatch is no guide: long
# codes bring that near zero on a taxonomy.
LARGEST_LOSS = 0.2

# A sweep proposes every bit of every class and costs C² K operations.
SWEEPS = 1000
FEWEST_SWEEPS = 60
TRIAL_SWEEPS = 100
FEWEST_TRIAL_SWEEPS = 20
SWEEP_OPERATIONS = 4e10
RESTARTS = 16
RESTART_OPERATIONS = 2e8

# Temperatures in units of 4/K², the change of one pair's mismatch by one flip, for 100 classes; the changes of C
# pairs add up at random, so they are scaled with √C.
HOT, COLD, FROZEN = 20.0, 1.0, 0.1
WEAKEST_PENALTY, STRONGEST_PENALTY, PROHIBITION = 1.0, 2000.0, 1e6

REPAIRS = 6
REPAIR_WARMTH = 5.0
PLACES = 2048
MOST_MOVED = 0.3  # share of the classes: where more are too close, few of them find a place

EXACT_SPECTRUM = 1500  # classes: beyond, all eigenvectors take too long
ASSIGNMENT_STEPS = 60
NEAR_THE_LIMIT = 0.6  # of the best known distance: below, codes fit worse than direct annealing


def semantic(similarity: ArrayLike, bits: int, min_distance: int | None = None, seed: int = 0) -> NDArray[np.int8]:
    """Centres whose cosines follow a class similarity, and that keep a minimum distance (SHC, section 3.2).

    Minimises the mismatch, the mean of (S − HHᵀ/K)² over pairs of classes, subject to Hamming distance ≥ d for
    every pair. Instead of the paper's alternating optimisation we take the better of two annealed candidates:
    signs of a Gaussian projection of S, of which single bits are flipped under a growing penalty on close
    pairs; and, where d comes near the largest that is known, words of an algebraic code, of which first the
    assignment to classes and then single bits are annealed without ever violating d.

    A large d costs similarity. Without one we choose the largest d at which the codes keep four fifths of what
    codes without any constraint gain over random ones, whose mismatch is mean(S²) + 1/K. A bisection with a
    short annealing at each step estimates it.

    Args:
        similarity: (C, C) in [−1, 1], symmetric, 1 on the diagonal; C from 2 to 10,000.
        bits: K, from 8 to 1024.
        min_distance: d, from 1 to K; ``None`` chooses.
        seed: the same seed gives the same codes.

    Returns:
        (C, K) int8 in {−1, +1} with distinct rows.

    Raises:
        BadInput: the similarity is not such a matrix, C or K is out of range, C distinct codes do not exist, or
            no codes at this distance were found; the message names the largest distance that was reached.

    Example:
        >>> similarity = [[1, 0.75, -0.5], [0.75, 1, -0.5], [-0.5, -0.5, 1]]
        >>> codes = semantic(similarity, bits=64, min_distance=1).astype(int)
        >>> (codes @ codes.T / 64).tolist()
        [[1.0, 0.75, -0.5], [0.75, 1.0, -0.5], [-0.5, -0.5, 1.0]]
    """
    matrix = check_similarity(similarity)
    classes = len(matrix)
    if not 2 <= classes <= LARGEST_CLASSES:
        raise BadInput(f"Semantic centres are for 2 to {LARGEST_CLASSES:,} classes, not {classes}.")
    check_size(classes, bits)
    if min_distance is not None and (int(min_distance) != min_distance or not 1 <= min_distance <= bits):
        raise BadInput(f"A minimum distance of {min_distance} is out of range; choose from 1 to {bits}.")
    search = _Search(matrix, bits, seed)
    distance = search.affordable_distance() if min_distance is None else int(min_distance)
    return search.best(distance)


class _Search:
    """One similarity, one code length: candidates at any distance."""

    def __init__(self, similarity: NDArray[np.float64], bits: int, seed: int) -> None:
        self.classes, self.bits, self.seed = len(similarity), bits, seed
        self.target = np.empty(similarity.shape, np.int16)
        for row, values in enumerate(similarity):  # one row at a time: there may be 10,000
            self.target[row] = np.rint(np.clip(values, -1, 1) * UNIT)
        pairs = self.classes * (self.classes - 1)
        square = sum(float(values @ values) for values in similarity) - float(np.square(np.diag(similarity)).sum())
        self.mean_square = square / pairs
        self.projected = _projections(similarity, bits)
        self.known_distance = best_known_code(self.classes, bits).distance
        self.flip = 4 / bits**2 * (self.classes / 100) ** 0.5

    def affordable_distance(self) -> int:
        """The largest distance, by bisection, that keeps the promise of :func:`semantic`."""
        sweeps = self._sweeps(TRIAL_SWEEPS, FEWEST_TRIAL_SWEEPS)
        unconstrained = self._mismatch(self._direct(1, sweeps, 0))
        gain = self.mean_square + 1 / self.bits - unconstrained
        limit = unconstrained + LARGEST_LOSS * gain
        low, high = 1, self.known_distance + 1
        while high - low > 1:
            middle = (low + high) // 2
            codes = self._moved_apart(self._direct(middle, sweeps, 0), middle, sweeps // 4, (0, 0))
            if self._closest(codes) >= middle and self._mismatch(codes) <= limit:
                low = middle
            else:
                high = middle
        return low

    def best(self, distance: int) -> NDArray[np.int8]:
        """The candidate with the smallest mismatch among those that keep the distance."""
        sweeps = self._sweeps(SWEEPS, FEWEST_SWEEPS)
        possible = distance <= distance_upper_bound(self.classes, self.bits)
        restarts = possible * int(np.clip(RESTART_OPERATIONS / (sweeps * self.classes**2 * self.bits), 1, RESTARTS))
        candidates = []
        reached = 0
        for number in range(restarts):
            signs = self._direct(distance, sweeps, number)
            for attempt in range(REPAIRS):
                apart = self._moved_apart(signs, distance, sweeps // 4, (number, attempt))
                closest = self._closest(apart)
                reached = max(reached, closest)
                if closest >= distance:
                    candidates.append(apart)
                    break
                # Too close pairs are stuck: warm enough to free them, the penalty decides where they go.
                warmth = REPAIR_WARMTH * (1 + attempt % 2)
                strengths = (STRONGEST_PENALTY / warmth**2, 10 * STRONGEST_PENALTY / warmth)
                self._anneal(signs, distance, sweeps // 4, (warmth, COLD), strengths, (number, attempt))
        if not candidates or distance > NEAR_THE_LIMIT * self.known_distance:
            code = self._code(distance)
            if code is not None:
                candidates.append(self._from_code(code, distance))
        if not candidates:
            reached = max(reached, minimum_distance(maximum_distance(self.classes, self.bits, self.seed)))
            raise BadInput(
                f"{self.classes} codes of {self.bits} bits at distance {distance} were not found; the largest "
                f"minimum distance that was reached is {reached}."
            )
        return np.ascontiguousarray(min(candidates, key=self._mismatch).T)

    def _direct(self, distance: int, sweeps: int, number: int) -> NDArray[np.int8]:
        """(K, C) from a Gaussian projection; may fall short of the distance."""
        random = np.random.default_rng([self.seed, number])
        rank = self.projected.shape[1]
        gaussian = random.standard_normal((rank, self.bits)).astype(self.projected.dtype)
        signs = np.ascontiguousarray(np.where(self.projected @ gaussian > 0, 1, -1).T, np.int8)
        self._anneal(signs, distance, sweeps, (HOT, COLD), (WEAKEST_PENALTY, STRONGEST_PENALTY), (number,))
        return signs

    def _moved_apart(
        self, signs: NDArray[np.int8], distance: int, sweeps: int, stage: tuple[int, ...]
    ) -> NDArray[np.int8]:
        """(K, C), the same codes, but for classes that are too close to others where there is a better place.

        A few pairs are usually left that single flips cannot part. Such a class goes to the best of many codes
        that differ from its own in more or fewer bits, among those far enough from all others.
        """
        partners = too_close(as_words(signs), distance)
        if not 0 < np.count_nonzero(partners) < MOST_MOVED * self.classes:
            return signs
        random = np.random.default_rng([self.seed, distance, *stage, REPAIRS])
        codes = signs.T.astype(np.float32)
        limit = self.bits - 2 * distance
        while partners.any():
            row = int(partners.argmax())
            rates = random.uniform(0, 0.5, (PLACES, 1))
            places = np.where(random.random((PLACES, self.bits)) < rates, -codes[row], codes[row])
            products = places @ codes.T
            products[:, row] = -self.bits
            fits = products.max(1) <= limit
            partners[row] = 0
            if fits.any():
                wanted = self.target[row].astype(np.float32) / UNIT
                wanted[row] = -1
                mismatches = ((wanted - products / self.bits) ** 2).sum(1)
                mismatches[~fits] = np.inf
                partners -= (partners > 0) & (codes @ codes[row] > limit)
                codes[row] = places[mismatches.argmin()]
        moved = np.ascontiguousarray(codes.T, np.int8)
        if self._closest(moved) >= distance:
            self._anneal(moved, distance, sweeps, (COLD, FROZEN), (PROHIBITION, PROHIBITION), stage)
        return moved

    def _code(self, distance: int) -> NDArray[np.uint8] | None:
        """(M, K) of 0 and 1, M ≥ C words at the distance, or None."""
        code = words_at_distance(self.classes, self.bits, distance, distance_upper_bound(self.classes, self.bits))
        if code is None:
            distant = maximum_distance(self.classes, self.bits, self.seed)
            code = (distant > 0).astype(np.uint8) if minimum_distance(distant) >= distance else None
        return code

    def _from_code(self, code: NDArray[np.uint8], distance: int) -> NDArray[np.int8]:
        """(K, C), words of a code: the assignment annealed, then single bits."""
        random = np.random.default_rng([self.seed, RESTARTS])
        signs = np.ascontiguousarray(code.T.astype(np.int8) * 2 - 1)
        pool = as_words(signs)
        chosen = random.permutation(len(code))[: self.classes]
        words = np.ascontiguousarray(pool[:, chosen])
        temperatures = np.geomspace(HOT, COLD, ASSIGNMENT_STEPS) * self.flip
        moves = int(min(1e4 * self.classes, max(1e6, 3e9 / self.classes))) // ASSIGNMENT_STEPS
        anneal_assignment(pool, chosen, words, self.target, self.bits, temperatures, moves, random)
        signs = np.ascontiguousarray(signs[:, chosen])
        sweeps = self._sweeps(TRIAL_SWEEPS, FEWEST_TRIAL_SWEEPS)
        self._anneal(signs, distance, sweeps, (COLD, FROZEN), (PROHIBITION, PROHIBITION), (RESTARTS,))
        return signs

    def _anneal(
        self,
        signs: NDArray[np.int8],
        distance: int,
        sweeps: int,
        temperatures: tuple[float, float],
        strengths: tuple[float, float],
        stage: tuple[int, ...],
    ) -> None:
        falling = np.geomspace(*temperatures, sweeps) * self.flip
        rising = np.geomspace(*strengths, sweeps) * max(1.0, (self.classes / 100) ** 0.5)
        random = np.random.default_rng([self.seed, distance, *stage])
        anneal_bits(signs, as_words(signs), self.target, distance, falling, rising, random)

    def _sweeps(self, most: int, fewest: int) -> int:
        affordable = SWEEP_OPERATIONS * most / SWEEPS / (self.classes**2 * self.bits)
        return int(np.clip(affordable, fewest, most))

    def _closest(self, signs: NDArray[np.int8]) -> int:
        return int(closest_and_mismatch(as_words(signs), self.target, self.bits)[0])

    def _mismatch(self, signs: NDArray[np.int8]) -> float:
        return float(closest_and_mismatch(as_words(signs), self.target, self.bits)[1])


def _projections(similarity: NDArray[np.float64], bits: int) -> NDArray[np.floating]:
    """(C, R) vectors whose Gaussian projections have signs that follow the similarity.

    Signs of Gaussians with correlation ρ have the correlation 2/π · arcsin ρ, so ρ = sin(π/2 · S) is wanted; its
    positive part is the nearest that exists.
    """
    classes = len(similarity)
    if classes <= EXACT_SPECTRUM:
        values, vectors = np.linalg.eigh(np.sin(np.pi / 2 * similarity))
        return vectors * np.sqrt(np.maximum(values, 0))
    wanted = similarity.astype(np.float32)
    wanted *= np.pi / 2
    np.sin(wanted, out=wanted)
    # A random subspace that the matrix was applied to holds nearly all of its large eigenvalues.
    random = np.random.default_rng(0)
    basis = random.standard_normal((classes, min(classes, 2 * bits + 32))).astype(np.float32)
    for _ in range(3):
        basis, _ = np.linalg.qr(wanted @ basis)
    values, vectors = np.linalg.eigh(basis.T @ (wanted @ basis))
    return (basis @ vectors) * np.sqrt(np.maximum(values, 0))
