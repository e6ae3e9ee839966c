"""Hamming distances of a few codes, compiled by numba for the machine it runs on, and threads to run kernels on.

Codes are in the (W, N) layout of :func:`hashlens.codes.packing.to_words`, so that the compiler turns the loops over
codes into vector instructions. Many codes are compared by :mod:`hashlens.codes.tiles`.
"""

from __future__ import annotations

import functools
import itertools
import os
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any

from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

# numba's own threading layers may abort when two Python threads call in at once, as a web service does.
# So kernels release the interpreter lock and run on Python threads.
compiled = njit(nogil=True, cache=True, boundscheck=False)


def _popcount(typing_context: Any, word: Any) -> Any:
    """Number of one bits of a uint64, as int64 (LLVM's ctpop, which numba does not expose)."""
    if word != types.uint64:
        return None

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        count = builder.module.declare_intrinsic("llvm.ctpop", [ir.IntType(64)])
        return builder.call(count, arguments)

    return types.int64(types.uint64), generate


popcount: Any = intrinsic(_popcount)  # compiled code passes the word alone


@compiled
def distances_in_block(words, query, start, stop, out):
    """Write the distances of codes ``start`` … ``stop`` − 1 to the front of ``out`` (int16).

    words: (W, N) uint64; query: (W,) uint64.
    """
    width = words.shape[0]
    size = stop - start
    first = words[0, start:stop]
    part = query[0]
    for i in range(size):
        out[i] = popcount(first[i] ^ part)
    for w in range(1, width):
        row = words[w, start:stop]
        part = query[w]
        for i in range(size):
            out[i] += popcount(row[i] ^ part)


def available_threads() -> int:
    """Processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@functools.cache
def _pool() -> ThreadPoolExecutor:
    # Starting threads takes longer than scanning a million codes, so they are kept.
    return ThreadPoolExecutor(available_threads(), thread_name_prefix="hashlens")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.cache_clear)  # a forked child has none of the threads


def even_slices(length: int, parts: int) -> list[tuple[int, int]]:
    """Cut 0 … ``length`` into at most ``parts`` (start, stop) of nearly equal size, none of them empty."""
    parts = min(parts, length)
    return list(itertools.pairwise(length * part // parts for part in range(parts + 1))) if parts else []


def run_in_threads(function: Callable[..., None], tasks: Sequence[tuple[Any, ...]]) -> None:
    """Call ``function(*task)`` for every task, on as many threads as there are processors.

    The calling thread works too: waking another one takes as long as scanning a hundred thousand codes. It never
    waits for a helper that has not started, so calls may be nested and may come from many threads.
    """
    if len(tasks) <= 1:
        for task in tasks:
            function(*task)
        return
    waiting = deque(tasks)

    def next_task() -> tuple[Any, ...] | None:
        try:
            return waiting.popleft()
        except IndexError:  # taken by another thread since it was last looked at
            return None

    def work() -> None:
        while (task := next_task()) is not None:
            function(*task)

    helpers = [_pool().submit(work) for _ in range(min(available_threads(), len(tasks)) - 1)]
    try:
        work()
    finally:
        waiting.clear()
        started = [helper for helper in helpers if not helper.cancel()]
        wait(started)
    for helper in started:
        helper.result()
