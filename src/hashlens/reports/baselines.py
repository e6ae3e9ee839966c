"""What codes are to be compared with: chance, signs of principal components, and the features themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashlens.methods import PROJECTIONS
from hashlens.metrics import evaluate
from hashlens.metrics.tables import FigureTable
from hashlens.models import Encoded
from hashlens.sources.feature_array import unit_length

FEATURE_BYTES = 1 << 30  # of the database that are held
MOST_QUERIES, FEWEST_QUERIES = 1000, 100
MOST_PAIRS = 200_000_000  # of a query and an item whose cosines are sorted
PCA_ITEMS = 20_000
EQUAL = 0.01  # differences up to this are told as none
CODES, FLOATS, PCA, CHANCE = "these codes", "float features", "PCA signs", "chance"


@dataclass(frozen=True)
class Baselines:
    """Figures of the same queries in the same database, by other means.

    Attributes:
        queries: how many were asked.
        figures: by what was compared and then by name, such as ``mAP@all``.
        sizes: bytes that each takes for one image.
        note: why something is not compared; empty if all is.

    Example:
        >>> found = Baselines(50, {CODES: {"mAP@all": 0.6}, CHANCE: {"mAP@all": 0.1}}, {CODES: 8, CHANCE: 0})
        >>> found.sentence
        'By mAP@all these codes reach 0.600, 6.0 times what chance gives (0.100).'
    """

    queries: int
    figures: dict[str, dict[str, float]]
    sizes: dict[str, int]
    note: str = field(default="")

    @property
    def sentence(self) -> str:
        """What the comparison means."""
        name = next(reversed(self.figures[CODES]))
        ours, chance = self.figures[CODES][name], self.figures[CHANCE][name]
        told = f"By {name} these codes reach {ours:.3f}, {ours / max(chance, 1e-9):.1f} times what chance gives"
        told += f" ({chance:.3f})"
        if FLOATS not in self.figures:
            return told + "."
        floats, signs = self.figures[FLOATS][name], self.figures[PCA][name]
        smaller = self.sizes[FLOATS] / self.sizes[CODES]
        beside = (
            f"the features that they come from, which take {smaller:,.0f} times the room, reach {floats:.3f}, and "
            f"{signs:.3f} if only the signs of their principal components are kept"
        )
        if ours > max(floats, signs) + EQUAL:
            means = "so what was learned finds more than the features alone"
        elif ours < signs - EQUAL:
            means = "so learning has not helped here: codes that learn nothing find more"
        elif ours < floats - EQUAL:
            means = "so rounding to bits costs something"
        else:
            means = "so the codes keep what the features find"
        return f"{told}; {beside}: {means}."

    def to_dict(self) -> dict[str, Any]:
        """What a report holds of it."""
        return {"queries": self.queries, "figures": self.figures, "bytes": self.sizes, "meaning": self.sentence,
                "note": self.note}  # fmt: skip


def baseline_table(baselines: Mapping[str, Any]) -> FigureTable:
    """The figures for people, one line for each thing compared.

    Args:
        baselines: of a report.
    """
    names = list(baselines["figures"][CODES])
    rows = [
        (what, f"{baselines['bytes'][what]:,}", *(f"{found[name]:.4f}" for name in names))
        for what, found in baselines["figures"].items()
    ]
    return FigureTable(("ranked by", "bytes", *names), tuple(rows), {"bytes": "that one image takes"})


def compare_with_baselines(
    queries: Encoded,
    query_labels: NDArray[Any],
    database: Encoded,
    database_labels: NDArray[Any],
    bits: int,
    at: Sequence[int | None],
    seed: int = 0,
    leave_one_out: bool = False,
) -> Baselines:
    """Figures by ``mAP`` of codes, features, signs of as many of their principal components, and chance.

    All rank the whole database, exactly. Of many queries up to a thousand are drawn, fewer where the database is
    large. Chance is what codes give that are all equal: every order of the database is as good as any other.

    Args:
        queries, database: with or without features; without, features and PCA are left out.
        query_labels, database_labels: numbered alike.
        bits: K.
        at: ranking depths.
        seed: of the queries drawn, and of the items that principal components come from if there are over 20,000.
        leave_one_out: the queries are the database, and each is left out of what it searches.

    Example:
        >>> import hashlens as hl
        >>> x = np.random.default_rng(0).normal(size=(60, 8)).astype(np.float32)
        >>> source = hl.sources.FeatureArray("mine", x, np.arange(60) % 2)
        >>> with hl.fit(source, bits=16, epochs=1, device="cpu").encoder() as encode:
        ...     encoded = encode.all(source, features=True)
        >>> found = compare_with_baselines(encoded, source.labels, encoded, source.labels, 16, (10, None))
        >>> list(found.figures), found.sizes["float features"], list(found.figures["chance"])
        (['these codes', 'float features', 'PCA signs', 'chance'], 32, ['mAP@10', 'mAP@all'])
    """
    random = np.random.default_rng(seed)
    size = len(database.codes)
    drawn = _drawn(random, len(queries.codes), max(FEWEST_QUERIES, min(MOST_QUERIES, MOST_PAIRS // size)))
    asked = query_labels[drawn]

    def of(one: NDArray[Any], other: NDArray[Any], **how: Any) -> dict[str, float]:
        report = evaluate(one, asked, other, database_labels, at, leave_one_out=leave_one_out, **how)
        return {name: report[name] for name in report.figures if name.startswith("mAP@") and "/" not in name}

    figures = {CODES: of(queries.codes[drawn], database.codes, bits=bits)}
    sizes = {CODES: database.codes.shape[1]}
    if queries.features is not None and database.features is not None:
        figures[FLOATS] = of(queries.features[drawn], database.features, distance="cosine")
        sizes[FLOATS] = 4 * database.features.shape[1]
        sides = _signs(queries.features[drawn], database.features, bits, random)
        if leave_one_out:  # sums of a part round otherwise, and a query must have the code of itself
            sides = sides[1][drawn], sides[1]
        figures[PCA] = of(*sides)
        sizes[PCA] = -(-sides[0].shape[1] // 8)
    nothing = np.zeros((max(len(drawn), size), 1), np.uint8)
    figures[CHANCE] = of(nothing[: len(drawn)], nothing[:size])
    sizes[CHANCE] = 0
    note = ""
    if FLOATS not in figures:
        note = "The features of so many images take more than a gigabyte, so they are not compared."
    return Baselines(len(drawn), figures, sizes, note)


def _signs(
    queries: NDArray[np.float32], database: NDArray[np.float32], bits: int, random: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Both projected on the principal components of some of the database, as the method ``pca-signs`` does."""
    some = unit_length(database[_drawn(random, len(database), PCA_ITEMS)].astype(np.float64))
    mean = some.mean(0)
    length = min(bits, some.shape[1], len(some) - 1)
    directions = np.zeros((some.shape[1], 1), np.float32)  # nothing varies of one item
    if length:
        directions = PROJECTIONS["pca-signs"].directions(some - mean, length, 0).astype(np.float32)
    shift = (mean @ directions).astype(np.float32)
    return unit_length(queries) @ directions - shift, unit_length(database) @ directions - shift


def _drawn(random: np.random.Generator, count: int, most: int) -> NDArray[np.int64]:
    return np.sort(random.permutation(count)[:most])
