"""The index by keys that are texts, such as paths, names or UUIDs."""

from __future__ import annotations

import os
import re
import secrets
import shutil
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hashlens.codes.packing import check_bits
from hashlens.engines.engine import Ragged
from hashlens.engines.hamming.hamming_index import OPENING_ATTEMPTS, HammingIndex
from hashlens.engines.hamming.keys import KeyRun, as_keys, hashes_of
from hashlens.engines.hamming.manifest import read_manifest, write_manifest
from hashlens.engines.hamming.segments import unused_files
from hashlens.errors import BadInput
from hashlens.files import temporary_names

FORMAT = "hashlens-keyed-index"
VERSION = 1
MANIFEST_FILE = "keyed-index.json"
TEMPORARY_MANIFEST = temporary_names(re.escape(MANIFEST_FILE), re.escape(".json"))
CODES_FOLDER = re.compile(r"codes-[0-9a-f]{16}")

Keys = str | Iterable[str]
FoundKeys = tuple[NDArray[np.int32], NDArray[np.object_]]
RaggedKeys = tuple[list[NDArray[np.int32]], list[NDArray[np.object_]]]


class KeyedIndex:
    """A :class:`hashlens.HammingIndex` whose codes have keys, any texts, in place of ids.

    It behaves like a dictionary from keys to codes that can be searched: keys are different and stay in the order
    of adding, and adding one that is there replaces its code and leaves it in its place. Results are sorted by
    distance, then in that order. A key takes 24 bytes and its UTF-8. Removed keys go on taking room; to be rid
    of them, add :attr:`keys` and :meth:`codes` to a new index.

    Searches may run in several threads at a time, also while one other thread makes changes.

    Args:
        bits: code length K, 8 to 1024.

    Example:
        >>> import numpy as np
        >>> index = KeyedIndex(8)
        >>> index.add(np.array([[0b00000000], [0b00001111], [0b11111111]], np.uint8), ["a.jpg", "b.jpg", "c.jpg"])
        >>> distances, keys = index.search(np.array([[0b00000111]], np.uint8), k=2)
        >>> distances.tolist(), keys.tolist()
        ([[1, 3]], [['b.jpg', 'a.jpg']])
        >>> index.remove("b.jpg")
        >>> index.contains(["a.jpg", "b.jpg"]), "c.jpg" in index, index
        (array([ True, False]), True, KeyedIndex(2 codes of 8 bits))
    """

    def __init__(self, bits: int) -> None:
        self._index = HammingIndex([], check_bits(bits))
        self._runs: tuple[KeyRun, ...] = ()
        self._folder: Path | None = None
        self._codes_folder = ""

    @classmethod
    def open(cls, folder: str | os.PathLike[str]) -> KeyedIndex:
        """Map an index that :meth:`save` wrote into memory, once every file has been checked.

        Raises:
            BadInput: there is none, or it is damaged or of another version.
        """
        folder = Path(folder)
        for attempt in range(1, OPENING_ATTEMPTS + 1):  # another process may be saving
            manifest = read_manifest(folder / MANIFEST_FILE, FORMAT, VERSION)
            try:
                if not CODES_FOLDER.fullmatch(manifest["codes"]):
                    raise BadInput(f"{folder} is damaged: its codes are in no folder of its own.")
                codes = HammingIndex.open(folder / manifest["codes"])
                runs = tuple(KeyRun.open(folder, entry) for entry in manifest["runs"])
                counted = 0
                for run in runs:
                    if run.first != counted:
                        raise BadInput(f"{folder} is damaged: its keys have gaps.")
                    counted += len(run)
                if codes.next_id > counted:
                    raise BadInput(f"{folder} is damaged: it has {codes.next_id} codes, but {counted} keys.")
            except (BadInput, FileNotFoundError) as error:
                if attempt == OPENING_ATTEMPTS:
                    missing = getattr(error, "filename", None)
                    raise BadInput(
                        f"{folder} is damaged: {missing} is missing." if missing else str(error)
                    ) from None
            except (KeyError, TypeError, AttributeError, OverflowError) as error:
                raise BadInput(f"{folder / MANIFEST_FILE} is damaged ({error!r}).") from None
            else:
                index = cls(codes.bits)
                index._index, index._runs, index._folder, index._codes_folder = (
                    codes,
                    runs,
                    folder,
                    manifest["codes"],
                )
                return index
        raise AssertionError("unreachable")

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write the index to a folder, so that a crash at any moment leaves what was there before or all of it.

        What the folder holds already is not written again. One process at a time may save to a folder; others may
        have it open and go on with what they opened.

        Raises:
            BadInput: the folder holds something else.

        Example:
            >>> import numpy as np, tempfile
            >>> index = KeyedIndex(64)
            >>> index.add(np.zeros((1, 8), np.uint8), "a.jpg")
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     index.save(folder)
            ...     KeyedIndex.open(folder).keys
            ['a.jpg']
        """
        path = _own_folder(folder)
        grows = path == self._folder and (path / self._codes_folder).is_dir()
        name = self._codes_folder if grows else f"codes-{secrets.token_hex(8)}"
        if not grows:
            self._index.save(path / name)
        entries = [run.save(path) for run in self._runs]
        write_manifest(path / MANIFEST_FILE, FORMAT, VERSION, {"codes": name, "runs": entries})
        if grows:
            # Keys of ids never change, so those without a code yet do no harm, and this makes all of it count.
            self._index.save(path / name)
        self._folder, self._codes_folder = path, name
        _remove_unused(path, {name, *(file for entry in entries for file in entry["files"].values())})

    @property
    def bits(self) -> int:
        """Code length K."""
        return self._index.bits

    def __len__(self) -> int:
        """Number of codes."""
        return len(self._index)

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and bool(self.contains(key)[0])

    def __repr__(self) -> str:
        return f"KeyedIndex({len(self):,} codes of {self.bits} bits)"

    @property
    def keys(self) -> list[str]:
        """The keys in the order of adding."""
        return list(self._keys_of(self._index.ids))

    def contains(self, keys: Keys) -> NDArray[np.bool_]:
        """(n,) which of (n,) keys are in the index."""
        return self._ids_of(as_keys(keys)) >= 0

    def codes(self, keys: Keys | None = None) -> NDArray[np.uint8]:
        """(n, ceil(K/8)) packed codes of (n,) keys, of all by default.

        Raises:
            BadInput: a key is not in the index.
        """
        return self._index.codes(None if keys is None else self._ids_there(as_keys(keys)))

    def add(self, codes: ArrayLike, keys: Keys) -> None:
        """Add codes; one whose key is there already takes the place of that code.

        Args:
            codes: (n, ceil(K/8)) uint8 packed codes or (n, K) ±1 or continuous ones; one code alone counts as a
                batch of one.
            keys: (n,) texts, all different; the empty one is one.

        Raises:
            BadInput: the codes have another length than those of the index, or a key stands twice or is no text;
                then nothing is added.
        """
        listed = as_keys(keys)
        count = len(np.atleast_2d(np.asarray(codes)))
        if count != len(listed):
            raise BadInput(f"There are {count} codes, but {len(listed)} keys; give one for each.")
        if len(set(listed)) < len(listed):
            twice = Counter(listed).most_common(1)[0][0]
            raise BadInput(f"The key {twice!r} is given to two codes; give every code a key of its own.")
        ids = self._ids_of(listed)
        new = np.flatnonzero(ids < 0)
        ids[new] = np.arange(len(new)) + sum(map(len, self._runs))
        # Before the codes, which searches find at once; keys whose codes are refused are as good as removed.
        self._runs = _with_run(self._runs, [listed[place] for place in new])
        self._index.add(codes, ids)

    def remove(self, keys: Keys) -> None:
        """Remove codes by their keys.

        Raises:
            BadInput: a key is not in the index; then nothing is removed.
        """
        self._index.remove(self._ids_there(as_keys(keys)))

    def prepare(self, again: bool = False) -> None:
        """Take time and memory now, so that later searches need not look at every code.

        See :meth:`hashlens.HammingIndex.prepare`.
        """
        if self._folder is not None:
            self.save(self._folder)
        self._index.prepare(again)

    def search(
        self, codes: ArrayLike, k: int = 10, allow: Keys | None = None, deny: Keys | None = None
    ) -> FoundKeys:
        """The ``k`` nearest codes of each query.

        Args:
            codes: (Q, ceil(K/8)) uint8 packed codes or (Q, K) ±1 or continuous ones; one code alone counts
                as a batch of one.
            k: at least 1.
            allow: find these keys only; those that are not in the index do not matter.
            deny: do not find these; takes precedence over ``allow``.

        Returns:
            distances (Q, m) int32 and keys (Q, m), an array of texts, sorted by distance, then in the order of
            adding; m is the smaller of ``k`` and the number of codes that may be found.

        Raises:
            BadInput: the queries have another code length than the index, or ``k`` is not positive.
        """
        distances, ids = self._index.search(codes, k, self._filter(allow), self._filter(deny))
        return distances, self._keys_of(ids.ravel()).reshape(ids.shape)

    def search_keys(
        self, keys: Keys, k: int = 10, allow: Keys | None = None, deny: Keys | None = None
    ) -> FoundKeys:
        """The ``k`` nearest *other* codes of each stored code; arguments and results as :meth:`search`.

        Raises:
            BadInput: a key is not in the index, or ``k`` is not positive.
        """
        asked = self._ids_there(as_keys(keys))
        distances, ids = self._index.search_ids(asked, k, self._filter(allow), self._filter(deny))
        return distances, self._keys_of(ids.ravel()).reshape(ids.shape)

    def within(
        self, codes: ArrayLike, radius: int, allow: Keys | None = None, deny: Keys | None = None
    ) -> RaggedKeys:
        """All codes within a distance of each query.

        Args:
            codes, allow, deny: as for :meth:`search`.
            radius: largest distance, inclusive, 0 or more.

        Returns:
            Two lists with one array for each query: distances (int32) and keys, in the order of :meth:`search`.

        Raises:
            BadInput: the radius is negative, or the queries have another code length.
        """
        found: Ragged = self._index.within(codes, radius, self._filter(allow), self._filter(deny))
        return found[0], [self._keys_of(ids) for ids in found[1]]

    def _ids_of(self, keys: list[str]) -> NDArray[np.int64]:
        """(n,) ids of (n,) keys, −1 for those that are not in the index."""
        ids, hashes = np.full(len(keys), -1, np.int64), hashes_of(keys)
        for run in self._runs:
            rows, found = run.find(keys, hashes)
            kept = self._index.contains(found)  # a key that was removed and added again stands twice
            ids[rows[kept]] = found[kept]
        return ids

    def _ids_there(self, keys: list[str]) -> NDArray[np.int64]:
        ids = self._ids_of(keys)
        if (ids < 0).any():
            raise BadInput(f"There is no code with the key {keys[int(np.argmin(ids))]!r} in the index.")
        return ids

    def _filter(self, keys: Keys | None) -> NDArray[np.int64] | None:
        if keys is None:
            return None
        ids = self._ids_of(as_keys(keys))
        return ids[ids >= 0]

    def _keys_of(self, ids: NDArray[np.int64]) -> NDArray[np.object_]:
        """(n,) keys of (n,) ids, which have been given out."""
        keys = np.empty(len(ids), np.object_)
        for run in self._runs:
            here = (ids >= run.first) & (ids < run.first + len(run))
            keys[here] = run.at(ids[here])
        return keys


def _with_run(runs: tuple[KeyRun, ...], keys: list[str]) -> tuple[KeyRun, ...]:
    """The runs and these keys after them, so that each run is at least twice as long as the next."""
    if not keys:
        return runs
    grown = [*runs, KeyRun.of(keys, sum(map(len, runs)))]
    while len(grown) > 1 and len(grown[-2]) < 2 * len(grown[-1]):
        grown[-2:] = [KeyRun.joined(*grown[-2:])]
    return tuple(grown)


def _own_folder(folder: str | os.PathLike[str]) -> Path:
    """Make the folder if need be; it must be empty, a keyed index, or what a killed process left of one."""
    path = Path(folder)
    if path.exists() and not path.is_dir():
        raise BadInput(f"{path} is a file; choose a folder.")
    if path.is_dir() and not (path / MANIFEST_FILE).is_file() and set(path.iterdir()) - set(_unused(path, set())):
        raise BadInput(f"{path} exists and is not a keyed index; choose a new folder.")
    path.mkdir(parents=True, exist_ok=True)
    return path


def _unused(folder: Path, used: set[str]) -> list[Path]:
    others = [
        path
        for path in folder.iterdir()
        if (TEMPORARY_MANIFEST.fullmatch(path.name) or CODES_FOLDER.fullmatch(path.name)) and path.name not in used
    ]
    return [*unused_files(folder, used), *others]


def _remove_unused(folder: Path, used: set[str]) -> None:
    for unused in _unused(folder, used):
        try:
            if unused.is_dir():
                shutil.rmtree(unused)
            else:
                unused.unlink(missing_ok=True)
        except OSError:
            continue  # another process on Windows still has it open; the next save removes it
