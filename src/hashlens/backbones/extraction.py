"""Running a backbone over a source of images."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from hashlens.backbones.backbone import Backbone
from hashlens.backbones.feature_cache import FeatureCache, content_digest
from hashlens.compute.devices import ONNX
from hashlens.compute.threads import available_threads
from hashlens.errors import BadInput
from hashlens.progress import progress_bar
from hashlens.sources import Skipped, Source, UnreadableImage, decode

BATCH_SIZE = 64
BATCHES_AHEAD = 4  # decoded while the network runs
PIXELS_AT_ONCE = 1 << 17  # in one pass on a CPU; memory for larger activations is had from the system every time

Item = TypeVar("Item")
Result = TypeVar("Result")
Network = Callable[[torch.Tensor], NDArray[np.float32]]  # (B, 3, S, S) uint8 → (B, D)


@dataclass(frozen=True)
class Features:
    """Features of those items of a source that could be read.

    Attributes:
        items: (n,) int64, their numbers in the source, ascending.
        values: (n, D) float32.
        digests: n content digests.
        skipped: the other items.
    """

    items: NDArray[np.int64]
    values: NDArray[np.float32]
    digests: list[bytes]
    skipped: list[Skipped]


@dataclass(frozen=True)
class _Loaded:
    """One item on its way: its feature if it was cached, its pixels if not, or the reason why neither."""

    digest: bytes = b""
    feature: NDArray[np.float32] | None = None
    pixels: torch.Tensor | None = None
    unreadable: str = ""


@dataclass(frozen=True)
class _Running:
    """A batch whose pixels the network is at work on, in parts."""

    numbers: range
    loaded: list[_Loaded]
    parts: list[Future[NDArray[np.float32]]]


def extract_features(
    source: Source,
    backbone: Backbone | None,
    device: torch.device | str = "cpu",
    cached: bool = True,
    description: str = "Reading images",
) -> Features:
    """Features of every readable item; see :func:`iterate_features`."""
    batches = []
    with progress_bar(description, len(source)) as advance:
        for batch in iterate_features(source, backbone, device, cached):
            batches.append(batch)
            advance(len(batch.items) + len(batch.skipped))
    return Features(
        np.concatenate([batch.items for batch in batches] or [np.empty(0, np.int64)]),
        np.concatenate([batch.values for batch in batches] or [np.empty((0, 0), np.float32)]),
        [digest for batch in batches for digest in batch.digests],
        [skipped for batch in batches for skipped in batch.skipped],
    )


def iterate_features(
    source: Source,
    backbone: Backbone | None,
    device: torch.device | str = "cpu",
    cached: bool = True,
) -> Iterator[Features]:
    """Features of a source, batch by batch.

    Images are read and decoded by threads ahead of the network, which on a CPU runs on several parts of a batch
    at a time, one on each processor. With ``cached``, features are looked up on
    disk by the content of the image and remembered there, so that no image goes through the same backbone
    twice and an interrupted run resumes.

    Args:
        source: images, or features, which are passed on.
        backbone: in evaluation mode; ``None`` where the source has features.
        device: of PyTorch; or "onnx" for the CPU through ONNX Runtime. Features of all devices share the cache,
            as they differ by rounding alone.

    Raises:
        BadInput: images without a backbone, or features with one; or what
            :class:`hashlens.backbones.onnx_runtime.OnnxBackbone` raises.
    """
    if source.feature_dimension is not None:
        if backbone is not None:
            raise BadInput(f"{source.name} holds features, but the backbone {backbone.name} needs images.")
        yield from _given_features(source)
        return
    if backbone is None:
        raise BadInput(f"{source.name} holds images, but features were expected.")
    where = torch.device("cpu" if device == ONNX else device)
    backbone.to(where).eval()
    at_once = _images_at_once(backbone, where)
    # Threads that share one pass over the network wait for each other some hundred times, and for long on a
    # machine that has other work too; on images of their own they never wait.
    threads = torch.get_num_threads() if where.type == "cpu" else 1
    workers = max(1, min(threads, math.ceil(len(source) / at_once)))
    network: Network = partial(_run, backbone, where)
    if device == ONNX:
        from hashlens.backbones.onnx_runtime import OnnxBackbone

        network = OnnxBackbone(backbone, threads // workers)
    batches_at_once = 1 + math.ceil(workers * at_once / BATCH_SIZE)
    with (
        closing(FeatureCache(backbone.fingerprint())) if cached else nullcontext() as cache,
        _threads(available_threads()) as readers,
        _threads(workers, threads // workers if workers > 1 else None) as runners,
    ):
        images = _ahead(readers, lambda item: _load(source, item, backbone, cache), range(len(source)))
        running: deque[_Running] = deque()
        for first in range(0, len(source), BATCH_SIZE):
            numbers = range(first, min(first + BATCH_SIZE, len(source)))
            loaded = [next(images) for _ in numbers]
            pixels = [one.pixels for one in loaded if one.pixels is not None]
            parts = [
                runners.submit(_compute, network, pixels[start : start + at_once])
                for start in range(0, len(pixels), at_once)
            ]
            running.append(_Running(numbers, loaded, parts))
            if len(running) >= batches_at_once:
                yield _complete(source, running.popleft(), backbone, cache)
        while running:
            yield _complete(source, running.popleft(), backbone, cache)


def _images_at_once(backbone: Backbone, device: torch.device) -> int:
    if device.type != "cpu":
        return BATCH_SIZE
    return min(BATCH_SIZE, max(1, PIXELS_AT_ONCE // backbone.preprocessing.image_size**2))


@contextmanager
def _threads(count: int, processors: int | None = None) -> Iterator[ThreadPoolExecutor]:
    """A pool that drops what has not begun when it is left; each thread computes on so many processors."""
    pool = ThreadPoolExecutor(count, initializer=_use_processors, initargs=(processors,))
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _use_processors(count: int | None) -> None:
    if count is not None:
        torch.get_num_threads()  # the first question in a thread makes PyTorch set the number, so ours comes after
        threadpool_limits(count, user_api="openmp")


def _given_features(source: Source) -> Iterator[Features]:
    rows = 16 * BATCH_SIZE
    for first in range(0, len(source), rows):
        values = source.features(slice(first, first + rows))
        items = np.arange(first, first + len(values))
        yield Features(items, values, [content_digest(value.tobytes()) for value in values], [])


def _load(source: Source, item: int, backbone: Backbone, cache: FeatureCache | None) -> _Loaded:
    try:
        raw = source.read(item)
        digest = content_digest(raw)
        feature = cache.get(digest) if cache else None
        if feature is not None:
            return _Loaded(digest, feature)
        preprocessing = backbone.preprocessing
        return _Loaded(digest, pixels=preprocessing(decode(raw, preprocessing.image_size)))
    except UnreadableImage as error:
        return _Loaded(unreadable=str(error))


def _compute(network: Network, pixels: list[torch.Tensor]) -> NDArray[np.float32]:
    return network(torch.stack(pixels))


def _run(backbone: Backbone, device: torch.device, pixels: torch.Tensor) -> NDArray[np.float32]:
    with torch.inference_mode():
        return backbone(pixels.to(device)).float().cpu().numpy()


def _complete(source: Source, batch: _Running, backbone: Backbone, cache: FeatureCache | None) -> Features:
    loaded = batch.loaded
    computed = iter([feature for part in batch.parts for feature in part.result()])
    features = [next(computed) if one.pixels is not None else one.feature for one in loaded]
    if cache and batch.parts:
        cache.put(
            (one.digest, feature)
            for one, feature in zip(loaded, features, strict=True)
            if one.pixels is not None and feature is not None
        )
    readable = [place for place, feature in enumerate(features) if feature is not None]
    return Features(
        np.array([batch.numbers[place] for place in readable], np.int64),
        np.array([features[place] for place in readable], np.float32).reshape(-1, backbone.dimension),
        [loaded[place].digest for place in readable],
        [
            Skipped(number, source.key(number), one.unreadable)
            for number, one in zip(batch.numbers, loaded, strict=True)
            if one.unreadable
        ],
    )


def _ahead(pool: ThreadPoolExecutor, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """Results in order, computed by the pool at most a few batches before they are asked for."""
    waiting: deque[Future[Result]] = deque()
    for item in items:
        waiting.append(pool.submit(function, item))
        if len(waiting) >= BATCHES_AHEAD * BATCH_SIZE:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()
