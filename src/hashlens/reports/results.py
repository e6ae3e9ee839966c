"""The results of searches as one page that needs no other file."""

from __future__ import annotations

import os
from pathlib import Path

from hashlens.catalogue import Answers, Catalogue
from hashlens.reports.pictures import made_by, picture_at, write_html
from hashlens.sources.locations import Locations, is_gone


def write_results(path: str | os.PathLike[str], catalogue: Catalogue, found: Answers, command: str = "") -> None:
    """Write a page with the pictures that searches found.

    Args:
        path: of the HTML file; its folder is made if need be.
        catalogue: that was searched.
        found: what :meth:`hashlens.Catalogue.search_images` returned.
        command: that the page tells to have made it.

    Example:
        >>> import tempfile, hashlens as hl
        >>> digits = hl.open_source("digits:test").select(range(40))
        >>> model = hl.fit(digits, "itq", bits=16, image_size=32, device="cpu")
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     catalogue = hl.Catalogue.create(Path(folder, "index"), model)
        ...     _ = catalogue.update(digits)
        ...     page = Path(folder, "page.html")
        ...     write_results(page, catalogue, catalogue.search_images([digits.select([3])], k=5))
        ...     page.read_text(encoding="utf-8").count("<img")
        6
    """
    locations = Locations()
    entries = catalogue.entries([hit.id for _, hits in found.answers for hit in hits])
    fingerprints = {entry.id: entry.fingerprint for entry in entries}
    shown = [
        {
            "query": picture_at(locations, query, "the query"),
            "results": [
                picture_at(
                    locations, hit.path, " · ".join([str(hit.distance), *hit.labels]), fingerprints.get(hit.id)
                )
                for hit in hits
            ],
            "ties": ties.sentence,
        }
        for (query, hits), ties in zip(found.answers, found.ties, strict=True)
    ]
    gone = {hit.path for _, hits in found.answers for hit in hits if is_gone(hit.path)}
    content = {
        "index": str(catalogue.folder), "bits": catalogue.bits, "answers": shown, "gone": len(gone),
        "made": made_by(command),
    }  # fmt: skip
    write_html(Path(path), "results.html", content)
