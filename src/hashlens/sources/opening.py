"""From what a user writes to a source."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hashlens.errors import BadInput
from hashlens.sources.csv_file import open_csv
from hashlens.sources.decoding import upright_rgb
from hashlens.sources.folder import open_folder
from hashlens.sources.named import NAMED, open_named
from hashlens.sources.npz import open_npz
from hashlens.sources.parquet import open_parquet, open_shards
from hashlens.sources.source import FeatureArray, ImageArray, ImageFiles, ImageSource

TABLES: dict[str, Callable[[Path, str | None], ImageSource | FeatureArray]] = {
    ".parquet": open_parquet,
    ".csv": open_csv,
    ".npz": open_npz,
}


def open_source(source: str | os.PathLike[str], split: str | None = None) -> ImageSource | FeatureArray:
    """Open images with their labels, or ready-made features.

    Args:
        source: a folder of class folders or of parquet files; a ``.parquet``, ``.csv`` or ``.npz`` file; one
            image file; or a named set (``digits``, ``fashion-mnist``, ``cifar10``). ``:train`` at its end, or
            any other word, chooses a split: of a named set, a sub-folder, the parquet files of that name, or
            the rows with that value in the column ``split``.
        split: the same, as an argument.

    Raises:
        BadInput: there is nothing of that name, or it is not what it should be.
    """
    text = os.fspath(source)
    if not text:
        raise BadInput("The source is empty; name a folder, a file or a set (. is the current folder).")
    base, separator, suffix = text.rpartition(":")
    if separator and not Path(text).exists() and (base in NAMED or Path(base).exists()):
        if split not in (None, suffix):
            raise BadInput(f"{text} names the split '{suffix}', but '{split}' was asked for.")
        text, split = base, suffix
    path = Path(text)
    if path.is_dir():
        return open_shards(path, split) if any(path.glob("*.parquet")) else open_folder(path, split)
    if path.is_file():
        if path.suffix.lower() in TABLES:
            return TABLES[path.suffix.lower()](path, split)
        if split is not None:
            raise BadInput(f"{path} is one file and has no split '{split}'.")
        return ImageFiles(text, [path], path.parent, identity=str(path.resolve()))
    if text in NAMED:
        return open_named(text, split)
    raise BadInput(
        f"There is no {text}; give a folder of images, a .parquet, .csv or .npz file, "
        f"or one of {', '.join(NAMED)} (with :train or :test)."
    )


def as_source(items: Any) -> ImageSource | FeatureArray:
    """Accept items in any of the forms people hold them in.

    Args:
        items: a source; what :func:`open_source` takes; a sequence of paths of image files; a PIL image or a
            sequence of them; (N, H, W, 3) uint8 pixels; (N, D) or (D,) features.

    Raises:
        BadInput: it is none of these.
    """
    from PIL import Image

    if isinstance(items, ImageSource | FeatureArray):
        return items
    if isinstance(items, str | os.PathLike):
        return open_source(items)
    if isinstance(items, Image.Image):
        items = [items]
    if isinstance(items, Sequence) and len(items):
        if all(isinstance(item, Image.Image) for item in items):
            return PillowImages(items)
        if all(isinstance(item, str | os.PathLike) for item in items):
            paths = [Path(item) for item in items]
            listed = "\0".join(str(path.absolute()) for path in paths)
            identity = f"paths-{hashlib.blake2b(os.fsencode(listed), digest_size=16).hexdigest()}"
            return ImageFiles("paths", paths, Path(), identity=identity)
    if isinstance(items, np.ndarray) and items.dtype == np.uint8 and items.ndim == 4 and items.shape[3] == 3:
        return ImageArray("pixels", items)
    try:
        features: np.ndarray = np.asarray(items, np.float32)
    except (TypeError, ValueError):
        features = np.empty(0)
    if features.ndim == 1:
        features = features[None]
    if features.ndim != 2 or not features.shape[1] or not np.isfinite(features).all():
        raise BadInput(
            f"Cannot use {type(items).__name__} as images or features; give a source, paths, PIL images, "
            "or finite (N, D) features."
        )
    return FeatureArray("features", features)


class PillowImages(ImageSource):
    """PIL images that a program already holds."""

    def __init__(self, images: Sequence[Any]) -> None:
        super().__init__("images", None, ())
        self._images = images

    def __len__(self) -> int:
        return len(self._images)

    def key(self, item: int) -> str:
        return f"image #{item}"

    def stamp(self, item: int) -> tuple[int, int]:
        return self._images[item].width * self._images[item].height, 0

    def read(self, item: int) -> np.ndarray:
        return np.asarray(upright_rgb(self._images[item]))
