"""From what a user writes, or a program holds, to a source."""

from __future__ import annotations

import difflib
import logging
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashlens.errors import BadInput
from hashlens.registry import Registry
from hashlens.sources import (
    csv_file,
    folder,
    hub_data,
    image_files,
    list_file,
    named,
    npy,
    npz,
    parquet,
    parquet_folder,
    protocols,
    tar_shards,
)
from hashlens.sources.arrow_dataset import is_arrow_dataset, of_arrow_dataset
from hashlens.sources.data_frame import is_data_frame, of_data_frame
from hashlens.sources.feature_array import FeatureArray, as_array, check_features
from hashlens.sources.image_array import ImageArray
from hashlens.sources.image_list import ImageList, is_image
from hashlens.sources.opener import Opener
from hashlens.sources.source import Source

SEPARATORS = "/" + os.sep  # of folders

log = logging.getLogger("hashlens")

OPENERS: Registry[Opener] = Registry("kind of source")
"""Every kind of source by name. The last is asked first whether it recognises what the user wrote, so that whoever
adds one is asked before ours, and what is special before what is general."""

register = OPENERS.register

register("named set")(named.OPENER)
register("protocol")(protocols.OPENER)
register("image file")(image_files.OPENER)
register("folder")(folder.OPENER)
register("parquet folder")(parquet_folder.OPENER)
register("npz")(npz.OPENER)
register("npy")(npy.OPENER)
register("csv")(csv_file.OPENER)
register("list")(list_file.OPENER)
register("parquet")(parquet.OPENER)
register("tar")(tar_shards.OPENER)
register("hub")(hub_data.OPENER)


def open_source(source: str | os.PathLike[str], split: str | None = None) -> Source:
    """Open images with their labels, or ready-made features.

    Args:
        source: a folder of class folders or of parquet files; a ``.parquet``, ``.csv`` or ``.npz`` file; ``.tar``
            files; one image file; a data set on the Hugging Face Hub (``hf://datasets/user/name``); a named set
            (``digits``, ``fashion-mnist``, ``cifar10``, ``cifar100``) or protocol (``cifar10-i``, ``cifar10-ii``);
            or what else one of :data:`OPENERS` recognises; the one that was registered last is asked first. If
            none does, what follows the last colon is the split: of a named set, a sub-folder, the parquet files of
            that name, or the rows with that value in the column ``split``.
        split: the same, as an argument.

    Raises:
        BadInput: there is nothing of that name, or it is not what it should be.

    Example:
        >>> digits = open_source("digits:test")
        >>> digits, digits.label_names(0)
        (ImageArray('digits:test', 360 items, 10 classes), ['2'])
    """
    text = os.fspath(source)
    if not text:
        raise BadInput("The source is empty; name a folder, a file or a set (. is the current folder).")
    opener = _recognising(text)
    base, _, suffix = text.rpartition(":")
    if opener is None and base and (opener := _recognising(base)) is not None:
        if split not in (None, suffix):
            raise BadInput(f"{text} names the split '{suffix}', but '{split}' was asked for.")
        text, split = base, suffix
    if opener is None:
        raise BadInput(_why_not(text))
    opened = opener.open(text, split)
    log.debug("opened %r, %s", opened, opener.about)
    return opened


def as_source(items: Any) -> Source:
    """Accept items in any of the forms people hold them in.

    Args:
        items: a source; what :func:`open_source` takes; one image or a sequence of them, each the bytes of an image
            file, a PIL image or (H, W, 3) uint8 pixels, in a sequence also the path of an image file;
            (N, H, W, 3) uint8 pixels; (N, D) or (D,) features, as an array, a tensor, lists of numbers, an iterator
            of (n, D) arrays, a data frame, see :func:`hashlens.sources.data_frame.of_data_frame`, or a
            ``datasets.Dataset``, see :func:`hashlens.sources.arrow_dataset.of_arrow_dataset`.

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
    if is_arrow_dataset(items):
        return of_arrow_dataset(items)
    if is_data_frame(items):
        return of_data_frame(items)
    if isinstance(items, Sequence) and len(items) and all(is_image(item) for item in items):
        return ImageList(items)
    if isinstance(items, np.ndarray) and items.dtype == np.uint8 and items.ndim == 4 and items.shape[3] == 3:
        return ImageArray("pixels", items)
    try:
        array = _features(items)
    except BadInput:
        raise
    except (TypeError, ValueError):  # no array can be made of them
        array = np.empty(0)
    if (
        isinstance(items, np.ndarray)
        or array.ndim == 2
        or (array.ndim and array.size and array.dtype.kind in "biufc")
    ):
        return FeatureArray("features", array[None] if array.ndim == 1 else array)
    raise BadInput(
        f"Cannot use {type(items).__name__} as images or features; give a source, paths, bytes of image files, PIL "
        "images, (H, W, 3) uint8 pixels, or finite (N, D) features."
    )


def _features(items: Any) -> NDArray[Any]:
    """What holds numbers, or an iterator of such, as one array."""
    if isinstance(items, Iterator):
        batches = (check_features(batch, f"batch {number}") for number, batch in enumerate(items))
        return np.concatenate(list(batches))
    array = as_array(items)
    if array.dtype == object:  # arrays in an array, as data frames have them
        return np.asarray(array.tolist())
    return array


def _why_not(text: str) -> str:
    """What to say of a source that nothing recognises."""
    base, _, suffix = text.rpartition(":")
    *first, last = (OPENERS[name].about for name in _asked())
    kinds = f"give {', '.join(first)}, or {last}."
    if "://" in text or _exists(text) or _exists(base):
        return f"{text} is nothing that can be opened; {kinds}"
    if base and not set(suffix) & set(SEPARATORS):
        text = base
    path = Path(text)
    if not path.suffix and path.name == text:
        alike = difflib.get_close_matches(text, [*named.NAMED, *protocols.TRAINING_PER_CLASS], 1)
        return f"There is no file, folder or set {text}; " + (f"is it {alike[0]}?" if alike else kinds)
    what = "file" if path.suffix else "file or folder"
    if _exists(path.parent):
        where = "" if path.name == text else f" in {path.parent}"
        return f"There is no {what} {path.name}{where}."
    above = path.parent
    while above != above.parent and not _exists(above.parent):
        above = above.parent
    return f"There is no {what} {text}, for there is no folder {above}."


def _exists(path: str | Path) -> bool:
    try:
        return bool(path) and Path(path).exists()
    except (OSError, ValueError):  # too long for a disk, or with a zero byte
        return False


def _asked() -> list[str]:
    """Names of the openers in the order in which they are asked."""
    return list(OPENERS)[::-1]


def _recognising(text: str) -> Opener | None:
    for name in _asked():
        try:
            if OPENERS[name].recognises(text):
                return OPENERS[name]
        except (OSError, ValueError):  # too long for a disk, or with a zero byte
            continue
    return None
