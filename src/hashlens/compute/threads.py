"""Threads to run kernels on, and how many of them PyTorch may use."""

from __future__ import annotations

import functools
import itertools
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import Any

_share: int | None = None


def available_threads() -> int:
    """Processors that this process may use.

    Example:
        >>> available_threads() >= 1
        True
    """
    if _share is not None:
        return _share
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def share_processors(count: int | None) -> None:
    """Let this process use so many of the processors from now on, as others have the rest; ``None`` for all.

    Example:
        >>> share_processors(1)
        >>> available_threads()
        1
        >>> share_processors(None)
    """
    global _share
    _share = count
    _pool.cache_clear()


@functools.cache
def _pool() -> ThreadPoolExecutor:
    # Starting threads takes longer than scanning a million codes, so they are kept.
    return ThreadPoolExecutor(available_threads(), thread_name_prefix="hashlens")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.cache_clear)  # a forked child has none of the threads


def even_slices(length: int, parts: int) -> list[tuple[int, int]]:
    """Cut 0 … ``length`` into at most ``parts`` (start, stop) of nearly equal size, none of them empty.

    Example:
        >>> even_slices(10, 3), even_slices(2, 3)
        ([(0, 3), (3, 6), (6, 10)], [(0, 1), (1, 2)])
    """
    parts = min(parts, length)
    return list(itertools.pairwise(length * part // parts for part in range(parts + 1))) if parts else []


def run_in_threads(function: Callable[..., None], tasks: Sequence[tuple[Any, ...]]) -> None:
    """Call ``function(*task)`` for every task, on as many threads as there are processors.

    The calling thread works too: waking another one takes as long as scanning a hundred thousand codes. It never
    waits for a helper that has not started, so calls may be nested and may come from many threads.

    Example:
        >>> squares = [0, 0, 0]
        >>> def square(number):
        ...     squares[number] = number**2
        >>> run_in_threads(square, [(0,), (1,), (2,)])
        >>> squares
        [0, 1, 4]
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


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """PyTorch computes on so many threads in this one for the length of a block.

    A hash layer is little work. Threads that share it mostly wait for each other, and while other threads run the
    backbone or decode images, that costs more than the work.

    Example:
        >>> import torch
        >>> with torch_threads(1):
        ...     torch.ones(3, 4) @ torch.ones(4)
        tensor([4., 4., 4.])
    """
    import torch

    torch.get_num_threads()  # PyTorch sets the number when a thread first asks, so ours comes after
    with _openmp().limit(limits=count, user_api="openmp"):
        yield


@functools.cache
def _openmp() -> Any:
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
