"""The warm encoder and the catalogue behind the service, each with threads of its own."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from hashlens.catalogue import Catalogue, Hit
from hashlens.codes.packing import bytes_per_code
from hashlens.models import Encoder
from hashlens.service.problems import Problem
from hashlens.sources import as_source
from hashlens.sources.decoding import TOO_MANY, opened

ENCODING_THREADS = 32  # that decode, or wait while a pass of the network takes what several of them brought
SEARCHING_THREADS = 8
LARGE = 16_000_000  # pixels, from which on images are encoded one at a time, as each takes 50 MB or more
WARMING = np.zeros((32, 32, 3), np.uint8)

Result = TypeVar("Result")


@dataclass(frozen=True)
class Coded:
    """What is searched with.

    Attributes:
        code: (ceil(K/8),) packed.
        details: (K,) by which results are ordered that codes cannot tell apart, see
            :func:`hashlens.codes.as_details`; ``None`` where they are not known.
    """

    code: NDArray[np.uint8]
    details: NDArray[np.int8] | None = None


class Searcher:
    """Searches a catalogue with images, codes or ids. To be used in one event loop.

    Args:
        catalogue: is searched as it is at each moment; updates by other processes are noticed.
        waiting: most images that may wait to be encoded at a time; more are refused.
        device: to encode on, see :meth:`hashlens.HashModel.encoder`.

    Attributes:
        catalogue: as given.
        takes_images: whether the model encodes images, not ready-made features.
        model: what it is, in a few words.
        waiting: images that are being encoded or wait for it.

    Raises:
        BadInput: the model in the index cannot be used.
    """

    def __init__(self, catalogue: Catalogue, waiting: int, device: str | None = None) -> None:
        self.catalogue = catalogue
        self.waiting = 0
        self._most_waiting = waiting
        model = catalogue.model()
        backbone = model.network.backbone
        self.takes_images = backbone is not None
        self.model = ", ".join(
            [
                str(model.method.get("name", "hash model")),
                f"{backbone.name} at {backbone.preprocessing.image_size} pixels" if backbone else "given features",
            ]
        )
        self._encoder: Encoder | None = model.encoder(device) if backbone is not None else None
        if self._encoder is not None:
            self._encoder(WARMING)
        self._encoding = ThreadPoolExecutor(ENCODING_THREADS, thread_name_prefix="hashlens-encode")
        self._searching = ThreadPoolExecutor(SEARCHING_THREADS, thread_name_prefix="hashlens-search")
        self._large = asyncio.Semaphore(1)
        catalogue.search(np.zeros((1, bytes_per_code(catalogue.bits)), np.uint8), 1)  # opens and compiles

    def close(self) -> None:
        """Let go of threads and of the network, when what is under way has ended."""
        self._encoding.shutdown()
        self._searching.shutdown()
        if self._encoder is not None:
            self._encoder.close()

    async def ask(self, question: Callable[..., Result], *arguments: Any) -> Result:
        """Call a function of the catalogue, in a thread that never waits for encoding."""
        return await asyncio.get_running_loop().run_in_executor(self._searching, lambda: question(*arguments))

    async def encode(self, images: Sequence[bytes]) -> list[Coded | str]:
        """The code of each image, or the reason why it cannot be read.

        Args:
            images: the bytes of image files.

        Raises:
            Problem: too many wait already, or the index is one of features.
        """
        if self._encoder is None:
            raise Problem(422, "This index was made of ready-made features, so it is searched by id or code only.")
        if self.waiting and self.waiting + len(images) > self._most_waiting:
            raise Problem(
                503,
                f"{self.waiting} images wait to be encoded already; try again in a second.",
                {"Retry-After": "1"},
            )
        self.waiting += len(images)
        try:
            if max(map(_pixels, images)) < LARGE:
                return await self._encode(images)
            async with self._large:
                return await self._encode(images)
        finally:
            self.waiting -= len(images)

    async def _encode(self, images: Sequence[bytes]) -> list[Coded | str]:
        return await asyncio.get_running_loop().run_in_executor(self._encoding, self._codes, images)

    def _codes(self, images: Sequence[bytes]) -> list[Coded | str]:
        assert self._encoder is not None
        found: dict[int, Coded | str] = {}
        for batch in self._encoder.batches(as_source(list(images))):
            coded = map(Coded, batch.codes, batch.details)
            found.update(zip(batch.items.tolist(), coded, strict=True))
            found.update((one.item, one.reason) for one in batch.skipped)
        return [found[item] for item in range(len(images))]

    async def by_code(
        self, coded: Coded, k: int, labels: Sequence[str], offset: int, radius: int | None
    ) -> list[Hit]:
        """The images nearest to a code; arguments and errors as of :meth:`hashlens.Catalogue.search`."""
        details = None if coded.details is None else coded.details[None]
        return (await self.ask(self.catalogue.search, coded.code[None], k, labels, offset, radius, details))[0]

    async def by_id(self, image: int, k: int, labels: Sequence[str], offset: int, radius: int | None) -> list[Hit]:
        """The other images nearest to one of the catalogue; see :meth:`hashlens.Catalogue.search_ids`."""
        return (await self.ask(self.catalogue.search_ids, [image], k, labels, offset, radius))[0]


def unreadable(name: str, reason: str) -> Problem:
    """What to answer for an image that cannot be read."""
    return Problem(413 if TOO_MANY in reason else 422, f"{name} cannot be used: {reason}.")


def shown(text: str) -> str:
    """A path or label as JSON can carry it: bytes of a file's name that are no UTF-8 become question marks."""
    return os.fsencode(text).decode("utf-8", "replace")


def _pixels(raw: bytes) -> int:
    """Number of pixels that an image file claims; 0 where it is none, which decoding will tell."""
    try:
        with opened(raw) as image:
            return image.size[0] * image.size[1]
    except Exception:  # whatever a broken header makes Pillow raise, its own limit on pixels too
        return 0
