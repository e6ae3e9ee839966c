"""Evaluation: mAP over the whole database against the program that comes with OrthoHash and its relatives.

    python benchmarks/evaluation.py                      # 1,000 queries × 59,000 codes of 64 bits, both programs
    python benchmarks/evaluation.py --large              # ours alone: 10,000 queries × 1,000,000 codes

The full-matrix program is written anew after what the published ones do: all distances by a matrix product of
signs, an argsort of every row, a loop over queries. It breaks ties in whatever order argsort leaves them, so its
figure must lie between the worst and the best that any order gives, and near the expectation that we report.
"""

from __future__ import annotations

import argparse
import resource
import time

import numpy as np
from numpy.typing import NDArray

import hashlens as hl
from hashlens.metrics import mean_average_precision
from search import make_codes, trained_values

CLASSES = 100


def full_matrix_precision(
    queries: NDArray[np.float32], query_labels: NDArray, database: NDArray[np.float32], database_labels: NDArray
) -> float:
    """mAP@all of (Q, K) and (N, K) codes of ±1 with one-hot labels."""
    bits = database.shape[1]
    distances = 0.5 * (bits - queries @ database.T)
    relevant = query_labels @ database_labels.T > 0
    total = 0.0
    for row, hits in zip(distances, relevant, strict=True):
        found = hits[np.argsort(row)]
        ranks = np.flatnonzero(found) + 1
        total += (np.arange(1, len(ranks) + 1) / ranks).mean() if len(ranks) else 0.0
    return total / len(queries)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--large", action="store_true")
    parser.add_argument("--bits", type=int, default=64)
    options = parser.parse_args()
    if options.large:
        evaluate_many(options.bits)
    else:
        compare_programs(options.bits)


def compare_programs(bits: int) -> None:
    values, labels = trained_values(bits)
    chosen = np.random.default_rng(0).permutation(len(values))
    queries, database = chosen[:1000], chosen[1000:]
    signs = np.where(values > 0, np.float32(1), np.float32(-1))
    one_hot = np.eye(10, dtype=np.float32)[labels]
    codes = hl.codes.pack(values)
    ours, theirs = [], []
    for _ in range(20):
        start = time.perf_counter()
        expected = mean_average_precision(codes[queries], labels[queries], codes[database], labels[database])
        ours.append(time.perf_counter() - start)
        if len(theirs) < 3:
            start = time.perf_counter()
            full = full_matrix_precision(signs[queries], one_hot[queries], signs[database], one_hot[database])
            theirs.append(time.perf_counter() - start)
    report = hl.evaluate(codes[queries], labels[queries], codes[database], labels[database], at=(None,))
    distinct = len(np.unique(codes[database], axis=0))
    print(f"{len(queries):,} queries × {len(database):,} trained codes of {bits} bits ({distinct:,} distinct)")
    print(f"full matrix: mAP@all {full:.5f} in {min(theirs):.2f} s")
    print(f"HashLens:    mAP@all {expected:.5f} in {min(ours):.3f} s, {min(theirs) / min(ours):.0f} times as fast")
    print(f"any order of ties gives {report['mAP@all/worst']:.5f} … {report['mAP@all/best']:.5f}")
    assert report["mAP@all/worst"] <= full <= report["mAP@all/best"]
    assert abs(full - expected) < 1e-3


def evaluate_many(bits: int) -> None:
    rng = np.random.default_rng(0)
    distances = 1 - np.eye(CLASSES)
    for kind in ("uniform", "trained"):
        database, _ = make_codes(kind, 1_000_000, bits)
        queries = database[rng.integers(len(database), size=10_000)]
        labels, query_labels = rng.integers(0, CLASSES, 1_000_000), rng.integers(0, CLASSES, 10_000)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        start = time.perf_counter()
        mean_average_precision(queries, query_labels, database, labels)
        plain = time.perf_counter() - start
        start = time.perf_counter()
        hl.evaluate(queries, query_labels, database, labels, taxonomy=distances)
        everything = time.perf_counter() - start
        more = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1e6
        print(
            f"10,000 queries × 1,000,000 {kind} codes of {bits} bits, {CLASSES} classes: mAP@all in {plain:.1f} s, "
            f"all figures and hierarchical ones in {everything:.1f} s, {more:.2f} GB more memory than before",
            flush=True,
        )


if __name__ == "__main__":
    main()
