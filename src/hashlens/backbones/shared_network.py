"""One network for many threads that ask it at the same time."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Run = Callable[[Tensor, int], NDArray[np.float32]]
"""From (B, 3, S, S) uint8 pixels and the number of threads to use to (B, D) features."""


@dataclass(frozen=True)
class _Group:
    """Images that go through the network in one pass."""

    pixels: Sequence[Tensor]
    features: Future[NDArray[np.float32]] = field(default_factory=Future)


class SharedNetwork:
    """Runs images through a network, together with whatever else waits for it.

    A request that fits in one pass is *lone*: lone requests that wait at the same time share a pass, go before what
    long requests have waiting, and get all threads if nothing else runs. The passes of long requests run side by
    side
    with one thread each: threads that share a pass wait for each other some hundred times, and for long on a
    machine that has other work too.

    Args:
        run: computes features.
        at_once: most images in a pass.
        threads: that may compute.
    """

    def __init__(self, run: Run, at_once: int, threads: int) -> None:
        self.run = run
        self.at_once = at_once
        self._threads = threads
        self._lone: deque[_Group] = deque()
        self._long: deque[_Group] = deque()
        self._running = 0
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="hashlens-network")

    def submit(self, pixels: Sequence[Tensor], lone: bool) -> Future[NDArray[np.float32]]:
        """Ask for the features (n, D) of 1 … ``at_once`` images, each (3, S, S) uint8."""
        group = _Group(pixels)
        with self._lock:
            (self._lone if lone else self._long).append(group)
        self._pool.submit(self._work)
        return group.features

    def close(self) -> None:
        """Wait for the passes that run; what has not begun is cancelled."""
        with self._lock:
            waiting = [*self._lone, *self._long]
            self._lone.clear()
            self._long.clear()
        for group in waiting:
            group.features.cancel()
        self._pool.shutdown()

    def _work(self) -> None:
        groups, threads = self._take()
        if not groups:
            return  # they went with an earlier pass, or nobody wants them any more
        try:
            features = self.run(torch.stack([one for group in groups for one in group.pixels]), threads)
        except BaseException as error:  # an interrupt, too, belongs to those who wait
            for group in groups:
                group.features.set_exception(error)
        else:
            ends = np.cumsum([len(group.pixels) for group in groups])
            for group, part in zip(groups, np.split(features, ends[:-1]), strict=True):
                group.features.set_result(part)
        finally:
            with self._lock:
                self._running -= 1

    def _take(self) -> tuple[list[_Group], int]:
        """What to compute next, and on how many threads."""
        with self._lock:
            waiting = self._lone or self._long
            groups: list[_Group] = []
            size = 0
            while waiting and size + len(waiting[0].pixels) <= self.at_once:
                group = waiting.popleft()
                if group.features.set_running_or_notify_cancel():
                    groups.append(group)
                    size += len(group.pixels)
                if groups and waiting is self._long:
                    break
            alone = waiting is self._lone and not self._running and not self._long
            self._running += bool(groups)
            return groups, self._threads if alone else 1
