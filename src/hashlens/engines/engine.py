"""What every engine can do, and how one is found by its address."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hashlens.errors import BadInput
from hashlens.registry import Registry

Found = tuple[NDArray[np.int32], NDArray[np.int64]]
Ragged = tuple[list[NDArray[np.int32]], list[NDArray[np.int64]]]


class SearchEngine(ABC):
    """Codes by id that answer nearest-neighbour and radius queries by Hamming distance.

    Codes go in and out as (n, ceil(K/8)) uint8, packed as :func:`hashlens.codes.pack` packs them; ids are int64 of
    the caller's choosing. Results are sorted by distance, then id.

    Attributes:
        bits: code length K.
        exact: whether the answers are the true ones; else some may be missing.

    Example:
        >>> import numpy as np, hashlens as hl
        >>> engine = hl.HammingIndex.build(np.array([[0b0000], [0b0111]], np.uint8), ids=[20, 10])
        >>> isinstance(engine, SearchEngine), engine.bits, len(engine), engine.exact
        (True, 8, 2, True)
        >>> distances, ids = engine.within(np.array([[0b0001]], np.uint8), radius=2)
        >>> distances[0].tolist(), ids[0].tolist()
        ([1, 2], [20, 10])
        >>> engine.contains([10, 11])
        array([ True, False])
    """

    bits: int
    exact: bool = True

    @abstractmethod
    def __len__(self) -> int:
        """Number of codes."""

    @abstractmethod
    def search(self, codes: ArrayLike, k: int = 10, allow: ArrayLike | None = None) -> Found:
        """The ``k`` nearest codes of each query.

        Args:
            codes: (Q, ceil(K/8)) packed codes.
            k: at least 1.
            allow: (n,) ids; find these only. Removed ones do not matter; those never given out may be refused.

        Returns:
            distances (Q, m) int32 and ids (Q, m) int64; m is the smaller of ``k`` and the number of codes that may
            be found.

        Raises:
            BadInput: the queries have another code length than the engine, or ``k`` is not positive.
        """

    @abstractmethod
    def within(self, codes: ArrayLike, radius: int, allow: ArrayLike | None = None) -> Ragged:
        """All codes within a distance of each query.

        Args:
            codes, allow: as for :meth:`search`.
            radius: largest distance, inclusive, 0 or more.

        Returns:
            Two lists with one array for each query: distances (int32) and ids (int64).

        Raises:
            BadInput: the radius is negative, or the queries have another code length.
        """

    @abstractmethod
    def add(self, codes: ArrayLike, ids: ArrayLike) -> NDArray[np.int64]:
        """Add codes; one whose id is there already takes the place of that code.

        Args:
            codes: (n, ceil(K/8)) packed codes.
            ids: (n,), all different.

        Returns:
            The ids.

        Raises:
            BadInput: the codes have another length than those of the engine, or an id stands twice.
        """

    @abstractmethod
    def remove(self, ids: ArrayLike) -> None:
        """Remove the codes with these ids.

        Raises:
            BadInput: there is no code with one of the ids; then nothing is removed.
        """

    @abstractmethod
    def contains(self, ids: ArrayLike) -> NDArray[np.bool_]:
        """(n,) for which of (n,) ids there is a code."""

    def flush(self) -> None:  # noqa: B027 - an engine may have nothing to do
        """Make what was added and removed last. Engines for which it lasts at once do nothing."""

    def prepare(self, again: bool = False) -> None:  # noqa: B027
        """Take time now, so that later searches are faster. Engines that have nothing to prepare do nothing.

        Args:
            again: even if that was done before.
        """


Opener = Callable[[str, int | None], SearchEngine]
"""From what follows the scheme in an address, and a code length for an engine that is new, to the engine."""

ENGINES: Registry[Opener] = Registry("engine")


def open_engine(address: str | os.PathLike[str], bits: int | None = None) -> SearchEngine:
    """Open an engine by its address.

    Args:
        address: ``SCHEME:REST``, where ``SCHEME`` is in :data:`ENGINES` and ``REST`` is what that engine makes of
            it; a file that ends in ``.SCHEME``; any other path is a folder that
            :meth:`hashlens.engines.HammingIndex.save` wrote.
        bits: code length K, for an engine that holds nothing yet.

    Raises:
        BadInput: there is no such engine, or it cannot be opened.

    Example:
        >>> import tempfile, numpy as np, hashlens as hl
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     hl.HammingIndex.build(np.eye(8, dtype=np.uint8)).save(folder)
        ...     hl.engines.open(folder)
        HammingIndex(8 codes of 64 bits)
    """
    name, rest = engine_named_by(address)
    return ENGINES[name](rest, bits)


def engine_named_by(address: str | os.PathLike[str]) -> tuple[str, str]:
    """The name of the engine of an address, and what it is opened by; nothing is opened.

    Raises:
        BadInput: there is no such engine.

    Example:
        >>> import hashlens as hl
        >>> engine_named_by("codes.parquet"), engine_named_by("folder")
        (('parquet', 'codes.parquet'), ('hamming', 'folder'))
    """
    text = os.fspath(address)
    scheme, colon, rest = text.partition(":")
    if colon and scheme in ENGINES and not Path(text).exists():
        return scheme, rest
    if colon and not Path(text).exists() and "://" in text:
        raise BadInput(f"There is no engine '{scheme}'; use a folder or one of {', '.join(ENGINES)}.")
    suffix = Path(text).suffix.removeprefix(".")
    if suffix in ENGINES and not Path(text).is_dir():
        return suffix, text
    return "hamming", text
