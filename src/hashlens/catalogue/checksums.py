"""Checksums of the rows of a catalogue, by which what is damaged, or written by others, is told from what we wrote.

Every row has one of its own. Rows that are gone, or stand twice, are found by tallies: how many images there are,
how many have each label, and so on, and the sum of their ids, which triggers keep up to date.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import xxhash

from hashlens.errors import BadInput

IMAGES, PENDING, LABELS = 0, -1, -2  # numbers of tallies; those above are of the label with that id

# What stands in the checksum of a row, as SQL. That of an image also binds its labels, and that it has details.
OF_ROW = {
    "images": """checksum_of(images.id, images.path, images.source, images.size, images.mtime, images.code,
        (SELECT group_concat(label) FROM (SELECT label FROM image_labels WHERE image = images.id ORDER BY place)),
        EXISTS (SELECT 1 FROM details WHERE image = images.id))""",
    "labels": "checksum_of(labels.id, labels.name)",
    "details": "checksum_of(details.image, details.detail)",
    "contents": "checksum_of(contents.image, contents.digest)",
    "skipped": "checksum_of(skipped.path, skipped.source, skipped.reason)",
}
RENEW = f"UPDATE images SET checksum = {OF_ROW['images']} WHERE id"  # to be followed by which
NEW_LABELS = f"UPDATE labels SET checksum = {OF_ROW['labels']} WHERE checksum IS NULL"
_NOTED = "(SELECT count FROM tallies WHERE number = labels.id)"
_FOUND = "(SELECT count(*) FROM image_labels WHERE label = labels.id)"
_OF_LABEL = """((SELECT count(*), coalesce(sum(image), 0) FROM image_labels WHERE label = labels.id)
    IS (SELECT count, ids FROM tallies WHERE number = labels.id))"""
# What stands in queries for tests of rows, where these have checksums, and in the indexes of earlier versions.
_TESTS = {table: f"{table}.checksum IS {written}" for table, written in OF_ROW.items()}
_TESTS |= {"tally": _OF_LABEL, "count": _NOTED}
_NO_TESTS = dict.fromkeys(OF_ROW, "1") | {"tally": "1", "count": _FOUND}
_COUNTED = {IMAGES: ("images", "id"), PENDING: ("pending", "image"), LABELS: ("labels", "id")}
_SUMS = {
    number: f"SELECT count(*), coalesce(sum({id}), 0) FROM {table} NOT INDEXED"
    for number, (table, id) in _COUNTED.items()
}
_COUNT = """CREATE TRIGGER {table}_counted AFTER INSERT ON {table} BEGIN
    UPDATE tallies SET count = count + 1, ids = ids + NEW.{id} WHERE number = {number};
END;
"""
_DISCOUNT = """CREATE TRIGGER {table}_discounted AFTER DELETE ON {table} BEGIN
    UPDATE tallies SET count = count - 1, ids = ids - OLD.{id} WHERE number = {number};
END;
"""
ADD_CHECKSUMS = "".join(
    [
        *(f"ALTER TABLE {table} ADD COLUMN checksum INTEGER;\n" for table in OF_ROW),
        "CREATE TABLE tallies (number INTEGER PRIMARY KEY, count INTEGER NOT NULL, ids INTEGER NOT NULL);\n",
        *(f"INSERT INTO tallies SELECT {number}, * FROM ({summed});\n" for number, summed in _SUMS.items()),
        "INSERT INTO tallies SELECT id, count(image), coalesce(sum(image), 0) FROM labels\n"
        "    LEFT JOIN image_labels ON label = id GROUP BY id;\n",
        *(_COUNT.format(table=table, id=id, number=number) for number, (table, id) in _COUNTED.items()),
        _COUNT.format(table="image_labels", id="image", number="NEW.label"),
        _DISCOUNT.format(table="images", id="id", number=IMAGES),  # labels are never removed
        _DISCOUNT.format(table="pending", id="image", number=PENDING),
        _DISCOUNT.format(table="image_labels", id="image", number="OLD.label"),
        "CREATE TRIGGER label_added AFTER INSERT ON labels BEGIN INSERT INTO tallies VALUES (NEW.id, 0, 0); END;\n",
        *(f"UPDATE {table} SET checksum = {written};\n" for table, written in OF_ROW.items()),
    ]
)


def checksum_of(*fields: object) -> int:
    """31 bits that tell whether values are still what they were; also a function of the database.

    Args:
        fields: numbers, text, bytes or nothing, as SQLite holds them.

    Example:
        >>> checksum_of(7, "photos/cat.jpg", bytes([170])), checksum_of(7, "photos/cau.jpg", bytes([170]))
        (799517462, 1781520699)
    """
    # Not repr(), which spells out other characters in each version of Python.
    return xxhash.xxh3_64_intdigest(ascii(fields).encode()) & 0x7FFFFFFF


class Rows(sqlite3.Connection):
    """A connection to the database of a catalogue.

    Attributes:
        path: of the file.
        has_checksums: whether its rows carry checksums; those of earlier versions do not.
    """

    path: Path
    has_checksums: bool

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.create_function("checksum_of", -1, checksum_of, deterministic=True)

    def checked(self, query: str, parameters: Sequence[Any] = ()) -> Iterator[tuple[Any, ...]]:
        """The rows of a query, without their last column, which says whether they are as they were written.

        Args:
            query: in which ``{images}`` and the like stand for whether the row of that table has its checksum,
                ``{count}`` for the number of images of a label, and ``{tally}`` for whether these are those that
                were given it.

        Raises:
            BadInput: one is not.
        """
        tests = _TESTS if self.has_checksums else _NO_TESTS
        for row in self.execute(query.format_map(tests), parameters):
            if not row[-1]:
                raise self.damaged()
            yield row[:-1]

    def check_tally(self, number: int, count: int, ids: int | None = None) -> None:
        """Refuse a count, and a sum of ids, that is not what was counted when the rows were written.

        Raises:
            BadInput: it is not.
        """
        if self.has_checksums:
            noted = self.execute("SELECT count, ids FROM tallies WHERE number = ?", (number,)).fetchone()
            if noted is None or count != noted[0] or ids not in (None, noted[1]):
                raise self.damaged()

    def check_sum(self, number: int) -> int:
        """The number of all images, labels or changes, if none is gone or stands twice.

        Raises:
            BadInput: one is or does.
        """
        count, ids = self.execute(_SUMS[number]).fetchone()
        self.check_tally(number, count, ids)
        return int(count)

    def check_everything(self) -> None:
        """Look at all images and labels, and at how SQLite holds them.

        Raises:
            BadInput: something is damaged.
        """
        if self.execute("PRAGMA integrity_check(1)").fetchone() != ("ok",):
            raise self.damaged()
        for number in _SUMS:
            self.check_sum(number)
        list(self.checked("SELECT NOT EXISTS (SELECT 1 FROM images WHERE NOT ({images}))"))
        list(self.checked("SELECT NOT EXISTS (SELECT 1 FROM labels WHERE NOT ({labels} AND {tally}))"))

    def damaged(self) -> BadInput:
        """The refusal of a database that is not as we wrote it."""
        return BadInput(
            f"{self.path} is damaged, or was changed by another program; index the images again in a new folder."
        )
