"""Keys of the caller's choosing, any texts, for codes that are numbered in the order of adding."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xxhash
from numpy.typing import NDArray

from hashlens.engines.hamming.segments import StoredArray, leads_into, lies_in
from hashlens.errors import BadInput

if TYPE_CHECKING:
    import pyarrow as pa


def as_keys(keys: str | Iterable[str]) -> list[str]:
    """Keys as a list; a text alone counts as one.

    Raises:
        BadInput: one is no text, or a text that UTF-8 cannot hold.

    Example:
        >>> as_keys("a.jpg"), as_keys(np.array(["a.jpg", "b.jpg"]))
        (['a.jpg'], ['a.jpg', 'b.jpg'])
        >>> as_keys([b"a.jpg"])
        Traceback (most recent call last):
        ...
        hashlens.errors.BadInput: A key is a text, but b'a.jpg' is bytes; whole numbers are ids of HammingIndex.
    """
    listed = [keys] if isinstance(keys, str) else list(keys)
    for key in listed:
        if not isinstance(key, str):
            kind = type(key).__name__
            raise BadInput(f"A key is a text, but {key!r} is {kind}; whole numbers are ids of HammingIndex.")
        try:
            key.encode()
        except UnicodeEncodeError:
            raise BadInput(
                f"The key {key!r} holds half a character (a surrogate), as names of files that are no UTF-8 do; "
                "give it a key of its own."
            ) from None
    return list(map(str, listed))


def hashes_of(keys: Sequence[str]) -> NDArray[np.uint64]:
    """(n,) uint64, XXH3 of the UTF-8 of each key.

    Example:
        >>> hashes_of(["", "a.jpg"])
        array([3244421341483603138,  101655816125349749], dtype=uint64)
    """
    return np.fromiter((xxhash.xxh3_64_intdigest(key.encode()) for key in keys), np.uint64, len(keys))


@dataclass(frozen=True)
class KeyRun:
    """The keys of ids that follow each other. It does not change.

    Attributes:
        first: id of the first key.
        texts: (n,) the keys, one buffer of UTF-8 and where each begins.
        hashes: (n,) of the keys, ascending.
        places: (n,) where in ``texts`` the key of each hash stands.
        files: what is on disk already, by kind.
    """

    first: int
    texts: pa.LargeStringArray
    hashes: NDArray[np.uint64]
    places: NDArray[np.int64]
    files: dict[str, StoredArray] = field(default_factory=dict)

    @classmethod
    def of(cls, keys: Sequence[str], first: int) -> KeyRun:
        """A run of these keys.

        Example:
            >>> run = KeyRun.of(["a.jpg", "b.jpg"], 7)
            >>> run.at(np.array([8, 7]))
            array(['b.jpg', 'a.jpg'], dtype=object)
            >>> run.find(["b.jpg", "c.jpg"], hashes_of(["b.jpg", "c.jpg"]))
            (array([0]), array([8]))
        """
        import pyarrow as pa

        return cls._sorted(first, pa.array(keys, pa.large_string()), hashes_of(keys))

    @classmethod
    def joined(cls, one: KeyRun, following: KeyRun) -> KeyRun:
        """One run of two that follow each other."""
        import pyarrow as pa

        hashes = np.empty(len(one) + len(following), np.uint64)
        hashes[one.places], hashes[following.places + len(one)] = one.hashes, following.hashes
        return cls._sorted(one.first, pa.concat_arrays([one.texts, following.texts]), hashes)

    @classmethod
    def _sorted(cls, first: int, texts: pa.LargeStringArray, hashes: NDArray[np.uint64]) -> KeyRun:
        places = np.argsort(hashes, kind="stable")
        return cls(first, texts, hashes[places], places)

    def __len__(self) -> int:
        return len(self.texts)

    def at(self, ids: NDArray[np.int64]) -> NDArray[np.object_]:
        """(n,) keys of (n,) ids, which are of this run."""
        return self.texts.take(ids - self.first).to_numpy(zero_copy_only=False)

    def find(self, keys: Sequence[str], hashes: NDArray[np.uint64]) -> tuple[NDArray[np.intp], NDArray[np.int64]]:
        """Which of (n,) keys stand here, as places among them, and under which ids; one may stand here twice."""
        starts, stops = (np.searchsorted(self.hashes, hashes, side) for side in ("left", "right"))
        rows = np.repeat(np.arange(len(keys)), stops - starts)
        asked = [keys[row] for row in rows.tolist()]
        alike = [self.places[start:stop] for start, stop in zip(starts, stops, strict=True) if start < stop]
        places = np.concatenate([np.empty(0, np.int64), *alike])
        same = np.fromiter(
            (one == other for one, other in zip(self.texts.take(places).to_pylist(), asked, strict=True)),
            np.bool_,
            len(rows),
        )
        return rows[same], places[same] + self.first

    def save(self, folder: Path) -> dict[str, Any]:
        """Write the arrays that are not in ``folder`` yet; return what :meth:`open` needs."""
        _, offsets, content = self.texts.buffers()
        bounds = np.frombuffer(offsets, np.int64, len(self) + 1)
        size = int(bounds[-1])
        arrays: dict[str, NDArray[Any]] = {
            "texts": np.frombuffer(content, np.uint8, size) if size else np.empty(0, np.uint8),
            "bounds": bounds,
            "hashes": self.hashes,
            "places": self.places,
        }
        for kind, array in arrays.items():
            if kind not in self.files or not (folder / self.files[kind].name).is_file():
                self.files[kind] = StoredArray.write(folder, kind, array)
        return {
            "first": self.first,
            "count": len(self),
            "bytes": size,
            "files": {kind: self.files[kind].name for kind in arrays},
            "checksums": {kind: self.files[kind].checksum for kind in arrays},
        }

    @classmethod
    def open(cls, folder: Path, entry: dict[str, Any]) -> KeyRun:
        """Map the arrays of a run into memory, after they have been checked.

        Raises:
            BadInput: a file is not what the entry says.
            FileNotFoundError: a file is missing.
        """
        import pyarrow as pa

        count, files = (
            entry["count"],
            {kind: StoredArray(name, entry["checksums"][kind]) for kind, name in entry["files"].items()},
        )
        texts = files["texts"].read(folder, (entry["bytes"],), np.dtype(np.uint8))
        bounds = files["bounds"].read(folder, (count + 1,), np.dtype(np.int64))
        hashes = files["hashes"].read(folder, (count,), np.dtype(np.uint64))
        places = files["places"].read(folder, (count,), np.dtype(np.int64))
        try:
            keys = pa.LargeStringArray.from_buffers(count, pa.py_buffer(bounds), pa.py_buffer(texts))
            keys.validate(full=True)
        except pa.ArrowInvalid as error:
            raise BadInput(f"{folder / files['texts'].name} is damaged ({error}).") from None
        if not leads_into(bounds[None], len(texts)) or not lies_in(places, count):
            raise BadInput(f"{folder} is damaged: numbers of its keys are out of range.")
        return cls(entry["first"], keys, hashes, places, files)
