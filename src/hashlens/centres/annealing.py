"""Compiled searches for codebooks that look like a similarity.

All of them are Metropolis annealing. Similarities are integers in units of 2^−14, so that sums can be vectorised
without depending on the order in which a machine adds.
"""

from __future__ import annotations

import numpy as np

from hashlens.compute.kernels import compiled, popcount

UNIT = 1 << 14
LARGEST_FORCE = 1e9  # of a penalty: fits in 32 bits


@compiled
def anneal_bits(signs, words, target, distance, temperatures, strengths, random):
    """Flip single bits, in place, to lower Σ (S − HHᵀ/K)² plus a penalty on pairs that are too close.

    A sweep proposes every bit of every class once. The energy is a sum over pairs of a function of similarity
    and distance, so with all but one class fixed, the change that a flip brings is h_k · (force · column k) plus
    a constant: one dot product for each proposal, and a new force only where a flip is accepted.

    Args:
        signs: (K, C) int8 in {−1, +1}, the codebook transposed.
        words: (W, C) uint64, the same as bits, see :func:`as_words`.
        target: (C, C) int16, similarities in units of 2^−14.
        distance: d; a pair at distance D < d costs strength · (2(d − D)/K)².
        temperatures: (sweeps,) in units of the mismatch summed over the pairs.
        strengths: (sweeps,) weight of the penalty.
    """
    bits, classes = signs.shape
    cosines = cosine_table(bits)
    # Everything below is in units of 4/K · 2^−14, the change of (S − G/K)² per unit of S − G/K and flip.
    step = UNIT / bits
    scale = UNIT * bits / 4
    distances = np.empty(classes, np.int64)
    force = np.empty(classes, np.int32)
    slopes = np.empty(bits + 1, np.int32)
    offsets = np.empty(bits + 1, np.float64)
    for sweep in range(temperatures.shape[0]):
        temperature = temperatures[sweep] * scale
        for level in range(bits + 1):
            lack = max(0, distance - level) ** 2
            farther = strengths[sweep] * step * (max(0, distance - level - 1) ** 2 - lack)
            nearer = strengths[sweep] * step * (max(0, distance - level + 1) ** 2 - lack)
            farther, nearer = max(farther, -LARGEST_FORCE), min(nearer, LARGEST_FORCE)
            slopes[level] = np.int32((farther - nearer) / 2) - cosines[level]
            offsets[level] = (farther + nearer) / 2 + step
        for row in range(classes):
            distances_to(words, row, distances)
            offset = -offsets[0]
            for other in range(classes):
                force[other] = target[row, other] + slopes[distances[other]]
                offset += offsets[distances[other]]
            force[row] = 0
            for bit in range(bits):
                column = signs[bit]
                field = np.int64(0)
                for other in range(classes):
                    field += force[other] * np.int32(column[other])
                sign = column[row]
                change = sign * field + offset
                if change < 0 or change < temperature * random.standard_exponential():
                    offset = -offsets[0]
                    for other in range(classes):
                        distances[other] += sign * column[other]
                    distances[row] = 0
                    for other in range(classes):
                        force[other] = target[row, other] + slopes[distances[other]]
                        offset += offsets[distances[other]]
                    force[row] = 0
                    column[row] = -sign
                    words[bit >> 6, row] ^= np.uint64(1) << np.uint64(bit & 63)


