"""Images of an index that show the same: found by their codes, confirmed by their pixels."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hashlens.catalogue.catalogue import Catalogue, Entry
from hashlens.compute.threads import available_threads
from hashlens.errors import BadInput
from hashlens.progress import Progress, silence
from hashlens.sources import UnreadableImage
from hashlens.sources.locations import Locations

SIDE = 32  # pixels of the small grey pictures that are compared
LARGEST_DIFFERENCE = 0.03  # mean over these pixels, of the range from black to white
LARGEST_SHARE = 0.25  # of the picture's own contrast, which is small in the dark; and beyond it
ROUNDING = 1.0  # of 255
LARGEST_ANGLE = 0.001  # 1 − cosine, of features
LARGEST_STRETCH = 0.05  # of the ratio of width to height
AT_ONCE = 64  # queries
BITS_PER_RADIUS = 16


@dataclass(frozen=True)
class Duplicates:
    """Groups of images that show the same.

    Attributes:
        groups: of two images or more each, the largest first.
        radius: in bits, in which they were looked for.
        unreadable: how many images that had a neighbour could not be compared, as they are gone or damaged.

    Example:
        >>> Duplicates(groups=[], radius=4, unreadable=0).groups
        []
    """

    groups: list[list[Entry]]
    radius: int
    unreadable: int


@dataclass(frozen=True)
class _Look:
    """What an image looks like, small: grey pixels and its ratio of width to height; or a feature of length 1."""

    pixels: NDArray[Any]
    ratio: float = 0.0


def find_duplicates(
    catalogue: Catalogue, radius: int | None = None, progress: Progress | None = None
) -> Duplicates:
    """Find groups of near-identical images, such as copies, other sizes and other compressions.

    Codes within the radius make candidates. But codes that were trained by class put images together that are only
    alike, so each pair is looked at: both are made 32 × 32 grey pixels, which may differ by 3 % of the range on
    average and by a quarter of what they differ from their mean, and their ratios of width to height by 5 %.
    Features may have a cosine of .999 or more. A group holds whatever such pairs connect. Nothing is changed.

    Args:
        radius: largest Hamming distance of a pair; a sixteenth of the bits by default.
        progress: tells how far it is, such as :func:`hashlens.progress_bar`; silent by default.

    Raises:
        BadInput: the radius is negative.

    Example:
        >>> import tempfile, hashlens as hl
        >>> x = np.random.default_rng(0).normal(size=(60, 8)).astype(np.float32)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     np.save(f"{folder}/x.npy", np.concatenate([x, x[:2]]))
        ...     source = hl.open_source(f"{folder}/x.npy")
        ...     catalogue = hl.Catalogue.create(f"{folder}/index", hl.fit(source, "lsh", bits=16, device="cpu"))
        ...     _ = catalogue.update(source)
        ...     found = find_duplicates(catalogue)
        >>> [[entry.path.rpartition("#")[2] for entry in group] for group in found.groups]
        [['0', '60'], ['1', '61']]
    """
    radius = max(1, catalogue.bits // BITS_PER_RADIUS) if radius is None else radius
    if radius < 0:
        raise BadInput(f"The radius is {radius}; it must be 0 or more.")
    engine = catalogue.engine()
    watch = progress or silence
    with watch("Comparing codes", len(catalogue)) as advance:
        wanted: list[int] = []
        for ids, codes in catalogue.codes(AT_ONCE):
            near = engine.within(codes, radius)[1]
            wanted += [image for image, found in zip(ids.tolist(), near, strict=True) if len(found) > 1]
            advance(len(ids))
    entries = catalogue.entries(wanted)
    looks = _looks(entries, watch)
    seen = np.array([place for place, look in enumerate(looks) if look is not None], np.int64)
    numbers = np.array([entries[place].id for place in seen], np.int64)  # ascending, as ids of entries are
    same: list[tuple[int, int]] = []
    if len(seen):
        kept = _Looks([look for look in looks if look is not None])
        for first in range(0, len(seen), AT_ONCE):
            rows = range(first, min(first + AT_ONCE, len(seen)))
            codes = np.stack([entries[seen[row]].code for row in rows])
            for row, found in zip(rows, engine.within(codes, radius)[1], strict=True):
                others = np.searchsorted(numbers, found[np.isin(found, numbers)])
                same += [(row, other) for other in kept.same(row, others[others > row]).tolist()]
    groups = [[entries[seen[row]] for row in group] for group in _connected(same, len(seen))]
    groups.sort(key=lambda group: (-len(group), group[0].path))
    return Duplicates(groups, radius, len(entries) - len(seen))


class _Looks:
    """What many images look like, to be compared one with some."""

    def __init__(self, looks: Sequence[_Look]) -> None:
        self._pixels = np.stack([look.pixels for look in looks])
        self._ratios = np.array([look.ratio for look in looks])
        images = self._pixels.shape[1:] == (SIDE, SIDE)
        # No four means of quarters differ by more, on average, than the pixels do: a filter that misses nothing.
        half = (2, SIDE // 2, 2, SIDE // 2)
        self._quarters = self._pixels.reshape(-1, *half).mean((2, 4)).reshape(-1, 4) if images else None

    def same(self, one: int, others: NDArray[np.int64]) -> NDArray[np.int64]:
        """Those of the others that show the same as one."""
        if self._quarters is None:
            return others[1 - self._pixels[others] @ self._pixels[one] <= LARGEST_ANGLE]
        largest = 255 * LARGEST_DIFFERENCE
        others = others[np.abs(self._ratios[others] / self._ratios[one] - 1) <= LARGEST_STRETCH]
        others = others[np.abs(self._quarters[others] - self._quarters[one]).mean(1) <= largest]
        mine = self._pixels[one].astype(np.int16)
        contrast = np.abs(mine - mine.mean()).mean()
        apart = np.abs(self._pixels[others].astype(np.int16) - mine).mean((1, 2))
        return others[apart <= min(largest, LARGEST_SHARE * contrast + ROUNDING)]


def _looks(entries: Sequence[Entry], progress: Progress) -> list[_Look | None]:
    """What each image looks like; ``None`` where it is gone, or not what was indexed."""
    locations = Locations()

    def look(entry: Entry) -> _Look | None:
        try:
            source, item = locations.find(entry.path)
            if source.feature_dimension is not None:
                feature = source.features([item])[0]
                return _Look(feature / max(float(np.linalg.norm(feature)), 1e-12))
            image = source.image(item, SIDE)
            small = image.convert("L").resize((SIDE, SIDE), Image.Resampling.BOX)
            return _Look(np.asarray(small), image.width / image.height)
        except UnreadableImage:
            return None

    found = []
    with (
        ThreadPoolExecutor(available_threads()) as pool,
        progress("Looking at pictures", len(entries)) as advance,
    ):
        for one in pool.map(look, entries):
            found.append(one)
            advance()
    return found


def _connected(pairs: Sequence[tuple[int, int]], count: int) -> list[list[int]]:
    """Groups of two numbers or more that pairs connect, each ascending."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    if not pairs:
        return []
    one, other = np.array(pairs).T
    _, labels = connected_components(coo_array((np.ones(len(one), bool), (one, other)), (count, count)), False)
    groups: dict[int, list[int]] = {}
    for number in np.unique([one, other]).tolist():
        groups.setdefault(int(labels[number]), []).append(number)
    return list(groups.values())
