"""Running a backbone over images."""

from __future__ import annotations

import sqlite3
import threading
import warnings
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hashlens.backbones.backbone import Backbone
from hashlens.backbones.feature_cache import FeatureCache
from hashlens.backbones.onnx_runtime import onnx_run, onnx_run_if_fit
from hashlens.backbones.shared_network import Run, SharedNetwork
from hashlens.backbones.views import MIRRORED, PLAIN, view_digest, view_of
from hashlens.cache import cache_limit
from hashlens.compute.devices import FASTEST, ONNX
from hashlens.compute.threads import available_threads, torch_threads
from hashlens.errors import BadInput
from hashlens.progress import Progress, silence
from hashlens.sources import Skipped, Source, UnreadableImage, decode
from hashlens.sources.content import content_digest

BATCH_SIZE = 64
BATCHES_AHEAD = 4  # decoded while the network runs
PIXELS_AT_ONCE = 1 << 17  # in one pass on a CPU; memory for larger activations is had from the system every time

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Features:
    """Features of those items of a source that could be read.

    Attributes:
        items: (n,) int64, their numbers in the source, ascending.
        views: (n, V, D) float32, of each of V views, see :func:`hashlens.backbones.views.view_of`; one where none
            were asked for.
        digests: n content digests.
        skipped: the other items.

    Example:
        >>> import hashlens as hl
        >>> found = extract_features(hl.sources.FeatureArray("given", np.ones((3, 5), np.float32)), None)
        >>> found.items.tolist(), found.values.shape, len(found.digests), found.skipped
        ([0, 1, 2], (3, 5), 3, [])
    """

    items: NDArray[np.int64]
    views: NDArray[np.float32]
    digests: list[bytes]
    skipped: list[Skipped]

    @property
    def values(self) -> NDArray[np.float32]:
        """(n, D) float32, of the first view."""
        return self.views[:, 0]


@dataclass(frozen=True)
class _View:
    """One view of an item on its way: its feature if it was cached, else its pixels."""

    digest: bytes
    feature: NDArray[np.float32] | None = None
    pixels: Tensor | None = None


@dataclass(frozen=True)
class _Loaded:
    """One item on its way: its views, or the reason why there are none."""

    digest: bytes = b""
    views: tuple[_View, ...] = ()
    unreadable: str = ""


@dataclass(frozen=True)
class _Running:
    """A batch whose pixels the network is at work on, in parts."""

    numbers: range
    loaded: list[_Loaded]
    parts: list[Future[NDArray[np.float32]]]


