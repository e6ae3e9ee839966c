"""The file of an index that names its other files: it is replaced last, and a checksum says that it is whole."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import xxhash

from hashlens.errors import BadInput
from hashlens.files import write_json


def write_manifest(path: Path, kind: str, version: int, content: Mapping[str, Any]) -> str:
    """Write a manifest, so that a crash leaves the one that was there or this one.

    Args:
        kind: of index, by its full name.
        content: what JSON can hold.

    Returns:
        The checksum of the content, 16 hexadecimal digits.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     checksum = write_manifest(Path(folder, "index.json"), "an-index", 2, {"bits": 64})
        ...     found = read_manifest(Path(folder, "index.json"), "an-index", 2)
        >>> found["version"], found["bits"], found["checksum"] == checksum
        (2, 64, True)
    """
    checksum = _checksum_of(content)
    write_json(path, {"format": kind, "version": version, **content, "checksum": checksum})
    return checksum


def read_manifest(path: Path, kind: str, latest: int, checked_from: int = 1) -> dict[str, Any]:
    """A manifest as it was written, with ``format``, ``version`` and ``checksum``.

    Args:
        kind: as it was written.
        latest: version that is known, as are all before it.
        checked_from: first version whose manifests have a checksum.

    Raises:
        BadInput: there is none, it is damaged, of another kind, or of a later version.

    Example:
        >>> read_manifest(Path("nowhere/index.json"), "an-index", 2)
        Traceback (most recent call last):
        ...
        hashlens.errors.BadInput: There is no index at nowhere.
    """
    if not path.is_file():
        raise BadInput(f"There is no index at {path.parent}.")
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise BadInput(f"{path} is damaged ({error}).") from None
    if not isinstance(manifest, dict) or manifest.get("format") != kind:
        raise BadInput(f"{path} is not the manifest of a {kind.removeprefix('hashlens-').replace('-', ' ')}.")
    version = manifest.get("version", 0)
    if version not in range(1, latest + 1):
        raise BadInput(f"{path.parent} has format version {version}; this HashLens reads up to {latest}.")
    content = {name: value for name, value in manifest.items() if name not in ("format", "version", "checksum")}
    if version >= checked_from and manifest.get("checksum") != _checksum_of(content):
        raise BadInput(f"{path} is damaged: it is not what was written.")
    return manifest


def _checksum_of(content: Mapping[str, Any]) -> str:
    return xxhash.xxh3_64_hexdigest(json.dumps(content, sort_keys=True).encode())
