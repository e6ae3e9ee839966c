"""Which of the nearest images are shown, and in what order."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hashlens.catalogue.checksums import Rows
from hashlens.catalogue.database import as_bytes
from hashlens.codes import detail_order

OVERSAMPLING, FEWEST_CANDIDATES = 10, 100  # results for each one asked for that are ordered by their details

Ranking = tuple[NDArray[np.int32], NDArray[np.int64]]  # distances and ids of the images that one query found


@dataclass(frozen=True)
class Page:
    """A part of the results of each query.

    Attributes:
        k: how many.
        offset: how many come before them.
        radius: largest distance; any if ``None``.
        rescored: whether blocks of the nearest are ordered by details rather than by distance. The blocks are the
            same for all pages of one size, so that nothing is shown twice or never.
    """

    k: int
    offset: int = 0
    radius: int | None = None
    rescored: bool = False

    @property
    def block(self) -> int:
        """Results that are ordered together."""
        return max(FEWEST_CANDIDATES, OVERSAMPLING * self.k)

    @property
    def depth(self) -> int:
        """How many of the nearest decide what is shown."""
        end = self.offset + self.k
        return -(-end // self.block) * self.block if self.rescored else end

    def of(self, rows: Rows, ranking: Ranking, detail: NDArray[np.int8] | None) -> Ranking:
        """This part of the ``depth`` nearest results of a query, which are sorted by distance, then id.

        Args:
            detail: (K,) of the query; ``None`` if it has none, so that distances decide.
        """
        distances, ids = ranking
        if self.radius is not None:
            near = int(np.searchsorted(distances, self.radius, side="right"))
            distances, ids = distances[:near], ids[:near]
        here = slice(self.offset, self.offset + self.k)
        if self.rescored and detail is not None:
            first = self.offset // self.block * self.block
            order = np.arange(len(ids))
            for start in range(first, len(ids), self.block):
                order[start : start + self.block] = start + _by_details(
                    rows, ids[start : start + self.block], detail
                )
            distances, ids = distances[order], ids[order]
        return distances[here], ids[here]


def _by_details(rows: Rows, ids: NDArray[np.int64], detail: NDArray[np.int8]) -> NDArray[np.intp]:
    """The order of images by the cosines of their details with a query's; as they are if one has none."""
    known = details_of(rows, ids.tolist(), len(detail))
    if len(known) < len(ids):
        without = next(image for image in ids.tolist() if image not in known)
        list(rows.checked("SELECT {images} FROM images WHERE id = ?", (without,)))  # which refuses a lost detail
        return np.arange(len(ids))
    stored = np.stack([known[image] for image in ids.tolist()]) if len(ids) else np.empty((0, len(detail)), np.int8)
    return detail_order(detail, stored)


def details_of(rows: Rows, ids: Sequence[int], bits: int) -> dict[int, NDArray[np.int8]]:
    """The (K,) details of those of the images that have them."""
    found = rows.checked(
        "SELECT image, detail, {details} FROM json_each(?) AS wanted JOIN details ON image = wanted.value",
        (json.dumps(ids),),
    )
    return {image: as_bytes([detail], bits)[0].view(np.int8) for image, detail in found}
