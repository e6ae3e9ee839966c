"""Running a backbone over a source of images."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, nullcontext
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from hashlens.backbones.backbone import Backbone
from hashlens.backbones.feature_cache import FeatureCache, content_digest
from hashlens.codes.distances import available_threads
from hashlens.errors import BadInput
from hashlens.progress import progress_bar
from hashlens.sources import FeatureArray, ImageSource, Skipped, UnreadableImage, decode

BATCH_SIZE = 64
BATCHES_AHEAD = 4  # decoded while the network runs

Item = TypeVar("Item")
Result = TypeVar("Result")


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


def extract_features(
    source: ImageSource | FeatureArray,
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
    source: ImageSource | FeatureArray,
    backbone: Backbone | None,
    device: torch.device | str = "cpu",
    cached: bool = True,
) -> Iterator[Features]:
    """Features of a source, batch by batch.

    Images are read and decoded by threads ahead of the network. With ``cached``, features are looked up on
    disk by the content of the image and remembered there, so that no image goes through the same backbone
    twice and an interrupted run resumes.

    Args:
        source: images, or features, which are passed on.
        backbone: in evaluation mode; ``None`` where the source has features.

    Raises:
        BadInput: images without a backbone, or features with one.
    """
    if isinstance(source, FeatureArray):
        if backbone is not None:
            raise BadInput(f"{source.name} holds features, but the backbone {backbone.name} needs images.")
        yield from _given_features(source)
        return
    if backbone is None:
        raise BadInput(f"{source.name} holds images, but features were expected.")
    backbone.to(device).eval()
    with (
        closing(FeatureCache(backbone.fingerprint())) if cached else nullcontext() as cache,
        ThreadPoolExecutor(available_threads()) as pool,
        closing(_ahead(pool, lambda item: _load(source, item, backbone, cache), range(len(source)))) as images,
    ):
        for first in range(0, len(source), BATCH_SIZE):
            numbers = range(first, min(first + BATCH_SIZE, len(source)))
            yield _complete(source, numbers, [next(images) for _ in numbers], backbone, device, cache)


def _given_features(source: FeatureArray) -> Iterator[Features]:
    rows = 16 * BATCH_SIZE
    for first in range(0, len(source), rows):
        values = source.features[first : first + rows]
        items = np.arange(first, first + len(values))
        yield Features(items, values, [content_digest(value.tobytes()) for value in values], [])


def _load(source: ImageSource, item: int, backbone: Backbone, cache: FeatureCache | None) -> _Loaded:
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


def _complete(
    source: ImageSource,
    numbers: range,
    loaded: list[_Loaded],
    backbone: Backbone,
    device: torch.device | str,
    cache: FeatureCache | None,
) -> Features:
    features = [one.feature for one in loaded]
    pixels = [one.pixels for one in loaded if one.pixels is not None]
    if pixels:
        with torch.inference_mode():
            computed = backbone(torch.stack(pixels).to(device)).float().cpu().numpy()
        fresh = iter(computed)
        features = [next(fresh) if one.pixels is not None else one.feature for one in loaded]
        if cache:
            cache.put(
                (one.digest, feature)
                for one, feature in zip(loaded, features, strict=True)
                if one.pixels is not None and feature is not None
            )
    readable = [place for place, feature in enumerate(features) if feature is not None]
    return Features(
        np.array([numbers[place] for place in readable], np.int64),
        np.array([features[place] for place in readable], np.float32).reshape(-1, backbone.dimension),
        [loaded[place].digest for place in readable],
        [
            Skipped(number, source.key(number), one.unreadable)
            for number, one in zip(numbers, loaded, strict=True)
            if one.unreadable
        ],
    )


def _ahead(
    pool: ThreadPoolExecutor, function: Callable[[Item], Result], items: Iterator[Item] | range
) -> Generator[Result, None, None]:
    """Results in order, computed by the pool at most a few batches before they are asked for."""
    waiting: deque[Future[Result]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(function, item))  # type: ignore[arg-type]
            if len(waiting) >= BATCHES_AHEAD * BATCH_SIZE:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()
