"""Features and labels in a NumPy .npz file."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import numpy as np
from numpy.lib.npyio import NpzFile
from numpy.typing import NDArray

from hashlens.errors import BadInput
from hashlens.files import check_growth
from hashlens.sources.feature_array import FeatureArray, check_features
from hashlens.sources.labels import Labels, number_labels
from hashlens.sources.opener import Opener, is_file_named
from hashlens.sources.source import Source, identity_of


def open_npz(path: str | os.PathLike[str], split: str | None = None) -> Source:
    """Open features.

    Args:
        path: holds ``x`` (N, D) real numbers; optionally ``y``, (N,) integers (−1 for none) or strings, or
            (N, C) multi-hot; optionally ``class_names`` (C,) strings, of which integer labels then are the places,
            and ``split`` (N,) strings.
        split: keep the rows that have this value in ``split``.

    Raises:
        BadInput: an array is missing, of a wrong shape or type, or not finite.
    """
    path = Path(path)
    try:
        with zipfile.ZipFile(path) as archive:
            check_growth(path, sum(entry.file_size for entry in archive.infolist()))
        file = np.load(path, allow_pickle=False)
        if not isinstance(file, NpzFile):
            raise ValueError("it holds one array without a name")
        with file:
            arrays = {name: file[name] for name in file.files}
    except MemoryError:
        raise BadInput(f"{path} claims to hold more than fits into memory.") from None
    except BadInput:
        raise
    except Exception as error:  # damaged archives raise BadZipFile, zlib.error, NotImplementedError, …
        raise BadInput(f"{path} is not a .npz file of plain arrays ({error}).") from None
    if "x" not in arrays:
        raise BadInput(f"{path} needs an array 'x' of features; it has {', '.join(arrays) or 'none'}.")
    features = check_features(arrays["x"], f"{path}: 'x'")
    labels, class_names = _labels(arrays, path)
    source: Source = FeatureArray(str(path), features, labels, class_names, identity_of(path, split))
    if split is not None:
        if "split" not in arrays:
            raise BadInput(f"{path} has no array 'split' to look for '{split}' in.")
        splits = arrays["split"].astype(str)
        if splits.shape != (len(features),):
            raise BadInput(f"{path} has {len(features)} rows in 'x', but 'split' is of shape {splits.shape}.")
        source = source.select(splits == split)
    if not len(source):
        raise BadInput(f"{path} holds no features" + (f" with split '{split}'." if split else "."))
    return source


OPENER = Opener("a .npz file of features", is_file_named(".npz"), open_npz)


def _labels(arrays: dict[str, NDArray[np.generic]], path: Path) -> tuple[Labels | None, tuple[str, ...]]:
    if "y" not in arrays:
        return None, ()
    y, names = arrays["y"], arrays.get("class_names")
    if y.ndim and len(y) != len(arrays["x"]):
        raise BadInput(f"{path} has {len(arrays['x'])} rows in 'x', but {len(y)} in 'y'.")
    return number_labels(y, None if names is None else [str(name) for name in names], f"{path}: 'y'")
