"""Saving end-to-end training, and finding out whether what was saved is the same training."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashlens.errors import BadInput
from hashlens.files import write_json

log = logging.getLogger("hashlens")


class Checkpoints:
    """Where end-to-end training is saved, and whether what lies there is the same training."""

    def __init__(self, folder: str | os.PathLike[str], identity: dict[str, Any]) -> None:
        self.folder = Path(folder)
        self.resume_from: Path | None = None
        self._marker = self.folder / "training.json"
        self._last = self.folder / "last.ckpt"
        identity = json.loads(json.dumps(identity))  # as it will be read back
        if self._last.is_file() and self._marker.is_file():
            if json.loads(self._marker.read_text(encoding="utf-8")) != identity:
                raise BadInput(
                    f"{folder} holds an unfinished training with other settings; go on with those, or delete it."
                )
            self.resume_from = self._last
            log.info("going on with the unfinished training in %s", folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        write_json(self._marker, identity)

    def remove(self) -> None:
        """Remove what was saved, and the folder if it holds nothing else."""
        with suppress(OSError):
            self._last.unlink(missing_ok=True)
            self._marker.unlink(missing_ok=True)
            for kept in self.folder.glob("similarity-*.npy"):
                kept.unlink()
            self.folder.rmdir()


def digest_of(*arrays: NDArray | None) -> str:
    """A hash of the content of arrays, some of which may be absent."""
    digest = hashlib.sha256()
    for array in arrays:
        if array is None:
            digest.update(b"none")
            continue
        digest.update(f"{array.dtype} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
