"""Saving end-to-end training after every epoch, and going on with what was saved."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hashlens.errors import BadInput
from hashlens.files import replacing

log = logging.getLogger("hashlens")

FORMAT, VERSION = "hashlens-checkpoint", 1
FILE = "last.ckpt"
HEX = "[0-9a-f]" * 16
OURS = (FILE, f".{FILE}.*", f"similarity-{HEX}.npy", f".similarity-{HEX}.npy.*")  # the dotted are of killed writes


class Checkpoint:
    """The state of one training after its last whole epoch, as one file in a folder.

    Args:
        folder: made when there is something to save.
        identity: all that the course of the training depends on, such as settings and a digest of the data.

    Example:
        >>> import tempfile
        >>> folder = tempfile.mkdtemp()
        >>> Checkpoint(folder, {"seed": 1}).write({"epoch": 2})
        >>> Checkpoint(folder, {"seed": 1}).read()
        {'epoch': 2}
        >>> discard_checkpoints(folder)
    """

    def __init__(self, folder: str | os.PathLike[str], identity: Mapping[str, Any]) -> None:
        self._path = Path(folder) / FILE
        self._identity = json.dumps(identity, sort_keys=True)

    def write(self, state: dict[str, Any]) -> None:
        """Save a state of tensors, numbers, text and containers of these; a crash leaves the one before.

        Raises:
            BadInput: the disk does not take it.
        """
        self._path.parent.mkdir(parents=True, exist_ok=True)
        content = {"format": FORMAT, "version": VERSION, "identity": self._identity, "state": state}
        try:
            with replacing(self._path) as temporary:
                torch.save(content, temporary)
        except RuntimeError:  # by which PyTorch tells of a write that failed
            raise BadInput(f"{self._path} cannot be written; the disk may be full.") from None

    def read(self) -> dict[str, Any] | None:
        """What was saved; ``None`` where nothing was.

        Raises:
            BadInput: the folder holds another training, or the file is damaged.
        """
        if not self._path.is_file():
            return None
        try:
            with zipfile.ZipFile(self._path) as archive:
                damaged = archive.testzip() is not None  # PyTorch does not compare checksums
            content = {} if damaged else torch.load(self._path, map_location="cpu", weights_only=True)
            known = content["format"] == FORMAT and content["version"] == VERSION
            identity, state = content["identity"], content["state"]
        except Exception:  # what is raised depends on where the damage is
            known = False
        if not known:
            raise BadInput(
                f"{self._path} is damaged or of another version of HashLens; delete it to train from the start."
            )
        if identity != self._identity:
            raise BadInput(
                f"{self._path.parent} holds a training with other settings; go on with those, or delete it."
            )
        log.info("going on with the unfinished training in %s", self._path.parent)
        return state


def discard_checkpoints(folder: str | os.PathLike[str]) -> None:
    """Remove what training has saved in a folder, and the folder if it holds nothing else.

    :func:`hashlens.fit` leaves it there, so that a crash before the model is saved costs nothing. Call this after.

    Args:
        folder: the ``checkpoints`` that training was given; there need not be such a folder.

    Example:
        >>> discard_checkpoints("no/such/folder")
    """
    with suppress(OSError):
        for pattern in OURS:
            for path in Path(folder).glob(pattern):
                path.unlink()
        Path(folder).rmdir()


def digest_of(*arrays: NDArray | None) -> str:
    """A hash of the content of arrays, some of which may be absent.

    Example:
        >>> digest_of(np.zeros(3), None) == digest_of(np.zeros(3), None) != digest_of(np.zeros(3))
        True
    """
    digest = hashlib.sha256()
    for array in arrays:
        if array is None:
            digest.update(b"none")
            continue
        digest.update(f"{array.dtype} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
