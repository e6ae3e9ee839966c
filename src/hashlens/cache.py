"""Where HashLens keeps what it can make or fetch again, and how much of it."""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from hashlens.errors import BadInput
from hashlens.files import replacing

LIMIT_FILE = "limit"
DEFAULT_LIMIT = 16 * 10**9
DATABASE_PARTS = ("-wal", "-shm")  # that SQLite keeps beside a file
UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
KINDS = ("features", "onnx", "datasets")  # folders of the cache


@dataclass(frozen=True)
class CacheEntry:
    """Something in the cache.

    Attributes:
        kind: ``features`` of images, networks as ``onnx`` takes them, or ``datasets`` that were downloaded.
        path: a file or a folder.
        size: in bytes.
        changed: when, in seconds since 1970.

    Example:
        >>> CacheEntry("features", Path("features/0123.sqlite"), 4096, 1.8e9).size
        4096
    """

    kind: str
    path: Path
    size: int
    changed: float


def cache_folder() -> Path:
    """The folder named by the environment variable HASHLENS_CACHE, else the user's cache folder.

    Example:
        >>> from unittest import mock
        >>> with mock.patch.dict(os.environ, HASHLENS_CACHE="elsewhere"):
        ...     print(cache_folder())
        elsewhere
    """
    import platformdirs

    chosen = os.environ.get("HASHLENS_CACHE")
    return Path(chosen) if chosen else platformdirs.user_cache_path("hashlens")


def cache_limit() -> int:
    """How many bytes of features are kept, 16 GB unless :func:`set_cache_limit` said otherwise; 0 for none.

    Example:
        >>> import tempfile
        >>> from unittest import mock
        >>> with mock.patch.dict(os.environ, HASHLENS_CACHE=tempfile.mkdtemp()):
        ...     cache_limit()
        16000000000
    """
    try:
        return parse_size((cache_folder() / LIMIT_FILE).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, BadInput):  # what only serves must not stop work
        return DEFAULT_LIMIT


def set_cache_limit(size: int) -> None:
    """Keep at most so many bytes of features from now on; 0 turns the feature cache off.

    What is there beyond the limit goes when features are next remembered, the oldest first.

    Raises:
        BadInput: the size is negative.

    Example:
        >>> import tempfile
        >>> from unittest import mock
        >>> with mock.patch.dict(os.environ, HASHLENS_CACHE=tempfile.mkdtemp()):
        ...     set_cache_limit(5_000_000_000)
        ...     cache_limit()
        5000000000
    """
    if size < 0:
        raise BadInput(f"The cache cannot be limited to {size} bytes; give 0 or more.")
    cache_folder().mkdir(parents=True, exist_ok=True)
    with replacing(cache_folder() / LIMIT_FILE) as temporary:
        temporary.write_text(f"{size}\n", encoding="utf-8")


def parse_size(text: str) -> int:
    """Bytes from a number with a unit or without.

    Raises:
        BadInput: it is none.

    Example:
        >>> parse_size("5GB"), parse_size("1.5 MB"), parse_size("0")
        (5000000000, 1500000, 0)
    """
    found = re.fullmatch(r"(\d{1,15}(?:\.\d{1,9})?)\s*([kmgt]?)b?", text.strip().lower())
    if found is None:
        raise BadInput(f"'{text.strip()}' is no size; write it as in 20GB, 500MB or 0.")
    return int(float(found[1]) * UNITS[found[2]])


def cache_entries(*kinds: str) -> list[CacheEntry]:
    """What the cache holds of some kinds, or of all of them, the largest first.

    Example:
        >>> import tempfile
        >>> from unittest import mock
        >>> with mock.patch.dict(os.environ, HASHLENS_CACHE=tempfile.mkdtemp()):
        ...     cache_entries()
        []
    """
    found = []
    for kind in kinds or KINDS:
        folder = cache_folder() / kind
        if not folder.is_dir():
            continue
        for path in folder.iterdir():
            if not path.name.endswith(DATABASE_PARTS):
                states = [_state(part) for part in _parts(path)]
                found.append(
                    CacheEntry(kind, path, sum(size for size, _ in states), max(time for _, time in states))
                )
    return sorted(found, key=lambda entry: (-entry.size, entry.path))


def clear_cache(*kinds: str) -> int:
    """Remove what the cache holds of some kinds, or of all of them.

    Returns:
        How many bytes that frees.

    Raises:
        BadInput: there is no such kind.

    Example:
        >>> import tempfile
        >>> from unittest import mock
        >>> with mock.patch.dict(os.environ, HASHLENS_CACHE=tempfile.mkdtemp()):
        ...     clear_cache("features")
        0
    """
    for kind in kinds:
        if kind not in KINDS:
            raise BadInput(f"The cache has no '{kind}'; it has {', '.join(KINDS)}.")
    freed = 0
    for entry in cache_entries(*kinds):
        freed += entry.size
        remove_entry(entry.path)
    return freed


def remove_entry(path: Path) -> None:
    """Remove something of the cache, with what belongs to it; another process may be removing it too.

    Example:
        >>> remove_entry(Path("no/such/file"))
    """
    for part in _parts(path):
        if part.is_dir():
            shutil.rmtree(part, ignore_errors=True)
        else:
            part.unlink(missing_ok=True)


def _parts(path: Path) -> list[Path]:
    return [path, *(path.with_name(f"{path.name}{suffix}") for suffix in DATABASE_PARTS)]


def _state(path: Path) -> tuple[int, float]:
    """Size, and time of the last change; 0 for both where there is nothing."""
    try:
        found = path.lstat()
        if path.is_dir():
            return sum(part.lstat().st_size for part in path.rglob("*")), found.st_mtime
        return found.st_size, found.st_mtime
    except OSError:  # it has gone meanwhile
        return 0, 0.0
