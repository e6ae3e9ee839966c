"""Reading an item again, long after, from where a source said that it is."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path

from hashlens.errors import BadInput
from hashlens.sources.decoding import UnreadableImage
from hashlens.sources.image_files import fingerprint_of, open_image_file
from hashlens.sources.opening import open_source
from hashlens.sources.source import Source

KEPT_OPEN = 8  # tables and sets
SEPARATOR = "#"  # between a table, or a set's name, and what names the item in it


class Locations:
    """Finds items by what :meth:`hashlens.sources.Source.location` said of them.

    A location is the path of an image file, or what opens a source (a table, a set's name), ``#`` and the item. The
    sources opened last stay open, until their file changes. Safe from several threads.

    Example:
        >>> source, item = Locations().find("digits:test#7")
        >>> source.image(item).size, source.location(item)
        ((8, 8), 'digits:test#7')
        >>> Locations().find("/photos/gone.jpg")
        Traceback (most recent call last):
        ...
        hashlens.sources.decoding.UnreadableImage: it is gone
    """

    def __init__(self) -> None:
        self._opened: OrderedDict[str, tuple[tuple[int, int], Source, dict[str, int]]] = OrderedDict()
        self._lock = threading.Lock()

    def find(self, location: str) -> tuple[Source, int]:
        """The source of an item, and its number in it.

        Raises:
            UnreadableImage: there is nothing at that location any more.
        """
        if _is_file(location):
            return open_image_file(location), 0
        table, separator, name = location.rpartition(SEPARATOR)
        if not separator or _is_folder(table):  # that of a file that is gone, whose name has the separator in it
            raise UnreadableImage("it is gone")
        with self._lock:
            source, numbers = self._open(table)
            guess = int(name) if name.isascii() and name.isdecimal() else -1
            if 0 <= guess < len(source) and source.location(guess) == location:
                return source, guess
            if not numbers:
                numbers.update((source.location(item), item) for item in range(len(source)))
        if location not in numbers:
            raise UnreadableImage("it is gone")
        return source, numbers[location]

    def _open(self, table: str) -> tuple[Source, dict[str, int]]:
        """The source, and what will hold the numbers of its items by location."""
        state = fingerprint_of(Path(table))
        if table not in self._opened or self._opened[table][0] != state:
            try:
                self._opened[table] = state, open_source(table), {}
            except (BadInput, OSError):
                raise UnreadableImage("it is gone") from None
        self._opened.move_to_end(table)
        while len(self._opened) > KEPT_OPEN:
            self._opened.popitem(last=False)
        return self._opened[table][1:]


def file_of(location: str) -> Path | None:
    """The file that an item is in, an image or a table, if that is there.

    Example:
        >>> print(file_of("/nowhere/7.jpg"), file_of("digits:test#7"))
        None None
    """
    table = location.rpartition(SEPARATOR)[0]
    for path in (location, table, table.rpartition(":")[0]):  # of a split, the table
        if path and _is_file(path):
            return Path(path)
    return None


def is_gone(location: str) -> bool:
    """Whether what an item was in is no more; what was never in a file, such as a named set, is always there.

    Example:
        >>> is_gone("/nowhere/7.jpg"), is_gone("digits:test#7")
        (True, False)
    """
    return Path(location).is_absolute() and file_of(location) is None


def missing_folder(source: str, locations: Sequence[str]) -> Path | None:
    """The folder that holds all items of a source, where that is away, as a drive that is not mounted is.

    Args:
        source: its identity.
        locations: of its items, all of them gone.

    Returns:
        The folder, or ``None`` where it is there and holds something, so that the items alone are gone.

    Example:
        >>> missing_folder("/nowhere", ["/nowhere/cat/7.jpg"]).name
        'nowhere'
    """
    folders = [Path(location).parent for location in locations]
    folder = Path(source)
    if not folders[0].is_relative_to(folder):  # the source is an image or a table, or names files wherever they are
        folder = Path(os.path.commonpath(folders))
    try:
        return None if any(folder.iterdir()) else folder
    except FileNotFoundError:
        return folder


def _is_file(path: str) -> bool:
    try:
        return Path(path).is_file()
    except (OSError, ValueError):  # too long for a disk, or with a zero byte
        return False


def _is_folder(path: str) -> bool:
    try:
        return Path(path).is_dir()
    except (OSError, ValueError):
        return False
