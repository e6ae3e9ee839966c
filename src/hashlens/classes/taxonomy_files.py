"""Files that hold a taxonomy: edges, or a table with a column of parents."""

from __future__ import annotations

import csv
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from hashlens.classes.graph import Cycle
from hashlens.classes.taxonomy import Taxonomy
from hashlens.errors import BadInput
from hashlens.files import check_growth, parquet_bytes, replacing

log = logging.getLogger("hashlens")

Order = Literal["parent-child", "child-parent"]

PARENT = "parent"
CHILD_COLUMNS = ("child", "class", "label", "name")
LABEL_SET_SEPARATOR = "|"
SEPARATORS = "\t,;"


def read_taxonomy(path: str | os.PathLike[str], order: Order | None = None) -> Taxonomy:
    """A taxonomy from a file.

    Args:
        path: one of

            - text with two names or ids in every line, separated by a tab, else a comma, else a semicolon, else
              spaces, whichever the first line has; blank lines and lines that begin with ``#`` do not count;
            - a table (such text with a header, or ``.parquet``) with a column ``parent`` and a column ``child``,
              ``class``, ``label`` or ``name``. Further columns do not matter and rows may repeat each other, so
              a table of images with ``path``, ``label`` and ``parent`` will do. An empty parent means none.

        order: which of two names without a header comes first. By default the order that gives a single root;
            the parent, where both orders do or neither does.

    Raises:
        BadInput: the file cannot be read, a line does not hold a parent and a child, or the edges lead in a
            circle; it names the file and the line.

    Example:
        >>> import tempfile
        >>> with tempfile.NamedTemporaryFile("w", suffix=".csv") as file:
        ...     print("path,label,parent", "1.jpg,cat,pet", "2.jpg,dog,pet", sep="\\n", file=file, flush=True)
        ...     read_taxonomy(file.name).edges
        (('pet', 'cat'), ('pet', 'dog'))
    """
    path = Path(path)
    if order not in (None, "parent-child", "child-parent"):
        raise BadInput(f"The order of an edge file is parent-child or child-parent, not '{order}'.")
    rows = _read_parquet(path) if path.suffix == ".parquet" else _read_text(path, order)
    if not rows:
        raise BadInput(f"{path} holds no edges; write a parent and a child in every line.")
    try:
        return Taxonomy.from_parents([row.child for row in rows], [row.parent for row in rows])
    except Cycle as cycle:
        edges = set(zip(cycle.nodes, [*cycle.nodes[1:], cycle.nodes[0]], strict=True))
        line = max(row.line for row in rows if (row.parent, row.child) in edges)
        sentence = str(cycle)
        raise BadInput(f"{_where(path, line)}: {sentence[:1].lower()}{sentence[1:]}") from None


def write_taxonomy(taxonomy: Taxonomy, path: str | os.PathLike[str]) -> None:
    """Write a .csv of the edges, with the header ``parent,child``, that :func:`read_taxonomy` reads back.

    A taxonomy of a single node is a line without a parent.

    Example:
        >>> import tempfile
        >>> pets = Taxonomy([("pet", "cat"), ("pet", "dog")])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_taxonomy(pets, f"{folder}/pets.csv")
        ...     read_taxonomy(f"{folder}/pets.csv") == pets
        True
    """
    # Unquoted, a line that begins with # would be read as a comment.
    comment_like = any(name.startswith("#") for name in taxonomy.nodes)
    quoting: Literal[0, 1] = csv.QUOTE_ALL if comment_like else csv.QUOTE_MINIMAL
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n", quoting=quoting)
        writer.writerows([("parent", "child"), *(taxonomy.edges or [("", taxonomy.root)])])


def is_taxonomy_file(path: str | os.PathLike[str]) -> bool:
    """Whether a file is meant as a taxonomy and not as a table of images or features.

    A table is, if it has a column ``parent``; text is, unless it has a column ``path``.

    Example:
        >>> is_taxonomy_file("features.npz")
        False
    """
    path = Path(path)
    if not path.is_file() or path.suffix == ".npz":
        return False
    if path.suffix == ".parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            return PARENT in pq.read_schema(path).names
        except (pa.ArrowException, OSError, UnicodeDecodeError):
            return False
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        columns = [name.strip(' "\n').lower() for name in file.readline().split(",")]
    return PARENT in columns or "path" not in columns


@dataclass(frozen=True)
class _Row:
    line: int
    parent: str  # "" for none
    child: str


