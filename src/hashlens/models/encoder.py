"""Encoding: images or features in, codes out."""

from __future__ import annotations

import copy
import logging
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hashlens.backbones import FeatureExtractor, Features
from hashlens.backbones.views import MIRRORED, PLAIN
from hashlens.codes import as_details, pack
from hashlens.compute.devices import ONNX, choose_device, encoding_device
from hashlens.compute.threads import torch_threads
from hashlens.counting import counted
from hashlens.errors import BadInput
from hashlens.models.network import HashNetwork
from hashlens.progress import Progress, silence
from hashlens.sources import Skipped, Source, as_source

log = logging.getLogger("hashlens")


class SkippedImagesWarning(UserWarning):
    """Some images could not be read and were left out.

    Example:
        >>> with warnings.catch_warnings():
        ...     warnings.simplefilter("ignore", SkippedImagesWarning)  # or "error", to stop
    """


@dataclass(frozen=True)
class Encoded:
    """Codes of those items of a source, or of a batch of it, that could be read.

    Attributes:
        items: (n,) int64, their numbers in the source.
        continuous: (n, K) float32.
        codes: (n, ceil(K/8)) uint8.
        details: (n, K) int8, what rounding loses, see :func:`hashlens.codes.as_details`.
        digests: n content digests.
        skipped: the other items.
        features: (n, D) float32, what the backbone's last layer gave or what was given; ``None`` where nobody asked
            to keep them.

    Example:
        >>> import hashlens as hl
        >>> x = np.random.default_rng(0).normal(size=(40, 8)).astype(np.float32)
        >>> source = hl.sources.FeatureArray("mine", x, np.arange(40) % 2)
        >>> with hl.fit(source, bits=16, epochs=1, device="cpu").encoder() as encode:
        ...     encoded = encode.all(source)
        >>> encoded.codes.shape, encoded.continuous.shape, encoded.items[:3].tolist(), encoded.skipped
        ((40, 2), (40, 16), [0, 1, 2], [])
    """

    items: NDArray[np.int64]
    continuous: NDArray[np.float32]
    codes: NDArray[np.uint8]
    details: NDArray[np.int8]
    digests: list[bytes]
    skipped: list[Skipped]
    features: NDArray[np.float32] | None = None

    @staticmethod
    def joined(batches: Sequence[Encoded]) -> Encoded:
        """Batches of one source, of which there is at least one, as one."""
        features = [batch.features for batch in batches if batch.features is not None]
        return Encoded(
            np.concatenate([batch.items for batch in batches]),
            np.concatenate([batch.continuous for batch in batches]),
            np.concatenate([batch.codes for batch in batches]),
            np.concatenate([batch.details for batch in batches]),
            [digest for batch in batches for digest in batch.digests],
            [one for batch in batches for one in batch.skipped],
            np.concatenate(features) if features else None,
        )


