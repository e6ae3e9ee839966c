"""Semantic hash centres: ours against the optimiser of the SHC paper, on quality and processor seconds.

The peer is a plain, vectorised re-implementation of the paper's second stage (Chen et al., 2025): the distance d of
Gilbert and Varshamov; centres that are pushed apart by Lp-box ADMM (MDS; Wang et al., CVPR 2023) as a start;
then alternating steps on ‖S − HHᵀ/K‖² with auxiliary real codes and multipliers, in which the signs of one bit of
all classes are taken only if every pair of classes stays d apart. That hardly moves a start which is just d apart,
so there is a stronger peer too, which takes each sign that leaves its class d apart from the others. The authors'
program takes about a minute where these take about a second, so compare quality first.

    python benchmarks/centres.py
    python benchmarks/centres.py --sizes 64x100 32x100

Prints a Markdown table. For each size: the peers; ours at the distance that the peer reached or was asked for,
whichever is larger; ours at the distance that it chooses.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from hashlens.centres import gilbert_varshamov_distance, quality, semantic
from hashlens.classes import normalize_similarity

SIZES = [(16, 100), (32, 100), (64, 100), (64, 10), (32, 200), (48, 100), (64, 1000), (128, 1000)]
START_STEPS, REPLACEMENTS, ALTERNATIONS = 300, 1000, 50

Matrix = NDArray[np.float64]
Codebook = NDArray[np.int8]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", help="such as 64x100, bits x classes", metavar="KxC")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    sizes = [tuple(map(int, size.split("x"))) for size in options.sizes] if options.sizes else SIZES

    for distance in (None, 8):  # compiled once, before anything is timed
        semantic(taxonomy_similarity(20, 0), 16, distance)
    print("| similarity | K, C | centres | d | upper bound | mismatch | Pearson | Spearman | seconds |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for name, make in (("taxonomy", taxonomy_similarity), ("confusion", confusion_similarity)):
        for bits, classes in sizes:
            similarity = make(classes, options.seed)
            wanted = gilbert_varshamov_distance(classes, bits)

            def report(
                centres: str, function: Callable[[], Codebook], size=(name, bits, classes), s=similarity
            ) -> int:
                started = time.process_time()
                codebook = function()
                seconds = time.process_time() - started
                facts = quality(codebook, s)
                print(
                    f"| {size[0]} | {size[1]}, {size[2]} | {centres} | {facts['minimum_distance']} | "
                    f"{facts['upper_bound']} | {facts['mismatch']:.4f} | {facts['pearson']:.2f} | "
                    f"{facts['spearman']:.2f} | {seconds:.2f} |",
                    flush=True,
                )
                return int(facts["minimum_distance"])

            reached = 0
            for centres, single in (("SHC's optimiser", False), ("SHC's, sign by sign", True)):
                reached = report(
                    centres,
                    lambda s=similarity, k=bits, d=wanted, one=single: alternating(s, k, d, options.seed, one),
                )
            asked = max(reached, wanted)
            report(f"ours, d = {asked}", lambda s=similarity, k=bits, d=asked: semantic(s, k, d, options.seed))
            report("ours, d chosen", lambda s=similarity, k=bits: semantic(s, k, None, options.seed))


def taxonomy_similarity(classes: int, seed: int) -> Matrix:
    """1 − 2 · height of the lowest common ancestor in a random tree whose nodes have two to five children."""
    random = np.random.default_rng([seed, 1])
    common_depth = np.zeros((classes, classes))
    depth = 0
    groups = [random.permutation(classes)]
    while any(len(group) > 1 for group in groups):
        depth += 1
        children = []
        for group in groups:
            parts = min(len(group), int(random.integers(2, 6)))
            cuts = np.sort(random.choice(np.arange(1, len(group)), parts - 1, replace=False)) if parts > 1 else []
            children += np.split(group, cuts)
        groups = children
        for group in groups:
            common_depth[np.ix_(group, group)] = depth
    return normalize_similarity(2 * common_depth / depth - 1)


def confusion_similarity(classes: int, seed: int) -> Matrix:
    """What a classifier would confuse: softmax of tree similarities with as much noise."""
    random = np.random.default_rng([seed, 2])
    scores = 3 * taxonomy_similarity(classes, seed) + random.standard_normal((classes, classes))
    np.fill_diagonal(scores, -np.inf)
    weights = np.exp(scores)
    return normalize_similarity(weights / weights.sum(1, keepdims=True))


def alternating(similarity: Matrix, bits: int, distance: int, seed: int, single: bool) -> Codebook:
    """The paper's second stage: a start that is far apart, then alternating steps towards the similarity.

    Args:
        single: decide about each sign of a column alone, not about the column.
    """
    codes = pushed_apart(len(similarity), bits, distance, seed)
    limit = bits - 2 * distance
    limit = max(limit, int(largest_inner_product(codes)))  # the start may miss d; then it must not get worse
    relaxed = codes.copy()
    multiplier = np.zeros_like(codes)
    pressure = np.zeros((len(codes), len(codes)))
    scale = len(codes) / bits**2  # of the terms that the similarity brings; heavier ties would hold every sign
    weight = 0.1 * scale
    for _ in range(ALTERNATIONS):
        # Real codes that reproduce S from the binary ones, tied to them.
        gram = codes.T @ codes / bits**2 + weight * np.eye(bits)
        relaxed = np.linalg.solve(gram, codes.T @ similarity / bits + (weight * codes + multiplier).T).T
        # Multipliers of the distance constraints.
        products = codes @ codes.T
        np.fill_diagonal(products, -bits)
        pressure = np.maximum(0, pressure + 0.01 * (products - limit) / bits)
        # Signs, one bit of all classes at a time.
        gram = relaxed.T @ relaxed / bits**2
        pull = similarity @ relaxed / bits + weight * relaxed - multiplier - pressure @ codes / bits
        for bit in range(bits):
            others = codes @ gram[:, bit] - codes[:, bit] * gram[bit, bit]
            column = np.where(pull[:, bit] - others > 0, 1.0, -1.0)
            if single:
                take_signs(codes, bit, column, limit)
                continue
            trial = codes.copy()
            trial[:, bit] = column
            if largest_inner_product(trial) <= limit:
                codes = trial
        multiplier += weight * (codes - relaxed)
        weight = min(1.05 * weight, scale)
    return codes.astype(np.int8)


def take_signs(codes: Matrix, bit: int, column: NDArray[np.float64], limit: float) -> None:
    """Set one bit of each class, in place, where that keeps the class far enough from all others."""
    products = codes @ codes.T
    for row in np.flatnonzero(codes[:, bit] != column):
        changed = products[row] - 2 * codes[row, bit] * codes[:, bit]
        changed[row] = products[row, row]
        if np.delete(changed, row).max() <= limit:
            codes[row, bit] = column[row]
            products[row] = products[:, row] = changed


def pushed_apart(classes: int, bits: int, distance: int, seed: int) -> Matrix:
    """Centres whose closest pairs are pushed apart by ADMM; the box and the sphere meet in the binary codes."""
    random = np.random.default_rng([seed, 3])
    best = codes = random.choice([-1.0, 1.0], (classes, bits))
    to_box, to_sphere = np.zeros_like(codes), np.zeros_like(codes)
    penalty = 1.0
    for _ in range(START_STEPS):
        products = codes @ codes.T / bits
        np.fill_diagonal(products, -1)
        closeness = np.exp(20 * (products - products.max(1, keepdims=True)))
        push = closeness / closeness.sum(1, keepdims=True) @ codes
        box = np.clip(codes + to_box / penalty, -1, 1)
        sphere = codes + to_sphere / penalty
        sphere *= np.sqrt(bits) / np.linalg.norm(sphere, axis=1, keepdims=True)
        codes = (box + sphere - (to_box + to_sphere + push) / penalty) / 2
        to_box += penalty * (codes - box)
        to_sphere += penalty * (codes - sphere)
        penalty = min(1.03 * penalty, 1e3)
        binary = np.where(codes > 0, 1.0, -1.0)
        if largest_inner_product(binary) < largest_inner_product(best):
            best = binary
        if largest_inner_product(best) <= bits - 2 * distance:
            break
    # Gilbert and Varshamov's argument: in place of a code that is too close, random ones until one is not.
    for row in range(classes):
        tries = np.concatenate([best[row : row + 1], random.choice([-1.0, 1.0], (REPLACEMENTS, bits))])
        fits = (tries @ best[:row].T).max(1, initial=-bits) <= bits - 2 * distance
        best[row] = tries[fits.argmax()]
    return best


def largest_inner_product(codes: Matrix) -> float:
    products = codes @ codes.T
    np.fill_diagonal(products, -np.inf)
    return float(products.max())


if __name__ == "__main__":
    main()
