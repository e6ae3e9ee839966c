"""What work on many machines is reckoned with: figures of one core, shards on Ray, and how long queries take there.

    python benchmarks/scale.py                    # measure: encoding, scanning, shards on Ray
    python benchmarks/scale.py --simulate         # latencies of a cluster, from figures like these

Measured: images that one core encodes in a second (photographs of Tiny ImageNet in ../shared/data, enlarged to
500 × 375 JPEG, default backbone and size, features not cached), codes that it compares, codes a second of two
shards on Ray beside one, by turns, and how long a query to Ray takes that has nearly nothing to do.

The simulator draws queries at random times (Poisson) and sends each to all shards. A replica of a shard takes all
queries that wait, up to a number, compares each with its codes, and takes so long as the codes say, with noise
(log-normal); now and then it stalls. The last shard to answer decides. Printed are the times that half and 99 % of
the queries take, and how busy the replicas are.
"""

from __future__ import annotations

import argparse
import io
import tempfile
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import hashlens as hl
from hashlens.compute.threads import share_processors
from hashlens.engines import HammingIndex, RayShards

IMAGES, SIZE = 256, (500, 375)
CODES, BITS, QUERIES, DEPTH, ROUNDS = 4_000_000, 64, 2048, 10, 5
PHOTOGRAPHS = Path(__file__).parents[2] / "shared" / "data" / "tinyimagenet100" / "test.parquet"


def photographs() -> list[bytes]:
    source, files = hl.open_source(PHOTOGRAPHS), []
    for item in range(IMAGES):
        file = io.BytesIO()
        source.image(item).resize(SIZE).save(file, "JPEG", quality=90)
        files.append(file.getvalue())
    return files


def measure_encoding() -> None:
    images = photographs()
    share_processors(1)
    random = np.random.default_rng(0)
    model = hl.fit(hl.sources.as_source(images[:64]), method="lsh", bits=BITS, seed=int(random.integers(9)))
    with tempfile.TemporaryDirectory() as folder:
        model.save(folder)
        uncached = hl.HashModel.load(folder)
    best = float("inf")
    with hl.models.Encoder(uncached.network, cached=False, device="onnx", threads=1) as encode:
        encode(images[:32])
        for _ in range(ROUNDS):
            start, used = time.perf_counter(), time.process_time()
            encode(images)
            best = min(best, time.process_time() - used)
            wall = time.perf_counter() - start
    print(f"encoding: {IMAGES / best:.0f} images a second of one core's time ({IMAGES / wall:.0f} on the clock)")