def _read_text(path: Path, order: Order | None) -> list[_Row]:
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except UnicodeDecodeError:
        raise BadInput(f"{path} is not UTF-8 text; save it as such.") from None
    except FileNotFoundError:
        raise BadInput(f"There is no taxonomy {path}; give a file, or wordnet or folders.") from None
    except OSError as error:
        raise BadInput(f"{path} cannot be read as a taxonomy ({_reason(error)}).") from None
    numbers = [number for number, line in enumerate(lines, 1) if line.strip() and not line.lstrip().startswith("#")]
    if not numbers:
        return []
    content = [lines[number - 1] + "\n" for number in numbers]
    separator = next((mark for mark in SEPARATORS if mark in content[0]), None)
    if separator is None:
        table = [(number, line.split()) for number, line in zip(numbers, content, strict=True)]
    else:
        reader = csv.reader(content, delimiter=separator)
        try:
            table = [(numbers[reader.line_num - 1], [cell.strip() for cell in cells]) for cells in reader]
        except csv.Error as error:
            raise BadInput(f"{path}, line {numbers[reader.line_num - 1]} cannot be read ({error}).") from None
    header = [cell.lower() for cell in table[0][1]]
    if PARENT in header:
        return _by_header(path, header, table[1:])
    return _by_position(path, [(line, [cell for cell in cells if cell]) for line, cells in table], order)


def _by_header(path: Path, header: list[str], table: Sequence[tuple[int, list[str]]]) -> list[_Row]:
    column = _child_column(path, header)
    parents, children = header.index(PARENT), header.index(column)
    rows = []
    for line, cells in table:
        if len(cells) <= max(parents, children):
            raise BadInput(f"{path}, line {line} has {len(cells)} columns, but the header has {len(header)}.")
        rows.append(_Row(line, cells[parents], cells[children]))
    return _checked(path, column, rows)


def _child_column(path: Path, columns: Sequence[str]) -> str:
    found = next((name for name in CHILD_COLUMNS if name in columns), None)
    if PARENT not in columns or found is None:
        raise BadInput(
            f"{path} needs a column 'parent' and a column 'child', 'class', 'label' or 'name'; "
            f"it has {', '.join(columns) or 'none'}."
        )
    return found


def _checked(path: Path, column: str, rows: Sequence[_Row]) -> list[_Row]:
    for row in rows:
        if not row.child and column != "label":
            raise BadInput(f"{_where(path, row.line)} has an empty {column}; give it a name.")
        if column == "label" and LABEL_SET_SEPARATOR in row.child:
            raise BadInput(
                f"{_where(path, row.line)} has one parent for the label set '{row.child}'; "
                "give the taxonomy in a file of its own, with a parent for each label."
            )
    return [row for row in rows if row.child]  # an image may have no label


def _by_position(path: Path, table: Sequence[tuple[int, list[str]]], order: Order | None) -> list[_Row]:
    for line, cells in table:
        if len(cells) != 2:
            raise BadInput(
                f"{path}, line {line} has {len(cells)} names, not a parent and a child; separate the "
                "two by a tab or a comma if names contain spaces."
            )
    first, second = ([cells[column] for _, cells in table] for column in (0, 1))
    if order is None:
        roots, reverse_roots = len(set(first) - set(second)), len(set(second) - set(first))
        order = "child-parent" if reverse_roots == 1 and roots != 1 else "parent-child"
        if order == "child-parent":
            log.info(f"{path} is read as child, parent, since only so it has a single root.")
    if order == "child-parent":
        first, second = second, first
    return [_Row(line, *edge) for (line, _), *edge in zip(table, first, second, strict=True)]


def _read_parquet(path: Path) -> list[_Row]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        metadata = pq.read_metadata(path)
        check_growth(path, parquet_bytes(metadata))
        columns = metadata.schema.to_arrow_schema().names
        column = _child_column(path, columns)
        table = pq.read_table(path, columns=[PARENT, column])
        parents, children = table.column(PARENT).to_pylist(), table.column(column).to_pylist()
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{path} is not a parquet file ({_reason(error)}).") from None
    if column == "label" and "image" in columns:
        children = _label_names(path)
    named = zip(
        range(1, len(parents) + 1), *([_text(v) for v in values] for values in (parents, children)), strict=True
    )
    return _checked(path, column, [_Row(*row) for row in named])


def _label_names(path: Path) -> list[str]:
    """The class of every image, since labels may be numbers whose names stand in the file's metadata."""
    from hashlens.sources.parquet import open_parquet

    images = open_parquet(path)
    return [LABEL_SET_SEPARATOR.join(images.label_names(item)) for item in range(len(images))]


def _text(value: object) -> str:
    return "" if value is None else str(value).strip()


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error).splitlines()[0]


def _where(path: Path, line: int) -> str:
    return f"{path}, {'row' if path.suffix == '.parquet' else 'line'} {line}"
