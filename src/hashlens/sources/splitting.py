"""Some images of a folder set aside to judge by, as a list; nothing is moved."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import numpy as np

from hashlens.errors import BadInput
from hashlens.files import replacing
from hashlens.outputs import check_file
from hashlens.sources.csv_file import SEPARATOR
from hashlens.sources.folder import open_folder
from hashlens.sources.labels import NO_LABEL


def write_split(
    folder: str | os.PathLike[str], output: str | os.PathLike[str], test: float = 0.2, seed: int = 0
) -> dict[str, int]:
    """Write a table of the images of a folder with the columns path, label and split, which is train or test.

    Of every class the same share is drawn, at least one image where it has two or more, and never all.

    Args:
        folder: of images, with class folders or without.
        output: the ``.csv`` file, which :func:`hashlens.open_source` reads; paths in it are relative to its folder.
        test: share of the images, above 0 and below 1.
        seed: of what is drawn, 0 or more.

    Returns:
        How many images are in each split.

    Raises:
        BadInput: there is no such folder, an argument is out of range, or the file is there already.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as work:
        ...     for name in ("cat/1.png", "cat/2.png", "dog/3.png", "dog/4.png"):
        ...         Path(work, name).parent.mkdir(exist_ok=True)
        ...         Path(work, name).touch()
        ...     write_split(work, Path(work, "list.csv"), test=0.5)
        {'train': 2, 'test': 2}
    """
    output = Path(output)
    if not 0 < test < 1:
        raise BadInput(f"The share of test images is {test}; give a number above 0 and below 1, such as 0.2.")
    if seed < 0:
        raise BadInput(f"The seed is {seed}; give a whole number from 0 up.")
    check_file(output, (".csv",), "A list")
    if not Path(folder).is_dir():
        raise BadInput(f"{folder} is not a folder of images.")
    source = open_folder(folder)
    random = np.random.default_rng(seed)
    labels = np.full(len(source), NO_LABEL) if source.labels is None else source.labels
    set_aside = np.zeros(len(source), bool)
    for label in np.unique(labels):
        members = random.permutation(np.flatnonzero(labels == label))
        count = min(max(1, round(test * len(members))), len(members) - 1)
        set_aside[members[:count]] = True
    output.parent.mkdir(parents=True, exist_ok=True)
    base = output.parent.absolute()
    with (
        replacing(output) as temporary,
        temporary.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file,
    ):
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["path", "label", "split"])
        for item in range(len(source)):
            path = Path(source.location(item))
            if path.is_relative_to(base):
                path = path.relative_to(base)
            (label,) = source.label_names(item) or [""]
            if SEPARATOR in label:
                raise BadInput(f"The class {label!r} has a {SEPARATOR} in its name, which parts labels in a .csv.")
            writer.writerow([path, label, "test" if set_aside[item] else "train"])
    return {"train": int((~set_aside).sum()), "test": int(set_aside.sum())}
