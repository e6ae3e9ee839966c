"""Encoding a source on Ray: parts of it as tasks, each of whose codes are kept in a file until they are stored."""

from __future__ import annotations

import json
import shutil
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xxhash
from numpy.typing import NDArray

from hashlens.compute.ray_cluster import connected
from hashlens.compute.threads import share_processors
from hashlens.errors import BadInput, first_line
from hashlens.files import replacing
from hashlens.sources import Skipped, Source

if TYPE_CHECKING:  # it comes with PyTorch
    from hashlens.models import Encoded, Encoder

ITEMS = 1024  # of a part
RETRIES = 3  # of a part whose worker dies
AHEAD = 4  # parts for each processor that are under way, or wait for an earlier one to be stored
CHECKSUM = "checksum"


class RayEncoder:
    """What a :class:`hashlens.models.Encoder` does for a source, on all processors of a Ray cluster.

    Every part of the source is a task, which Ray gives to another worker where one dies. What it finds is written
    to a file at once and complete, so whoever is killed and tries again encodes the missing parts only.

    Args:
        model: folder of the model. It, ``folder`` and the source must be on a disk that all nodes see.
        fingerprint: of the model.
        folder: where parts are kept, which is removed when it has been closed without an error.
        address: of the cluster, see :func:`hashlens.compute.ray_cluster.connected`.
        device: to encode on, see :meth:`hashlens.HashModel.encoder`; on ``cuda`` a task takes one GPU.

    Example:
        >>> import tempfile, hashlens as hl
        >>> x = np.random.default_rng(0).normal(size=(60, 8)).astype(np.float32)
        >>> source = hl.sources.FeatureArray("mine", x, np.arange(60) % 2, ["cat", "dog"])
        >>> model = hl.fit(source, "orthohash", bits=16, epochs=1, device="cpu")
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     index = hl.Catalogue.create(folder, model)
        ...     index.update(source, ray="").added  # doctest: +SKIP
        60
    """

    def __init__(self, model: Path, fingerprint: str, folder: Path, address: str, device: str | None) -> None:
        self._model = model.resolve()
        self._fingerprint = fingerprint
        self._folder = folder.resolve()
        self._address = address
        self._device = device
        self._open = ExitStack()

    def __enter__(self) -> RayEncoder:
        self._open.enter_context(connected(self._address))
        self._folder.mkdir(exist_ok=True)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._open.close()
        if kind is None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def batches(self, source: Source) -> Iterator[Encoded]:
        """Codes part by part, in the order of the source.

        Raises:
            BadInput: a part cannot be encoded or written, or workers die of it again and again.
        """
        import ray

        whole, numbers = source.origin  # by whose numbers parts are cut, so that they are the same when run again
        cuts = np.flatnonzero(np.diff(numbers // ITEMS)) + 1
        shared = ray.put(whole)
        processors = int(ray.cluster_resources()["CPU"])
        encode = ray.remote(_encode).options(
            num_cpus=1, num_gpus=1 if str(self._device).startswith("cuda") else 0, max_retries=RETRIES
        )
        how = self._model, self._fingerprint, self._device
        under_way: deque[tuple[NDArray[np.int64], Path, Any]] = deque()
        parts = iter(np.split(np.arange(len(numbers)), cuts))
        try:
            while True:
                while len(under_way) < AHEAD * processors and (part := next(parts, None)) is not None:
                    path = self._folder / f"{self._key(source, part)}.safetensors"
                    task = None
                    if _read(path) is None:
                        task = encode.remote(*how, shared, numbers[part], path)
                    under_way.append((part, path, task))
                if not under_way:
                    return
                part, path, task = under_way.popleft()
                if task is not None:
                    _wait_for(task, f"{source.location(int(part[0]))} and the {len(part) - 1} after it")
                found = _read(path)
                if found is None:
                    raise BadInput(f"{path} is not there; the index must be on a disk that all nodes see.")
                yield replace(
                    found,
                    items=part[found.items],
                    skipped=[replace(one, item=int(part[one.item])) for one in found.skipped],
                )
                path.unlink(missing_ok=True)
        finally:
            for *_, task in under_way:
                if task is not None:
                    ray.cancel(task, force=True)

    def _key(self, source: Source, part: NDArray[np.int64]) -> str:
        """What tells whether a file holds the codes of these very items."""
        digest = xxhash.xxh3_128(f"{self._fingerprint} {self._device}".encode())
        for item in part.tolist():
            digest.update(f"{source.location(item)!a} {source.fingerprint(item)}".encode())
        return digest.hexdigest()


def _wait_for(task: Any, what: str) -> None:
    import ray
    from ray.exceptions import RayError, RayTaskError

    try:
        ray.get(task)
    except RayTaskError as error:
        if isinstance(error.cause, BadInput):
            raise BadInput(str(error.cause)) from None
        raise
    except RayError as error:
        raise BadInput(
            f"{what} could not be encoded: workers died of it, or were lost ({first_line(error)}); give the same "
            "command again, which goes on."
        ) from None


def _encode(
    model: Path, fingerprint: str, device: str | None, source: Source, items: NDArray[np.int64], path: Path
) -> None:
    """Encode these items of a source, and write what came of it to a file. Runs in a worker."""
    from hashlens.models import Encoded

    batches = _encoder(model, fingerprint, device).batches(source.select(items))
    _write(path, Encoded.joined([replace(batch, features=None) for batch in batches]))


@lru_cache(maxsize=1)
def _encoder(model: Path, fingerprint: str, device: str | None) -> Encoder:
    """An encoder that stays warm from task to task of a worker.

    Raises:
        BadInput: the model cannot be read there, or is another one.
    """
    from hashlens.models import HashModel

    share_processors(1)
    found = HashModel.load(model)
    if found.fingerprint() != fingerprint:
        raise BadInput(f"{model} is another model on one of the nodes; all must see one disk.")
    return found.encoder(device, threads=1)


def _write(path: Path, part: Encoded) -> None:
    from safetensors.numpy import save

    arrays: dict[str, NDArray[Any]] = {
        "items": part.items,
        "continuous": part.continuous,
        "codes": part.codes,
        "details": part.details,
        "digests": np.array([list(digest) for digest in part.digests], np.uint8),
    }
    skipped = json.dumps([[one.item, one.key, one.reason] for one in part.skipped])
    content = save(arrays, {"skipped": skipped, CHECKSUM: _checksum(arrays, skipped)})
    try:
        with replacing(path) as temporary:
            temporary.write_bytes(content)
    except OSError as error:
        raise BadInput(f"{path} cannot be written ({error.strerror or 'the disk may be full'}).") from None


def _read(path: Path) -> Encoded | None:
    """What was written, or nothing where there is no such file, or a damaged one."""
    from safetensors import SafetensorError, safe_open

    from hashlens.models import Encoded

    try:
        with safe_open(path, "numpy") as file:
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no dictionary
            known = file.metadata() or {}
        if known[CHECKSUM] != _checksum(arrays, known["skipped"]):
            return None
        skipped = [Skipped(*one) for one in json.loads(known["skipped"])]
        digests = [digest.tobytes() for digest in arrays.pop("digests")]
        return Encoded(**arrays, digests=digests, skipped=skipped)
    except (OSError, SafetensorError, KeyError, TypeError, ValueError):
        return None


def _checksum(arrays: dict[str, NDArray[Any]], skipped: str) -> str:
    digest = xxhash.xxh3_128(skipped.encode())
    for name in sorted(arrays):
        digest.update(f"{name} {arrays[name].dtype} {arrays[name].shape}".encode())
        digest.update(np.ascontiguousarray(arrays[name]).data)
    return digest.hexdigest()
