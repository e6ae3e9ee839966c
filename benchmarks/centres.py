"""Semantic hash centres: ours against SHC's own optimisation, on quality and processor seconds.

The peer is a port of the authors' program (``hashlens.centres.shc``, Chen et al., 2025, stage 2): the distance d of
Gilbert and Varshamov; MDS centres as a start (``hashlens.centres.mds``; Lp-box ADMM, Wang et al., CVPR 2023); then
alternating steps on ‖S − HHᵀ/K‖², which set all bits of one class at a time. It only computes once what their
program computes again in every step, so compare quality; their program takes minutes. A thousand classes are
beyond it.

    python benchmarks/centres.py
    python benchmarks/centres.py --sizes 64x100 32x100

Prints a Markdown table. For each size: the peer, without the time of its start, which goes to stderr; ours at
the distance that the peer reached or was asked for, whichever is larger; ours at the distance that it chooses.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from hashlens.centres import gilbert_varshamov_distance, mds, quality, semantic, shc
from hashlens.classes import normalize_similarity

SIZES = [(16, 100), (32, 100), (64, 100), (64, 10), (32, 200), (48, 100), (64, 1000), (128, 1000)]
LARGEST_PEER = 200  # classes

Matrix = NDArray[np.float64]
Codebook = NDArray[np.int8]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", help="such as 64x100, bits x classes", metavar="KxC")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    sizes = [tuple(map(int, size.split("x"))) for size in options.sizes] if options.sizes else SIZES

    mds(4, 8)  # compiled once, before anything is timed
    for distance in (None, 8):
        semantic(taxonomy_similarity(20, 0), 16, distance)
    print("| similarity | K, C | centres | d | upper bound | mismatch | Pearson | Spearman | seconds |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    starts: dict[tuple[int, int], Codebook] = {}
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
            if classes <= LARGEST_PEER:
                if (bits, classes) not in starts:
                    started = time.process_time()
                    starts[bits, classes] = mds(classes, bits, options.seed)
                    seconds = time.process_time() - started
                    print(f"MDS start of {bits} bits, {classes} classes: {seconds:.1f} s", file=sys.stderr)
                start = starts[bits, classes]
                reached = report("SHC's", lambda s=similarity, h=start: shc(*h.shape, similarity=s, start=h))
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


if __name__ == "__main__":
    main()
