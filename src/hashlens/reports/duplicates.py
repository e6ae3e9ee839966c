"""Groups of images that show the same, as one page that needs no other file."""

from __future__ import annotations

import os
from pathlib import Path

from hashlens.catalogue import Catalogue, Duplicates
from hashlens.reports.pictures import made_by, picture_at, write_html
from hashlens.sources.locations import Locations

MOST_GROUPS = 200  # on the page


def write_duplicates(
    path: str | os.PathLike[str], catalogue: Catalogue, found: Duplicates, command: str = ""
) -> None:
    """Write a page with the pictures of each group, of the 200 largest at most.

    Args:
        path: of the HTML file; its folder is made if need be.
        command: that the page tells to have made it.

    Example:
        >>> import tempfile, hashlens as hl
        >>> digits = hl.open_source("digits:test").select(range(40))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     model = hl.fit(digits, "itq", bits=16, image_size=32, device="cpu")
        ...     catalogue = hl.Catalogue.create(Path(folder, "index"), model)
        ...     write_duplicates(Path(folder, "page.html"), catalogue, Duplicates([], 1, 0))
        ...     "0 groups" in Path(folder, "page.html").read_text(encoding="utf-8")
        True
    """
    locations = Locations()
    groups = [
        [
            picture_at(locations, entry.path, ", ".join(entry.labels) or "no label", entry.fingerprint)
            for entry in group
        ]
        for group in found.groups[:MOST_GROUPS]
    ]
    content = {
        "index": str(catalogue.folder), "groups": groups, "radius": found.radius, "unreadable": found.unreadable,
        "made": made_by(command),
    }  # fmt: skip
    write_html(Path(path), "duplicates.html", content)