class Encoder:
    """A model that is ready to encode: on its device, with its threads, its network session and its feature cache.

    Made by :meth:`hashlens.HashModel.encoder`; close it, or use it in a ``with`` block. It is called with anything
    that :func:`hashlens.sources.as_source` takes: a source, a path or a sequence of paths, bytes of image files,
    PIL images, (H, W, 3) uint8 pixels, sequences of these, or (N, D) features for a model of features.

    Safe from several threads: requests that arrive together go through the network together. Silent unless asked.

    Args:
        network: is left where it is; on another device a copy of it computes.
        cached: whether the backbone's features are looked up on disk and remembered there.
        device, threads, progress: see :meth:`hashlens.HashModel.encoder`.

    Raises:
        BadInput: there is no such device, or ONNX Runtime cannot run the backbone.

    Example:
        >>> import hashlens as hl
        >>> x = np.random.default_rng(0).normal(size=(40, 8)).astype(np.float32)
        >>> source = hl.sources.FeatureArray("mine", x, np.arange(40) % 2)
        >>> with hl.fit(source, bits=16, epochs=1, device="cpu").encoder() as encode:
        ...     encode(source).shape, encode(x[0]).shape, encode.continuous(x[:5]).shape, encode.bits
        ((40, 2), (1, 2), (5, 16), 16)
    """

    def __init__(
        self,
        network: HashNetwork,
        cached: bool,
        device: str | None = None,
        threads: int | None = None,
        progress: Progress | None = None,
    ) -> None:
        where = choose_device("cpu" if device == ONNX else device)
        at_home = next(network.parameters()).device == where
        self._network = (network if at_home else copy.deepcopy(network).to(where)).eval()
        self._device = where
        self._progress = progress or silence
        log.debug("encoding %d bits on %s", self.bits, device or where)
        views = (PLAIN, MIRRORED) if network.mirrored else (PLAIN,)
        self._extractor = FeatureExtractor(self._network.backbone, encoding_device(device), threads, cached, views)

    def __enter__(self) -> Encoder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of threads and files; nothing can be encoded any more."""
        self._extractor.close()

    @property
    def bits(self) -> int:
        return self._network.hash_layer.linear.out_features

    def __call__(self, items: Any) -> NDArray[np.uint8]:
        """Binary codes.

        Returns:
            (n, ceil(K/8)) uint8 packed codes. Images that cannot be read have no row; a
            :class:`SkippedImagesWarning` says which they are.

        Raises:
            BadInput: images for a model of features or the reverse, or nothing could be read.
        """
        return self.readable(items).codes

    def continuous(self, items: Any) -> NDArray[np.float32]:
        """Continuous codes, (n, K) float32, that a call rounds and packs; arguments and errors as there."""
        return self.readable(items).continuous

    def all(self, items: Any, description: str = "Encoding", features: bool = False) -> Encoded:
        """Codes of a whole source, and what could not be read.

        Args:
            description: of the progress.
            features: keep the features too.

        Raises:
            BadInput: as for a call.
        """
        source = as_source(items)
        nothing = np.empty((0, self.bits), np.float32)
        no_features = np.empty((0, self._network.last_dimension), np.float32)
        found = [Encoded(np.empty(0, np.int64), nothing, pack(nothing), as_details(nothing), [], [])]
        if features:
            found[0] = replace(found[0], features=no_features)
        with self._progress(description, len(source)) as advance:
            for batch in self.batches(source):
                found.append(batch if features else replace(batch, features=None))
                advance(len(batch.items) + len(batch.skipped))
        skipped = [one for batch in found for one in batch.skipped]
        if len(skipped) == len(source) > 0:
            raise BadInput(f"No image of {source.name} could be read; the first is {skipped[0]}.")
        return Encoded.joined(found)

    def readable(self, items: Any) -> Encoded:
        """The same, but a :class:`SkippedImagesWarning` tells what could not be read."""
        source: Source = as_source(items)
        encoded = self.all(source)
        if encoded.skipped:
            of_all = f"of {counted(len(source), 'image', 'images')} could not be read and"
            without = counted(len(encoded.skipped), f"{of_all} has no code", f"{of_all} have no code")
            warnings.warn(
                f"{without}, the first of them {encoded.skipped[0]}.",
                SkippedImagesWarning,
                stacklevel=3,
            )
        return encoded

    def batches(self, items: Any) -> Iterator[Encoded]:
        """Codes batch by batch, for sources of any size; what cannot be read is told in each batch.

        Raises:
            BadInput: images for a model of features or the reverse.
        """
        for batch, features in self._features(items):
            continuous = np.empty((0, self.bits), np.float32)
            if len(batch.items):
                with torch.inference_mode(), torch_threads(1):
                    codes_of_views = self._network.codes_of(features.flatten(0, 1))
                    continuous = codes_of_views.unflatten(0, features.shape[:2]).mean(1).cpu().numpy()
            threshold = self._network.hash_layer.threshold
            codes, details = pack(continuous, threshold), as_details(continuous, threshold)
            values = batch.values[:, : self._network.last_dimension] if len(batch.items) else None
            yield Encoded(batch.items, continuous, codes, details, batch.digests, batch.skipped, values)

    def projections(self, items: Any) -> Iterator[NDArray[np.float64]]:
        """What the linear part of the hash layer gives, (n, K), batch by batch: codes before their last shape."""
        for batch, features in self._features(items):
            if len(batch.items):
                with torch.inference_mode(), torch_threads(1):
                    hidden = self._network.hidden_layers(features.flatten(0, 1))
                    yield self._network.hash_layer.linear(hidden).double().cpu().numpy()

    def _features(self, items: Any) -> Iterator[tuple[Features, torch.Tensor]]:
        """Batches, and the features of all their views, (n, V, D)."""
        source = as_source(items)
        expected = self._network.hidden_layers.in_features
        for batch in self._extractor.batches(source):
            if len(batch.items) and batch.views.shape[2] != expected:
                raise BadInput(
                    f"{source.name} has features of length {batch.views.shape[2]}, "
                    f"but the model was trained on length {expected}."
                )
            yield batch, torch.from_numpy(np.array(batch.views)).to(self._device)
