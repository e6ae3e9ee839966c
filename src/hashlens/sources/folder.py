"""A folder of image files; the folder that an image lies in, however deep, is its class."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from hashlens.errors import BadInput
from hashlens.sources.image_files import ImageFiles
from hashlens.sources.labels import number_classes

LEFT_BY_SYSTEMS = {"Thumbs.db", "desktop.ini"}


def open_folder(folder: Path, split: str | None = None) -> ImageFiles:
    """Open a folder of images.

    The class of an image is the path of its folder, such as ``dog`` or ``animals/dog``; images that lie in
    ``folder`` itself have none. Hidden files are passed over. Other files that are not images are noticed
    when they are read.

    Args:
        split: a folder in ``folder`` to open instead.

    Raises:
        BadInput: there is no such split, or no file.
    """
    root = folder if split is None else folder / split
    if not root.is_dir():
        raise BadInput(f"{folder} has no folder '{split}' for that split.")
    paths = sorted(_files(root))
    if not paths:
        raise BadInput(f"{root} holds no images.")
    parents = [path.parent.relative_to(root).as_posix() for path in paths]
    labels, class_names = number_classes([None if parent == "." else parent for parent in parents])
    return ImageFiles(str(root), paths, root, labels, class_names)


def _files(root: Path) -> Iterator[Path]:
    """Files in a folder and below. A link to a folder counts as that folder, unless it leads back above."""
    above: dict[str, frozenset[str]] = {str(root): frozenset()}
    for place, folders, files in os.walk(root, followlinks=True):
        real, passed = os.path.realpath(place), above.pop(place)
        if real in passed:
            folders.clear()
            continue
        folders[:] = [name for name in folders if not name.startswith(".")]
        above.update((os.path.join(place, name), passed | {real}) for name in folders)  # noqa: PTH118
        for name in files:
            if not name.startswith(".") and name not in LEFT_BY_SYSTEMS:
                yield Path(place, name)