def measure_scanning() -> None:
    share_processors(1)
    rng = np.random.default_rng(0)
    codes, queries = (rng.integers(0, 256, (n, BITS // 8), np.uint8) for n in (CODES, QUERIES))
    index = HammingIndex.build(codes, BITS)
    index.search(queries[:64], DEPTH)
    many = min(_seconds(lambda: index.search(queries[:256], DEPTH)) for _ in range(ROUNDS))
    one = min(_seconds(lambda: index.search(queries[:1], DEPTH)) for _ in range(20))
    print(f"scanning: {256 * CODES / many / 1e9:.1f} billion codes a second and core for 256 queries at a time,")
    print(f"          {CODES / one / 1e9:.1f} billion for one ({one * 1000:.2f} ms)")


def measure_shards() -> None:
    rng = np.random.default_rng(0)
    codes, queries = (rng.integers(0, 256, (n, BITS // 8), np.uint8) for n in (CODES, QUERIES))
    with tempfile.TemporaryDirectory() as folder:
        for number, ids in enumerate([np.arange(CODES), *np.array_split(np.arange(CODES), 2)]):
            HammingIndex.build(codes[ids], BITS, ids=ids).save(f"{folder}/{number}")
        HammingIndex.build(codes[:64], BITS).save(f"{folder}/few")
        import ray

        ray.init("local", num_cpus=4, log_to_driver=False, include_dashboard=False)
        with (
            RayShards([f"{folder}/0"]) as one,
            RayShards([f"{folder}/1", f"{folder}/2"]) as two,
            RayShards([f"{folder}/few"]) as few,
        ):
            same = [
                np.array_equal(*pair) for pair in zip(one.search(queries, 10), two.search(queries, 10), strict=True)
            ]
            assert all(same)
            seconds = {"one shard": [], "two shards": []}  # type: dict[str, list[float]]
            for _ in range(ROUNDS):
                seconds["one shard"].append(_seconds(lambda: one.search(queries, DEPTH)))
                seconds["two shards"].append(_seconds(lambda: two.search(queries, DEPTH)))
            for name, times in seconds.items():
                rate = QUERIES * CODES / min(times) / 1e9
                print(f"{name} on Ray, {QUERIES} queries: {rate:.1f} billion codes a second (best of {ROUNDS})")
            print(
                f"two shards are {min(seconds['one shard']) / min(seconds['two shards']):.2f} times as fast as one"
            )
            few.search(queries[:1], DEPTH)
            each = sorted(_seconds(lambda: few.search(queries[:1], DEPTH)) for _ in range(500))
            print(f"a query to Ray alone: {each[250] * 1000:.2f} ms, 99 %: {each[495] * 1000:.2f} ms")


def _seconds(work: object) -> float:
    start = time.perf_counter()
    work()  # type: ignore[operator]
    return time.perf_counter() - start


def answered(
    asked: NDArray[np.float64],
    fixed: float,
    each: float,
    most: int,
    stalls: float,
    stall: float,
    rng: np.random.Generator,
) -> tuple[NDArray[np.float64], float]:
    """When a replica answers queries that come at these times, in seconds, and how long it worked."""
    done, free, worked, first = np.empty_like(asked), 0.0, 0.0, 0
    while first < len(asked):
        begin = max(free, asked[first])
        end = min(int(np.searchsorted(asked, begin, "right")), first + most)
        seconds = (fixed + each * (end - first)) * rng.lognormal(0, 0.1) + (stall if rng.random() < stalls else 0.0)
        free, worked = begin + seconds, worked + seconds
        done[first:end], first = free, end
    return done, worked


def simulate(asked: argparse.Namespace) -> None:
    print("| shards | replicas | cores a replica | queries/s | busy | half, ms | 99 %, ms |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for rate in asked.rates:
        rng = np.random.default_rng(asked.seed)
        at = np.cumsum(rng.exponential(1 / rate, int(rate * asked.seconds)))
        each = asked.codes / asked.shards / (asked.scan * 1e9 * asked.cores)
        last, worked = np.zeros_like(at), 0.0
        for _ in range(asked.shards):
            for replica in range(asked.replicas):
                mine = slice(replica, None, asked.replicas)
                done, busy = answered(
                    at[mine], asked.fixed / 1000, each, asked.most, asked.stalls, asked.stall / 1000, rng
                )
                last[mine] = np.maximum(last[mine], done)
                worked += busy
        late = (last - at)[len(at) // 10 :] * 1000
        share = worked / asked.shards / asked.replicas / float(max(last.max(), at[-1]))
        half, most = np.percentile(late, [50, 99])
        row = asked.shards, asked.replicas, asked.cores, f"{rate:,}", f"{share:.2f}", f"{half:.1f}", f"{most:.1f}"
        print(f"| {' | '.join(map(str, row))} |", flush=True)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--simulate", action="store_true")
    arguments.add_argument("--codes", type=float, default=1e9)
    arguments.add_argument("--shards", type=int, default=16)
    arguments.add_argument("--replicas", type=int, default=1, help="of each shard")
    arguments.add_argument("--cores", type=int, default=64, help="of a replica")
    arguments.add_argument("--rates", type=int, nargs="+", default=[1000, 5000, 10_000], help="queries a second")
    arguments.add_argument("--scan", type=float, default=5.0, help="billion codes a second and core")
    arguments.add_argument("--fixed", type=float, default=1.0, help="ms of a batch, however few queries it has")
    arguments.add_argument("--most", type=int, default=256, help="queries of a batch")
    arguments.add_argument("--stalls", type=float, default=0.001, help="share of batches that stall")
    arguments.add_argument("--stall", type=float, default=50.0, help="ms")
    arguments.add_argument("--seconds", type=float, default=5.0)
    arguments.add_argument("--seed", type=int, default=0)
    asked = arguments.parse_args()
    if asked.simulate:
        simulate(asked)
    else:
        measure_encoding()
        measure_scanning()
        measure_shards()


if __name__ == "__main__":
    main()
