"""Image files at given paths."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path

from numpy.typing import ArrayLike

from hashlens.errors import BadInput
from hashlens.sources.decoding import UnreadableImage
from hashlens.sources.file_types import NO_RAW, RAW, ending_of
from hashlens.sources.opener import Opener
from hashlens.sources.source import NO_FINGERPRINT, Source


class ImageFiles(Source):
    """Image files at given paths.

    Args:
        paths: N paths.
        root: keys are paths relative to it where possible.
        labels, class_names: see :class:`hashlens.sources.Source`.
        identity: of the source; the root's path by default.

    Example:
        >>> files = ImageFiles("pets", [Path("pets/cat/1.jpg"), Path("pets/dog/1.jpg")], Path("pets"))
        >>> files.key(0), files.labels
        ('cat/1.jpg', None)
        >>> files.read(0)
        Traceback (most recent call last):
        ...
        hashlens.sources.decoding.UnreadableImage: No such file or directory
    """

    def __init__(
        self,
        name: str,
        paths: Sequence[Path],
        root: Path,
        labels: ArrayLike | None = None,
        class_names: Sequence[str] = (),
        identity: str | None = None,
    ) -> None:
        super().__init__(name, labels, class_names, identity or str(root.resolve()))
        self._paths = paths
        self._root = root

    def __len__(self) -> int:
        return len(self._paths)

    def read(self, item: int) -> bytes:
        return read_file(self._paths[item])

    def key(self, item: int) -> str:
        path = self._paths[item]
        return str(path.relative_to(self._root)) if path.is_relative_to(self._root) else str(path)

    def location(self, item: int) -> str:
        return str(self._paths[item].absolute())

    def fingerprint(self, item: int) -> tuple[int, int]:
        return fingerprint_of(self._paths[item])


def open_image_file(path: str | os.PathLike[str], split: str | None = None) -> ImageFiles:
    """Open one image file.

    Raises:
        BadInput: a split is asked for, or it is a raw photograph.
    """
    path = Path(path)
    if split is not None:
        raise BadInput(f"{path} is one file and has no split '{split}'.")
    if ending_of(path.name) in RAW:
        raise BadInput(f"{path} cannot be read: {NO_RAW}.")
    return ImageFiles(str(path), [path], path.parent, identity=str(path.resolve()))


OPENER = Opener("an image file", lambda text: Path(text).is_file(), open_image_file)


def read_file(path: Path) -> bytes:
    """The content of a regular file.

    Raises:
        UnreadableImage: there is none that can be read.
    """
    try:
        with open(path, "rb", opener=_open_at_once) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise UnreadableImage("not a regular file")
            return file.read()
    except OSError as error:
        raise UnreadableImage(error.strerror or "cannot be read") from None
    except ValueError:  # a name with a zero byte, as tables may hold it
        raise UnreadableImage("not the name of a file") from None


def fingerprint_of(path: Path) -> tuple[int, int]:
    """Size and time of change of a file."""
    try:
        status = path.stat()
    except (OSError, ValueError):
        return NO_FINGERPRINT
    return status.st_size, status.st_mtime_ns


def _open_at_once(path: str, flags: int) -> int:
    """Opening a pipe would wait for someone who writes to it."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