@compiled
def anneal_assignment(pool, chosen, words, target, bits, temperatures, moves, random):
    """Move classes to unused words of a code, or exchange two words, in place, to lower Σ (S − HHᵀ/K)².

    Args:
        pool: (W, M) uint64, the code.
        chosen: (C,) int64, which word of the pool each class has, all different.
        words: (W, C) uint64, those words.
        target: (C, C) int16, similarities in units of 2^−14.
        bits: K.
        temperatures: (steps,) in units of the mismatch summed over the pairs.
        moves: proposals at each temperature.
    """
    width, size = pool.shape
    classes = chosen.shape[0]
    cosines = cosine_table(bits)
    owner = np.full(size, -1, np.int64)
    for row in range(classes):
        owner[chosen[row]] = row
    here = np.empty(classes, np.int64)
    there = np.empty(classes, np.int64)
    fresh = np.empty(width, np.uint64)
    for temperature in temperatures:
        limit = temperature * float(UNIT) * float(UNIT)
        for _ in range(moves):
            row = random.integers(0, classes)
            number = random.integers(0, size)
            partner = owner[number]
            if partner == row:
                continue
            distances_to(words, row, here)
            for w in range(width):
                fresh[w] = pool[w, number]
            distances_from(words, fresh, there)
            change = np.int64(0)
            for other in range(classes):
                if other != row and other != partner:
                    before = np.int64(target[row, other]) - cosines[here[other]]
                    after = np.int64(target[row, other]) - cosines[there[other]]
                    change += after * after - before * before
                    if partner >= 0:
                        before = np.int64(target[partner, other]) - cosines[there[other]]
                        after = np.int64(target[partner, other]) - cosines[here[other]]
                        change += after * after - before * before
            if change < 0 or change < limit * random.standard_exponential():
                old = chosen[row]
                chosen[row] = number
                owner[number] = row
                owner[old] = partner
                if partner >= 0:
                    chosen[partner] = old
                for w in range(width):
                    if partner >= 0:
                        words[w, partner] = words[w, row]
                    words[w, row] = fresh[w]


@compiled
def closest_and_mismatch(words, target, bits):
    """The smallest distance between two classes and the mean of (S − HHᵀ/K)² over pairs of classes."""
    classes = words.shape[1]
    cosines = cosine_table(bits)
    distances = np.empty(classes, np.int64)
    closest, total = bits + 1, 0.0
    for row in range(classes):
        distances_to(words, row, distances)
        subtotal = np.int64(0)
        for other in range(row):
            difference = np.int64(target[row, other]) - cosines[distances[other]]
            subtotal += difference * difference
            closest = min(closest, distances[other])
        total += subtotal
    return closest, total / (classes * (classes - 1) / 2) / (float(UNIT) * float(UNIT))


@compiled
def too_close(words, distance):
    """(C,) int64, with how many other classes each one is closer than ``distance``."""
    classes = words.shape[1]
    distances = np.empty(classes, np.int64)
    partners = np.zeros(classes, np.int64)
    for row in range(classes):
        distances_to(words, row, distances)
        for other in range(classes):
            partners[row] += other != row and distances[other] < distance
    return partners


@compiled
def cosine_table(bits):
    """(K + 1,) the cosine of two codes by their distance, in units of 2^−14."""
    table = np.empty(bits + 1, np.int32)
    for level in range(bits + 1):
        table[level] = np.int32(np.rint(UNIT * (bits - 2 * level) / bits))
    return table


@compiled
def distances_to(words, row, out):
    """Write the distances of all classes to one of them."""
    distances_from(words, words[:, row].copy(), out)


@compiled
def distances_from(words, code, out):
    """Write the distances of all classes to a code, (W,) uint64."""
    classes = words.shape[1]
    for other in range(classes):
        out[other] = popcount(words[0, other] ^ code[0])
    for w in range(1, words.shape[0]):
        for other in range(classes):
            out[other] += popcount(words[w, other] ^ code[w])


@compiled
def as_words(signs):
    """(K, C) int8 in {−1, +1} → (W, C) uint64: bit k of a code is bit k mod 64 of word k / 64."""
    bits, classes = signs.shape
    words = np.zeros(((bits + 63) // 64, classes), np.uint64)
    for bit in range(bits):
        for other in range(classes):
            if signs[bit, other] > 0:
                words[bit >> 6, other] |= np.uint64(1) << np.uint64(bit & 63)
    return words
