"""Instance retrieval: every query has its own list of what shows the same thing, and of what does not count.

Protocol and figures are those of Radenović et al., Revisiting Oxford and Paris (CVPR 2018), and of their program:
what is junk to a query is taken out of its ranking, average precision is the area under precision over recall by
trapezoids, over all relevant items, and mP@k is the precision among the first k, or up to the last relevant item
where that comes sooner. Queries with nothing to find are left out of the means.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hashlens.codes.distances import distances_in_block
from hashlens.codes.packing import as_packed, to_words
from hashlens.errors import BadInput
from hashlens.metrics.report import Report
from hashlens.metrics.tables import FigureTable
from hashlens.metrics.ties import precision_to_last, trapezoid_average_precision
from hashlens.sources.feature_array import unit_length

DEPTHS = (1, 5, 10)
LISTS = ("easy", "hard", "junk")
PROTOCOLS = {  # which lists are relevant; the others are junk
    "easy": ("easy",),
    "medium": ("easy", "hard"),
    "hard": ("hard",),
}
MOST_BYTES = 1 << 28  # of a JSON file
ITEMS_AT_ONCE = 1 << 14  # of the database, that are compared together
DIGITS = 12  # of cosines; what float64 sums say beyond depends on the order of adding, so that copies would not tie


@dataclass(frozen=True)
class GroundTruth:
    """What each of Q queries should find.

    Attributes:
        easy, hard, junk: Q arrays of int64, positions in the database; none stands in two lists of a query.
        query_names, database_names: Q and N names of images, in order; empty where they are not known.
        boxes: how many queries are a part of their image, which has to be cut out before.

    Example:
        >>> truth = GroundTruth(easy=(np.array([3]),), hard=(np.array([0, 4]),), junk=(np.array([1]),))
        >>> [items.tolist() for items in truth.split(0, "hard")]
        [[0, 4], [3, 1]]
    """

    easy: tuple[NDArray[np.int64], ...]
    hard: tuple[NDArray[np.int64], ...]
    junk: tuple[NDArray[np.int64], ...]
    query_names: tuple[str, ...] = ()
    database_names: tuple[str, ...] = ()
    boxes: int = 0

    def __len__(self) -> int:
        return len(self.easy)

    @property
    def last(self) -> int:
        """The largest position in any list, −1 if all are empty."""
        return max((int(items.max()) for name in LISTS for items in getattr(self, name) if len(items)), default=-1)

    def split(self, query: int, protocol: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """What is relevant to a query and what is junk, by one of :data:`PROTOCOLS`."""
        wanted = PROTOCOLS[protocol]
        relevant = [getattr(self, name)[query] for name in LISTS if name in wanted]
        junk = [getattr(self, name)[query] for name in LISTS if name not in wanted]
        return np.concatenate(relevant), np.concatenate(junk)


def read_ground_truth(path: str | os.PathLike[str]) -> GroundTruth:
    """Ground truth in the layout of revisited Oxford and Paris, as JSON (theirs is a pickle, which is not read).

    Args:
        path: an object with ``gnd``, a list of one object for each query, with the lists ``easy``, ``hard`` and
            ``junk`` of positions in the database from 0 (a list that is missing is empty), and maybe ``bbx``; and
            maybe ``imlist`` and ``qimlist``, names of the images of the database and of the queries, in order. Or
            the list ``gnd`` alone.

    Raises:
        BadInput: it is not that.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "gnd.json")
        ...     _ = path.write_text('{"gnd": [{"easy": [2], "hard": [], "junk": [0]}], "imlist": ["a", "b", "c"]}')
        ...     truth = read_ground_truth(path)
        >>> len(truth), truth.easy[0].tolist(), truth.database_names
        (1, [2], ('a', 'b', 'c'))
    """
    try:
        if Path(path).stat().st_size > MOST_BYTES:
            raise BadInput(f"{path} is too long for a ground truth.")
        content = json.loads(Path(path).read_bytes())
    except FileNotFoundError:
        raise BadInput(f"There is no file {path}.") from None
    except OSError as error:
        raise BadInput(f"{path} cannot be read ({error.strerror}).") from None
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{path} is no ground truth as JSON ({error}); pickles are not read.") from None
    content = {"gnd": content} if isinstance(content, list) else content
    queries = content.get("gnd") if isinstance(content, dict) else None
    if not isinstance(queries, list) or not queries:
        raise BadInput(f"{path} has no list 'gnd' of queries.")
    names = {key: _names(content.get(key), f"{path}, {key}") for key in ("qimlist", "imlist")}
    if names["qimlist"] and len(names["qimlist"]) != len(queries):
        raise BadInput(f"{path} names {len(names['qimlist'])} queries, but tells of {len(queries)}.")
    lists = [_lists(query, f"{path}, query {number}") for number, query in enumerate(queries)]
    easy, hard, junk = zip(*lists, strict=True)
    boxes = sum("bbx" in query for query in queries)
    truth = GroundTruth(easy, hard, junk, names["qimlist"], names["imlist"], boxes)
    if truth.database_names and truth.last >= len(truth.database_names):
        raise BadInput(f"{path} speaks of item {truth.last}, but names {len(truth.database_names)} images.")
    return truth


def evaluate_instances(
    queries: ArrayLike,
    database: ArrayLike,
    truth: GroundTruth,
    *,
    by: str = "codes",
    at: Sequence[int] = DEPTHS,
    bits: int | None = None,
) -> Report:
    """Judge codes or features by whether each query finds what shows the same thing.

    Every figure is the exact expectation over a uniformly random order of the items at equal distance, so where
    nothing ties it is what the program of Radenović et al. gives.

    Args:
        queries, database: (Q, ·) and (N, ·) codes as :func:`hashlens.evaluate` takes them, or features.
        truth: of these Q queries, with positions in this database.
        by: "codes", by Hamming distance; or "features", by cosine.
        at: the k of mP@k.
        bits: K, where codes are packed and K is not a multiple of 8.

    Returns:
        ``mAP/easy`` and ``mP@k/easy``, likewise ``medium`` and ``hard``: means over the queries that have something
        to find by that protocol, and left out where none has. In ``per_query`` the others are NaN.
        ``queries``, ``database`` and ``queries_without_relevant`` of each protocol.

    Raises:
        BadInput: shapes that do not go together, or positions beyond the database.

    Example:
        >>> truth = GroundTruth(easy=(np.array([1]),), hard=(np.array([3]),), junk=(np.array([0]),))
        >>> database = np.array([[0b0000], [0b0001], [0b0011], [0b0111]], np.uint8)
        >>> report = evaluate_instances(np.array([[0]], np.uint8), database, truth)
        >>> report["mAP/easy"], report["mAP/hard"], report["mP@1/medium"]
        (1.0, 0.25, 1.0)
    """
    if any(int(k) != k or k < 1 for k in at):
        raise BadInput("The depths of mP@k are whole numbers from 1.")
    if by == "codes":
        asked, bits_asked = as_packed(queries, bits)
        searched, bits_searched = as_packed(database, bits)
        if bits_asked != bits_searched:
            raise BadInput(f"Queries have {bits_asked} bits, but the database has {bits_searched}.")
        distances = _hamming(asked, searched)
    elif by == "features":
        asked, searched = np.asarray(queries), np.asarray(database)
        if asked.ndim != 2 or searched.ndim != 2 or asked.shape[1] != searched.shape[1]:
            raise BadInput(f"Features of shapes {asked.shape} and {searched.shape} do not go together.")
        distances = _cosine(asked, searched)
    else:
        raise BadInput(f"Instances are ranked by 'codes' or by 'features', not by '{by}'.")
    if len(asked) != len(truth):
        raise BadInput(f"There are {len(asked)} queries, but the ground truth is of {len(truth)}.")
    if truth.last >= len(searched):
        raise BadInput(f"The ground truth speaks of item {truth.last}, but the database has {len(searched)}.")
    names = {protocol: [f"mAP/{protocol}", *(f"mP@{k}/{protocol}" for k in at)] for protocol in PROTOCOLS}
    scores = {name: np.full(len(asked), np.nan) for some in names.values() for name in some}
    for query, apart in enumerate(distances):
        ranks = np.unique(apart, return_inverse=True)[1]
        for protocol, (average, *precisions) in names.items():
            relevant, junk = truth.split(query, protocol)
            if not len(relevant):
                continue
            totals = np.bincount(ranks)
            totals -= np.bincount(ranks[junk], minlength=len(totals))
            relevants = np.bincount(ranks[relevant], minlength=len(totals))
            scores[average][query] = trapezoid_average_precision(totals, relevants)
            for k, name in zip(at, precisions, strict=True):
                scores[name][query] = precision_to_last(totals, relevants, k)
    scores = {name: values for name, values in scores.items() if not np.isnan(values).all()}
    without = {
        protocol: sum(not len(truth.split(query, protocol)[0]) for query in range(len(truth)))
        for protocol in PROTOCOLS
    }
    figures = {name: float(np.nanmean(values)) for name, values in scores.items()}
    sizes = {"queries": len(asked), "database": len(searched), "queries_without_relevant": without}
    return Report({**figures, **sizes}, scores)


def instance_table(figures: Mapping[str, Any]) -> FigureTable:
    """The figures of :func:`evaluate_instances` for people, a line for each protocol.

    Example:
        >>> instance_table({"mAP/easy": 0.5, "mP@1/easy": 1.0}).rows
        (('easy', '0.5000', '1.0000'),)
    """
    found = [name.partition("/") for name in figures]
    columns = list(dict.fromkeys(figure for figure, _, protocol in found if protocol in PROTOCOLS))
    rows = tuple(
        (protocol, *(f"{figures[f'{figure}/{protocol}']:.4f}" for figure in columns))
        for protocol in PROTOCOLS
        if f"mAP/{protocol}" in figures
    )
    return FigureTable(("protocol", *columns), rows, {})


def _hamming(queries: NDArray[np.uint8], database: NDArray[np.uint8]) -> Iterator[NDArray[Any]]:
    words, distances = to_words(database), np.empty(len(database), np.int16)
    for query in to_words(queries).T:
        distances_in_block(words, np.ascontiguousarray(query), 0, len(database), distances)
        yield distances


def _cosine(queries: NDArray[Any], database: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """Minus the cosine, so that the nearest come first."""
    unit = unit_length(queries.astype(np.float64))
    parts = [
        unit @ unit_length(database[first : first + ITEMS_AT_ONCE].astype(np.float64)).T
        for first in range(0, len(database), ITEMS_AT_ONCE)
    ]
    yield from -np.concatenate(parts, axis=1).round(DIGITS) if parts else np.empty((len(queries), 0))


def _names(names: Any, where: str) -> tuple[str, ...]:
    if names is None:
        return ()
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise BadInput(f"{where} must be a list of names.")
    return tuple(names)


def _lists(query: Any, where: str) -> tuple[NDArray[np.int64], ...]:
    if not isinstance(query, dict) or not {"easy", "hard"} & set(query):
        raise BadInput(f"{where} has neither a list 'easy' nor a list 'hard'.")
    lists = [query.get(name, []) for name in LISTS]
    for name, items in zip(LISTS, lists, strict=True):
        if not isinstance(items, list) or not all(type(item) is int and 0 <= item < 1 << 40 for item in items):
            raise BadInput(f"{where}: '{name}' must be a list of whole numbers from 0.")
    every = [item for items in lists for item in items]
    if len(set(every)) < len(every):
        twice = next(item for item in every if every.count(item) > 1)
        raise BadInput(f"{where}: item {twice} stands in its lists twice.")
    return tuple(np.array(items, np.int64) for items in lists)
