"""A folder of image files; the folder that an image lies in, however deep, is its class."""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Iterator
from pathlib import Path, PurePath

from hashlens.errors import BadInput
from hashlens.sources.file_types import tell_left_out, without_others
from hashlens.sources.image_files import ImageFiles
from hashlens.sources.labels import number_classes
from hashlens.sources.opener import Opener

SPLITS = frozenset(
    ("train", "training", "val", "valid", "validation", "dev", "test", "testing", "query", "queries", "database")
)
LEFT_BY_SYSTEMS = {"Thumbs.db", "desktop.ini", "lost+found"}

log = logging.getLogger("hashlens")


def open_folder(folder: str | os.PathLike[str], split: str | None = None) -> ImageFiles:
    """Open a folder of images.

    The class of an image is the path of its folder, such as ``dog`` or ``animals/dog``; images that lie in
    ``folder`` itself have none. Hidden files are passed over. Files whose ending says that they are something else
    (notes, films, raw photographs, see :mod:`hashlens.sources.file_types`) are left out and counted; others that
    are no images are noticed when they are read; pipes, sockets and devices, which might never end, are left out
    with a warning.

    A link to a folder counts as that folder, unless it leads back to a folder that it lies in. Each link is
    followed once, the links in ``folder`` itself before those that other links lead to. So every image that can be
    reached is there, and no link brings in more than what lies in the folder that it leads to.

    Args:
        split: a folder in ``folder`` to open instead.

    Raises:
        BadInput: there is no such split, a folder cannot be read, or there is no file.
    """
    folder = Path(folder)
    root = folder if split is None else folder / _inside(split)
    if not root.is_dir():
        raise BadInput(f"{folder} has no folder '{split}' for that split.")
    paths: list[Path] = []
    special: list[Path] = []
    for path, is_file in _walk(root):
        (paths if is_file else special).append(path)
    if special:
        log.warning(
            "%d in %s that are pipes, sockets or devices are left out, the first of them %s",
            len(special), root, min(special),
        )  # fmt: skip
    paths, others = without_others(paths)
    tell_left_out(root, others)
    if not paths:
        besides = f", but {others.total():,} files of other kinds" if others else ""
        raise BadInput(f"{root} holds no images{besides}.")
    paths.sort()
    parents = [path.parent.relative_to(root).as_posix() for path in paths]
    labels, class_names = number_classes([None if parent == "." else parent for parent in parents])
    if split is None:
        _tell_splits(folder, class_names)
    return ImageFiles(str(root), paths, root, labels, class_names)


OPENER = Opener("a folder of images", lambda text: Path(text).is_dir(), open_folder)


def _tell_splits(folder: Path, class_names: tuple[str, ...]) -> None:
    """Warn where the folders look like splits, which are taken for classes, or for parts of their names."""
    first = {name.split("/")[0] for name in class_names}
    if len(first) > 1 and all(name.lower() in SPLITS for name in first):
        named = sorted(first)
        log.warning(
            "the folders %s of %s are taken for classes; if they are splits, write %s",
            " and ".join(named), folder, " or ".join(f"{folder}:{name}" for name in named),
        )  # fmt: skip


def _inside(split: str) -> PurePath:
    path = PurePath(split)
    if path.is_absolute() or ".." in path.parts:
        raise BadInput(f"The split '{split}' leads out of its source; give the name of a folder in it.")
    return path


def _walk(root: Path) -> Iterator[tuple[Path, bool]]:
    """What lies in a folder and below, but for folders, and whether it is read like a file."""
    # Each folder with its real path and those of the folders it lies in. Folders come to the front and links to the
    # back, so that what lies in the root is named by its own folder before links bring it in again.
    waiting = deque([(str(root), os.path.realpath(root), frozenset[str]())])
    followed: set[str] = set()
    while waiting:
        folder, real, above = waiting.popleft()
        if real in above:
            continue
        try:
            with os.scandir(folder) as listing:
                entries = sorted(listing, key=lambda entry: entry.name)
        except OSError as error:
            raise BadInput(
                f"The folder {folder} cannot be read ({error.strerror}), so its images would be missing; "
                "make it readable, or move it elsewhere."
            ) from None
        for entry in entries:
            if entry.name.startswith(".") or entry.name in LEFT_BY_SYSTEMS:
                continue
            if not _is_folder(entry):
                yield Path(entry.path), _is_read_like_a_file(entry)
            elif not entry.is_symlink():
                waiting.appendleft((entry.path, str(Path(real, entry.name)), above | {real}))
            elif (link := str(Path(real, entry.name))) not in followed:
                followed.add(link)
                waiting.append((entry.path, os.path.realpath(entry.path), above | {real}))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself
        return False


def _is_read_like_a_file(entry: os.DirEntry[str]) -> bool:
    """Whether it is a regular file or leads nowhere, which is told when it is read."""
    try:
        return entry.is_file() or not Path(entry.path).exists()
    except OSError:
        return True
