"""Engines side by side: seconds to build and to open, milliseconds a query, bytes a code on disk, recall@10.

    python benchmarks/engines.py                         # 100 thousand uniform codes of 64 bits
    python benchmarks/engines.py --codes 1000000

Queries come one at a time. The share of the true ten nearest, by distance, is against our own engine in memory.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

import hashlens as hl

QUERIES, DEPTH = 200, 10
ADDRESSES = {"hamming": "codes", "parquet": "codes.parquet"}


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--codes", type=int, default=100_000)
    arguments.add_argument("--bits", type=int, default=64)
    arguments.add_argument("--seed", type=int, default=0)
    asked = arguments.parse_args()
    rng = np.random.default_rng(asked.seed)
    codes, queries = (hl.codes.pack(rng.random((n, asked.bits)) < 0.5) for n in (asked.codes, QUERIES))
    ids = np.arange(len(codes))
    true, _ = hl.HammingIndex.build(codes, asked.bits).search(queries, DEPTH)
    print("| engine | build s | open s | ms a query | bytes a code | recall@10 |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name, place in ADDRESSES.items():
        with tempfile.TemporaryDirectory() as folder:
            address = Path(folder, place)
            start = time.perf_counter()
            if name == "hamming":
                hl.HammingIndex.build(codes, asked.bits, address, ids)
            else:
                engine = hl.engines.open(address, asked.bits)
                engine.add(codes, ids)
                engine.flush()
            built = time.perf_counter()
            engine = hl.engines.open(address)
            opened = time.perf_counter()
            engine.search(queries[:1], DEPTH)  # compiles
            first = time.perf_counter()
            found = np.concatenate([engine.search(query[None], DEPTH)[0] for query in queries])
            each = (time.perf_counter() - first) / len(queries)
            files = [address] if address.is_file() else [one for one in address.rglob("*") if one.is_file()]
            size = sum(one.stat().st_size for one in files) / len(codes)
            recall = (found <= true[:, -1:]).mean()
            print(
                f"| {name} | {built - start:.2f} | {opened - built:.2f} | {each * 1000:.2f} | {size:.1f} "
                f"| {recall:.4f} |"
            )


if __name__ == "__main__":
    main()
