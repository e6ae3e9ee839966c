"""A .txt that lists image paths and a 0 or 1 for each class, as HashNet and its successors publish their splits."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

import numpy as np

from hashlens.errors import BadInput
from hashlens.sources.image_files import ImageFiles
from hashlens.sources.labels import Labels
from hashlens.sources.opener import Opener, is_file_named
from hashlens.sources.source import identity_of


def open_list(path: str | os.PathLike[str], split: str | None = None) -> ImageFiles:
    """Open a list file: in each line a path, a space, and for each class 0 or 1, parted by spaces.

    Paths are relative to the list's folder and may hold spaces. The classes have their numbers as names, for the
    file has no others. Where every line has a single 1 the items have one class each, otherwise label sets.

    Args:
        split: there is none in such a file; each split is a file of its own.

    Raises:
        BadInput: a line is not of this form or has another number of classes than the first, the file lists nothing
            or is not UTF-8 text, or a split is asked for.
    """
    path = Path(path)
    if split is not None:
        raise BadInput(f"{path} lists one split and has none named '{split}'; each split is a file of its own.")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadInput(f"{path} is not a UTF-8 text file ({error}).") from None
    lines = [(number, line.split()) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    if not lines:
        raise BadInput(f"{path} lists no images.")
    classes = _marks_in(lines[0][1])
    for number, words in lines:
        if not classes or _marks_in(words) != classes:
            wanted = f"{classes} times 0 or 1, as in the first line" if classes else "a 0 or 1 for each class"
            raise BadInput(
                f"{path} needs in line {number} a path and {wanted}, parted by spaces; for other labels write a "
                ".csv file with the columns path and label."
            )
    paths = [path.parent / " ".join(words[:-classes]) for _, words in lines]
    marks = np.array([words[-classes:] for _, words in lines]) == "1"
    labels: Labels = marks.argmax(1) if (marks.sum(1) == 1).all() else marks
    names = [str(number) for number in range(classes)]
    return ImageFiles(str(path), paths, path.parent, labels, names, identity_of(path, None))


def _marks_in(words: list[str]) -> int:
    """How many words at the end are 0 or 1; the first is a path, whatever it is."""
    return sum(1 for _ in itertools.takewhile(lambda word: word in ("0", "1"), reversed(words[1:])))


OPENER = Opener("a .txt file of paths and a 0 or 1 for each class", is_file_named(".txt"), open_list)