class FeatureExtractor:
    """A backbone ready to run: on its device, with threads that read images ahead of it and a cache of features.

    Features are looked up on disk by the content of the image and remembered there, so that no image goes through
    the same backbone twice and an interrupted run resumes; but the feature of an image that is asked for alone is
    not remembered. Safe from several threads, whose requests share the network, see
    :class:`hashlens.backbones.shared_network.SharedNetwork`.

    Args:
        backbone: is put in evaluation mode and moved to the device; ``None`` where sources hold features.
        device: of PyTorch; "onnx" for the CPU through ONNX Runtime; or "fastest" for the CPU through ONNX Runtime
            if that gives the same features, which is found out once for each backbone when many images are asked
            for. Features of all devices share the cache, as they differ by rounding alone.
        threads: that run the network; as many as PyTorch uses by default.
        cached: whether to look features up and remember them.
        views: numbers of the views of each image, see :func:`hashlens.backbones.views.view_of`.

    Raises:
        BadInput: what :class:`hashlens.backbones.onnx_runtime.OnnxBackbone` raises.

    Example:
        >>> import hashlens as hl
        >>> from torch import nn
        >>> from hashlens.backbones import Preprocessing
        >>> mean_colour = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        >>> backbone = Backbone("mean colour", mean_colour, Preprocessing(32, (0, 0, 0), (1, 1, 1)), 3)
        >>> pictures = hl.sources.as_source(np.full((4, 48, 64, 3), 255, np.uint8))
        >>> with FeatureExtractor(backbone, cached=False) as extractor:
        ...     extractor.extract(pictures).values[0]
        array([1., 1., 1.], dtype=float32)
    """

    def __init__(
        self,
        backbone: Backbone | None,
        device: torch.device | str = "cpu",
        threads: int | None = None,
        cached: bool = True,
        views: Sequence[int] = (PLAIN,),
    ) -> None:
        self.backbone = backbone
        self._views = views
        self._network: SharedNetwork | None = None
        if backbone is None:
            return
        where = torch.device("cpu" if device in (ONNX, FASTEST) else device)
        backbone.to(where).eval()
        at_once = BATCH_SIZE
        if where.type == "cpu":
            at_once = min(BATCH_SIZE, max(1, PIXELS_AT_ONCE // backbone.preprocessing.image_size**2))
            threads = threads or torch.get_num_threads()
        else:
            threads = 1
        run = onnx_run(backbone, threads) if device == ONNX else _torch_run(backbone, where)
        self._network = SharedNetwork(run, at_once, threads)
        self._may_choose = device == FASTEST
        self._choosing = threading.Lock()
        self._threads = threads
        self._readers = ThreadPoolExecutor(available_threads(), thread_name_prefix="hashlens-reader")
        self._cache = _OptionalCache(backbone) if cached else None
        # So many batches that all threads of the network have work while one of them is being completed.
        self._batches_at_once = 1 + -(-threads * at_once // BATCH_SIZE)

    def __enter__(self) -> FeatureExtractor:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop reading and computing; nothing can be asked any more."""
        if self._network is not None:
            self._readers.shutdown(cancel_futures=True)
            self._network.close()
            if self._cache is not None:
                self._cache.close()

    def batches(self, source: Source) -> Iterator[Features]:
        """Features of a source, batch by batch.

        Args:
            source: images, read and decoded by threads ahead of the network; or features, which are passed on.

        Raises:
            BadInput: images without a backbone, or features with one.
        """
        if source.feature_dimension is not None:
            if self.backbone is not None:
                raise BadInput(f"{source.name} holds features, but the backbone {self.backbone.name} needs images.")
            yield from _given_features(source)
            return
        if self.backbone is None:
            raise BadInput(f"{source.name} holds images, but features were expected.")
        self._choose(len(source))
        running: deque[_Running] = deque()
        images = self._loaded(source)
        try:
            for first in range(0, len(source), BATCH_SIZE):
                numbers = range(first, min(first + BATCH_SIZE, len(source)))
                running.append(self._start(numbers, [next(images) for _ in numbers], len(source)))
                if len(running) >= self._batches_at_once:
                    yield self._complete(source, running.popleft())
            while running:
                yield self._complete(source, running.popleft())
        finally:
            images.close()
            for batch in running:
                for part in batch.parts:
                    part.cancel()

    def extract(
        self, source: Source, progress: Progress | None = None, description: str = "Reading images"
    ) -> Features:
        """Features of every readable item."""
        found = []
        with (progress or silence)(description, len(source)) as advance:
            for batch in self.batches(source):
                found.append(batch)
                advance(len(batch.items) + len(batch.skipped))
        return Features(
            np.concatenate([batch.items for batch in found] or [np.empty(0, np.int64)]),
            np.concatenate([batch.views for batch in found] or [np.empty((0, 1, 0), np.float32)]),
            [digest for batch in found for digest in batch.digests],
            [skipped for batch in found for skipped in batch.skipped],
        )

    def _choose(self, images: int) -> None:
        """Decide what runs the backbone, once, before the first images go through it."""
        assert self.backbone is not None and self._network is not None
        with self._choosing:
            if self._may_choose:
                self._may_choose = False
                self._network.run = onnx_run_if_fit(self.backbone, self._threads, images) or self._network.run

    def _loaded(self, source: Source) -> Generator[_Loaded, None, None]:
        if len(source) == 1:  # a query need not wait until images that others have read ahead are decoded
            yield self._load(source, 0)
        else:
            yield from _ahead(self._readers, lambda item: self._load(source, item), range(len(source)))

    def _load(self, source: Source, item: int) -> _Loaded:
        assert self.backbone is not None
        prepare = self.backbone.preprocessing
        try:
            raw = source.read(item)
            digest = content_digest(raw)
            image = None
            views = []
            for number in self._views:
                key = view_digest(digest, number)
                feature = self._cache.get(key) if self._cache else None
                pixels = None
                if feature is None:
                    image = image or decode(raw, self._decoded_size)
                    pixels = prepare(view_of(image, number, digest))
                views.append(_View(key, feature, pixels))
            return _Loaded(digest, tuple(views))
        except UnreadableImage as error:
            return _Loaded(unreadable=str(error))

    @property
    def _decoded_size(self) -> int:
        """Of the shorter side, at least; crops show a part of it at the same size."""
        assert self.backbone is not None
        size = self.backbone.preprocessing.resized
        return size if max(self._views) <= MIRRORED else 2 * size

    def _start(self, numbers: range, loaded: list[_Loaded], asked: int) -> _Running:
        assert self._network is not None
        at_once = self._network.at_once
        pixels = [view.pixels for one in loaded for view in one.views if view.pixels is not None]
        parts = [
            self._network.submit(pixels[start : start + at_once], lone=asked * len(self._views) <= at_once)
            for start in range(0, len(pixels), at_once)
        ]
        return _Running(numbers, loaded, parts)

    def _complete(self, source: Source, batch: _Running) -> Features:
        assert self.backbone is not None
        computed = iter([feature for part in batch.parts for feature in part.result()])
        features, new = [], []
        for one in batch.loaded:
            for view in one.views:
                if view.feature is None:
                    new.append((view.digest, next(computed)))
                features.append(new[-1][1] if view.feature is None else view.feature)
        if self._cache is not None and new and len(source) > 1:
            self._cache.put(new)
        numbered = list(zip(batch.numbers, batch.loaded, strict=True))
        return Features(
            np.array([number for number, one in numbered if one.views], np.int64),
            np.array(features, np.float32).reshape(-1, len(self._views), self.backbone.dimension),
            [one.digest for one in batch.loaded if one.views],
            [Skipped(number, source.key(number), one.unreadable) for number, one in numbered if one.unreadable],
        )


def extract_features(
    source: Source,
    backbone: Backbone | None,
    device: torch.device | str = "cpu",
    cached: bool = True,
    progress: Progress | None = None,
    views: Sequence[int] = (PLAIN,),
    description: str = "Reading images",
) -> Features:
    """Features of every readable item of a source, once; see :class:`FeatureExtractor`.

    Args:
        progress: tells how far it is, such as :func:`hashlens.progress_bar`; silent by default.
        description: of the progress.

    Raises:
        BadInput: images without a backbone, or features with one; or what :class:`FeatureExtractor` raises.

    Example:
        >>> import hashlens as hl
        >>> given = hl.sources.FeatureArray("given", np.ones((3, 5), np.float32))
        >>> extract_features(given, None).values.shape
        (3, 5)
    """
    with FeatureExtractor(backbone, device, cached=cached, views=views) as extractor:
        return extractor.extract(source, progress, description)


def iterate_features(
    source: Source, backbone: Backbone | None, device: torch.device | str = "cpu", cached: bool = True
) -> Iterator[Features]:
    """The same batch by batch, for sources of any size.

    Example:
        >>> import hashlens as hl
        >>> given = hl.sources.FeatureArray("given", np.ones((3000, 5), np.float32))
        >>> [batch.values.shape for batch in iterate_features(given, None)]
        [(1024, 5), (1024, 5), (952, 5)]
    """
    with FeatureExtractor(backbone, device, cached=cached) as extractor:
        yield from extractor.batches(source)


class _OptionalCache:
    """The feature cache, which is opened when it is first of use and done without where the disk refuses it."""

    def __init__(self, backbone: Backbone) -> None:
        self._fingerprint = backbone.fingerprint()
        self._cache: FeatureCache | None = None
        self._refused = cache_limit() == 0
        self._lock = threading.Lock()

    def get(self, digest: bytes) -> NDArray[np.float32] | None:
        return self._use(lambda cache: cache.get(digest))

    def put(self, features: Iterable[tuple[bytes, NDArray[np.float32]]]) -> None:
        self._use(lambda cache: cache.put(features))

    def close(self) -> None:
        if self._cache is not None:
            self._cache.close()

    def _use(self, use: Callable[[FeatureCache], Result]) -> Result | None:
        try:
            with self._lock:
                if self._refused:
                    return None
                if self._cache is None:
                    self._cache = FeatureCache(self._fingerprint)
            return use(self._cache)
        except (OSError, sqlite3.OperationalError) as error:
            self._refused = True
            warnings.warn(
                f"The feature cache cannot be used ({error}), so features are computed again each time.",
                stacklevel=2,
            )
            return None


def _torch_run(backbone: Backbone, device: torch.device) -> Run:
    def run(pixels: Tensor, count: int) -> NDArray[np.float32]:
        with torch.inference_mode(), torch_threads(count):
            return backbone(pixels.to(device)).float().cpu().numpy()

    return run


def _given_features(source: Source) -> Iterator[Features]:
    rows = 16 * BATCH_SIZE
    for first in range(0, len(source), rows):
        values = source.features(slice(first, first + rows))
        items = np.arange(first, first + len(values))
        yield Features(items, values[:, None], [content_digest(value.tobytes()) for value in values], [])


def _ahead(pool: ThreadPoolExecutor, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """Results in order, computed by the pool at most a few batches before they are asked for."""
    waiting: deque[Future[Result]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) >= BATCHES_AHEAD * BATCH_SIZE:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()
