"""What a scan costs on this machine beside looking codes up in tables: measured once, then remembered.

With these figures counted work is weighed, so that whether tables pay does not depend on how busy a machine is
when it is asked. They are measured in time that a thread computes, not in time that passes.
"""

from __future__ import annotations

import json
import math
import platform
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from typing import Any

import numpy as np

from hashlens.cache import cache_folder
from hashlens.codes.packing import bytes_per_code
from hashlens.codes.tiles import Queries, tiles_in_cache, to_tiles
from hashlens.engines.hamming import multi_index, scan
from hashlens.engines.hamming.multi_index import Costs
from hashlens.files import write_json

FILE = "calibration.json"
CODES = multi_index.FEWEST  # fewer than tables are considered for would stay in caches
CLUSTER = 16  # codes around each centre
FLIPS = 0.08  # share of the bits in which they differ from it
NEIGHBOURS = 10
COMPANY = 64  # queries that share a scan
REPETITIONS = 5  # the fastest counts


def calibrated(bits: int, again: bool = False) -> Costs:
    """The costs of codes of ``bits`` bits: measured when they are first asked for, and kept in the cache folder.

    Args:
        again: measure anew.
    """
    path = cache_folder() / FILE
    key = f"{platform.node()} {platform.machine()}, {bytes_per_code(bits)} bytes"
    known: dict[str, Any] = {}
    with suppress(OSError, ValueError, RecursionError):
        read = json.loads(path.read_text(encoding="utf-8"))
        known = read if isinstance(read, dict) else {}
    if not again:
        with suppress(KeyError, TypeError):
            return Costs(**known[key])
    costs = measured(bits)
    with suppress(OSError):  # where the cache cannot be written they are measured again next time
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, known | {key: asdict(costs)})
    return costs


def measured(bits: int) -> Costs:
    """Measure the costs on made-up codes that lie in clusters, in a second or two."""
    random = np.random.default_rng(0)
    width = bytes_per_code(bits)
    centres = random.integers(0, 256, (CODES // CLUSTER, width), np.uint8)
    noise = np.packbits(random.random((CODES, 8 * width), np.float32) < FLIPS, axis=1)
    codes = np.repeat(centres, CLUSTER, axis=0) ^ noise
    tiles, asked = to_tiles(codes, bits), Queries.of(codes[:: CODES // COMPANY][:COMPANY], bits)

    def scan_for(queries: Queries, together: int) -> float:
        count = len(queries)
        found = np.empty((count, NEIGHBOURS), np.int32), np.empty((count, NEIGHBOURS), np.int64)
        sizes = np.empty(count, np.int64)

        def run() -> None:
            scan._nearest(
                tiles, queries.spread, scan.NO_MASKS, np.uint64(2**64 - 1), 0, len(tiles), together, scan.SLACK,
                *found, sizes,
            )  # fmt: skip

        return _least(run) / (count * CODES)

    parts = max(4, math.ceil(8 * width / multi_index.LONGEST_PART))
    tables, words = multi_index.make_tables(codes, parts), multi_index.as_words(asked.packed)
    out = np.empty(NEIGHBOURS, np.int32), np.empty(NEIGHBOURS, np.int64)

    def look_up() -> float:
        return sum(
            multi_index._nearest(
                tables.bounds, tables.starts, tables.positions, tables.words, query, scan.NO_MASKS,
                multi_index.TIES, math.inf, *out,
            )
            for query in words
        )  # fmt: skip

    return Costs(
        alone=scan_for(asked[:1], len(tiles)),
        together=scan_for(asked, tiles_in_cache(tiles)),
        work=_least(look_up) / look_up(),
    )


def _least(run: Callable[[], Any]) -> float:
    """Nanoseconds that this thread computes for ``run``, once it is compiled."""
    run()
    seconds = []
    for _ in range(REPETITIONS):
        start = time.thread_time()
        run()
        seconds.append(time.thread_time() - start)
    return 1e9 * min(seconds)
