"""Parts of a source, each of which is indexed by a process of its own."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import xxhash

from hashlens.errors import BadInput

if TYPE_CHECKING:
    from hashlens.sources import Source

_FORM = re.compile(r"([1-9]\d{0,8})/([1-9]\d{0,8})", re.ASCII)


@dataclass(frozen=True)
class Part:
    """One of several runs of consecutive items that make up a source.

    Attributes:
        number: from 1.
        count: how many there are.

    Raises:
        BadInput: there is no such part.

    Example:
        >>> import numpy as np, hashlens as hl
        >>> source = hl.sources.FeatureArray("mine", np.eye(8))
        >>> [len(Part(number, 3).of(source)) for number in (1, 2, 3)], str(Part.read("2/3"))
        ([2, 3, 3], '2/3')
    """

    number: int
    count: int

    def __post_init__(self) -> None:
        if not 1 <= self.number <= self.count:
            raise BadInput(f"There is no part {self.number} of {self.count}; they are numbered from 1.")

    @classmethod
    def read(cls, text: str) -> Part:
        """A part written as ``3/16``.

        Raises:
            BadInput: it is written otherwise, or there is no such part.
        """
        form = _FORM.fullmatch(text)
        if form is None:
            raise BadInput(f"'{text}' is not a part; write 3/16 for the third of 16.")
        return cls(int(form[1]), int(form[2]))

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    def of(self, source: Source) -> Source:
        """The items of this part."""
        first, end = (len(source) * number // self.count for number in (self.number - 1, self.number))
        return source.select(np.arange(first, end))


def listing_digest(source: Source) -> str:
    """What tells whether two listings of a source name the same items in the same order."""
    digest = xxhash.xxh3_128()
    for item in range(len(source)):
        raw = source.location(item).encode("utf-8", "surrogatepass")
        digest.update(len(raw).to_bytes(8, "little") + raw)
    return digest.hexdigest()
