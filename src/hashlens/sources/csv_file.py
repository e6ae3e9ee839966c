"""A .csv that lists image paths and labels."""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hashlens.errors import BadInput
from hashlens.sources.image_files import ImageFiles
from hashlens.sources.labels import Labels, number_classes, number_label_sets
from hashlens.sources.opener import Opener, is_file_named
from hashlens.sources.source import identity_of

SEPARATOR = "|"


def open_csv(path: str | os.PathLike[str], split: str | None = None) -> ImageFiles:
    """Open a table with the columns ``path`` and, if there are labels, ``label``.

    Paths are relative to the table's folder. If any label holds a ``|``, all are label sets.

    Args:
        split: keep the rows that have this value in the column ``split``.

    Raises:
        BadInput: the column ``path`` (or ``split``, if asked for) is missing, or no row is left.
    """
    path = Path(path)
    try:
        columns, rows = _read(path, "strict")
    except csv.Error as error:
        raise BadInput(f"{path} is not a UTF-8 csv file ({error}).") from None
    except UnicodeDecodeError as error:
        columns, rows = _read(path, "surrogateescape")  # names of files may have any bytes, if they are the files'
        odd = [row for _, row in rows if any("\udc80" <= letter <= "\udcff" for letter in "".join(_texts(row)))]
        if not odd or not all((path.parent / (row.get("path") or "")).is_file() for row in odd):
            raise BadInput(f"{path} is not a UTF-8 csv file ({error}).") from None
    if "path" not in columns:
        there = " ".join(", ".join(columns).split())[:200]
        raise BadInput(f"{path} needs a column 'path'; it has {there or 'no header line'}.")
    if split is not None:
        if "split" not in columns:
            raise BadInput(f"{path} has no column 'split' to look for '{split}' in.")
        rows = [(line, row) for line, row in rows if row["split"] == split]
    if not rows:
        raise BadInput(f"{path} lists no images" + (f" with split '{split}'." if split else "."))
    for line, row in rows:
        if not row["path"]:
            raise BadInput(f"{path} has an empty path in line {line}.")
    paths = [path.parent / row["path"] for _, row in rows]
    texts = [(row.get("label") or "").strip() for _, row in rows]
    if any(SEPARATOR in text for text in texts):
        numbered: tuple[Labels | None, tuple[str, ...]] = number_label_sets(
            [[name.strip() for name in text.split(SEPARATOR) if name.strip()] for text in texts]
        )
    else:
        numbered = number_classes(texts)
    return ImageFiles(str(path), paths, path.parent, *numbered, identity_of(path, split))


def _read(path: Path, errors: str) -> tuple[Sequence[str], list[tuple[int, dict[str, Any]]]]:
    """The columns, and every row with its number."""
    with path.open(newline="", encoding="utf-8-sig", errors=errors) as file:
        reader = csv.DictReader(file)
        return reader.fieldnames or [], [(reader.line_num, row) for row in reader]


def _texts(row: dict[str, Any]) -> list[str]:
    return [value for value in row.values() if isinstance(value, str)]


OPENER = Opener("a .csv file of paths and labels", is_file_named(".csv"), open_csv)
