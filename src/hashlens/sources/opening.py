"""From what a user writes to a source."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hashlens.errors import BadInput
from hashlens.sources.csv_file import open_csv
from hashlens.sources.feature_array import FeatureArray
from hashlens.sources.folder import open_folder
from hashlens.sources.image_array import ImageArray
from hashlens.sources.image_files import ImageFiles
from hashlens.sources.image_list import ImageList, is_image
from hashlens.sources.named import NAMED, open_named
from hashlens.sources.npz import open_npz
from hashlens.sources.parquet import open_parquet, open_shards
from hashlens.sources.source import Source

TABLES: dict[str, Callable[[Path, str | None], Source]] = {
    ".parquet": open_parquet,
    ".csv": open_csv,
    ".npz": open_npz,
}


def open_source(source: str | os.PathLike[str], split: str | None = None) -> Source:
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


def as_source(items: Any) -> Source:
    """Accept items in any of the forms people hold them in.

    Args:
        items: a source; what :func:`open_source` takes; one image or a sequence of them, each the bytes of an image
            file, a PIL image or (H, W, 3) uint8 pixels, in a sequence also the path of an image file;
            (N, H, W, 3) uint8 pixels; (N, D) or (D,) features, as an array, a tensor or lists of numbers.

    Raises:
        BadInput: it is none of these.

    Example:
        >>> as_source([b"...", "cat.jpg"])
        ImageList('images', 2 items)
        >>> as_source([[0.5, 1.0, 0.0]]).feature_dimension
        3
    """
    if isinstance(items, Source):
        return items
    if isinstance(items, str | os.PathLike):
        return open_source(items)
    if is_image(items):
        return ImageList([items])
    if isinstance(items, Sequence) and len(items) and all(is_image(item) for item in items):
        return ImageList(items)
    if isinstance(items, np.ndarray) and items.dtype == np.uint8 and items.ndim == 4 and items.shape[3] == 3:
        return ImageArray("pixels", items)
    try:
        features: np.ndarray = np.asarray(items, np.float32)
    except (TypeError, ValueError, RuntimeError):  # the last of a tensor that keeps its gradient
        features = np.empty(0)
    if features.ndim == 1:
        features = features[None]
    if features.ndim != 2 or not features.shape[1] or not np.isfinite(features).all():
        raise BadInput(
            f"Cannot use {type(items).__name__} as images or features; give a source, paths, bytes of image files, "
            "PIL images, (H, W, 3) uint8 pixels, or finite (N, D) features."
        )
    return FeatureArray("features", features)
