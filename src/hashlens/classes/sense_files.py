"""Files that say what classes mean in WordNet, to correct by hand."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable
from pathlib import Path

from hashlens.classes.wordnet import Sense
from hashlens.errors import BadInput
from hashlens.files import replacing

CLASS, MEANING = "class", "meaning"
COLUMNS = (CLASS, MEANING, "what it is", "other meanings")


def read_senses(path: str | os.PathLike[str]) -> dict[str, str]:
    """What classes mean, for :func:`hashlens.classes.wordnet_senses`, from a table.

    Args:
        path: a .csv with a column ``class`` and a column ``meaning`` (a WordNet id, a name such as ``crane.n.05``,
            or another noun, also after ``a kind of``). Other columns, and rows without a meaning, do not matter.

    Returns:
        The meaning of each class that has one.

    Raises:
        BadInput: the file cannot be read, lacks a column, or gives a class two meanings.

    Example:
        >>> import tempfile
        >>> with tempfile.NamedTemporaryFile("w", suffix=".csv") as file:
        ...     print("class,meaning", "crane,crane.n.05", "heron,", sep="\\n", file=file, flush=True)
        ...     read_senses(file.name)
        {'crane': 'crane.n.05'}
    """
    path = Path(path)
    found: dict[str, str] = {}
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(file)
            if not {CLASS, MEANING} <= set(rows.fieldnames or ()):
                raise BadInput(
                    f"{path} needs the columns {CLASS} and {MEANING}, as hashlens taxonomy -o writes them."
                )
            for row in rows:
                name, meaning = row[CLASS] or "", (row[MEANING] or "").strip()
                known = found.setdefault(name, meaning) if meaning else meaning
                if known != meaning:
                    raise BadInput(f"{path}:{rows.line_num}: '{name}' has two meanings, {known} and {meaning}.")
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BadInput(f"{path} cannot be read as meanings of classes ({error}).") from None
    return found


def write_senses(senses: Iterable[Sense], path: str | os.PathLike[str]) -> None:
    """Write a .csv of what classes mean, that :func:`read_senses` reads back.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_senses([Sense("crane", "crane.n.05", "large bird")], f"{folder}/senses.csv")
        ...     read_senses(f"{folder}/senses.csv")
        {'crane': 'crane.n.05'}
    """
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for sense in senses:
            writer.writerow([sense.class_name, sense.meaning, sense.gloss, " ".join(sense.others)])
