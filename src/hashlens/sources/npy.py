"""Features without labels in a NumPy .npy file."""

from __future__ import annotations

import os
from pathlib import Path

from hashlens.errors import BadInput
from hashlens.files import read_array
from hashlens.sources.feature_array import FeatureArray, check_features
from hashlens.sources.opener import Opener, is_file_named
from hashlens.sources.source import identity_of


def open_npy(path: str | os.PathLike[str], split: str | None = None) -> FeatureArray:
    """Open features.

    Args:
        path: holds (N, D) finite real numbers.
        split: refused, since there is nothing to tell splits by.

    Raises:
        BadInput: the file is damaged or holds something else.
    """
    if split is not None:
        raise BadInput(f"{path} is an array without splits; leave '{split}' out, or give a .npz file with them.")
    path = Path(path)
    features = check_features(read_array(path, "features"), str(path))
    if not len(features):
        raise BadInput(f"{path} holds no features.")
    return FeatureArray(str(path), features, identity=identity_of(path, split))


OPENER = Opener("a .npy file of features", is_file_named(".npy"), open_npy)
