"""What every kind of source says of itself, so that what a user writes can be opened."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hashlens.sources.source import Source


@dataclass(frozen=True)
class Opener:
    """One kind of source: what it is called, how it is told from others, and how it is opened.

    Attributes:
        about: what a user gives, as it stands in a list of what there is, such as "a .csv file of paths".
        recognises: from what the user wrote, without a split, to whether it is of this kind. It may look at the
            disk; what it raises for a name that no disk would take counts as no.
        open: from what the user wrote and the split that was asked for, or ``None``, to the source. It raises
            ``BadInput`` with a sentence for the user.

    Example:
        >>> import numpy as np
        >>> from hashlens.sources import ImageArray
        >>> noise = Opener(
        ...     about="noise:SIDE",
        ...     recognises=lambda text: text.startswith("noise:"),
        ...     open=lambda text, split: ImageArray(text, np.zeros((1, int(text[6:]), int(text[6:])), np.uint8)),
        ... )
        >>> noise.recognises("noise:8"), noise.open("noise:8", None)
        (True, ImageArray('noise:8', 1 items))
    """

    about: str
    recognises: Callable[[str], bool]
    open: Callable[[str, str | None], Source]


def is_file_named(suffix: str) -> Callable[[str], bool]:
    """What recognises files by the end of their name, in small or capital letters."""
    return lambda text: Path(text).suffix.lower() == suffix and Path(text).is_file()
