"""What people judged of results, and how many of the first results they found right."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hashlens.errors import BadInput

MARKS = {"right": True, "wrong": False}
DEPTHS = (1, 5, 10, None)


@dataclass(frozen=True)
class Judgement:
    """Whether one result of one query is right.

    Attributes:
        query: what was searched with.
        id: of the image that was found.
        right: whether it belongs there.
        rank: its place among the results, from 1; ``None`` where that was not kept.

    Example:
        >>> Judgement(query="id:7", id=12, right=True)
        Judgement(query='id:7', id=12, right=True, rank=None)
    """

    query: str
    id: int
    right: bool
    rank: int | None = None


def read_judgements(path: str | os.PathLike[str]) -> list[Judgement]:
    """Judgements as the service's page downloads them.

    Args:
        path: a ``.csv`` with the columns ``query``, ``id``, ``mark`` (``right`` or ``wrong``) and, if known,
            ``rank``; or JSON, a list of objects with these names, alone or as ``judgements`` of an object.

    Raises:
        BadInput: it is neither, or a judgement is incomplete or stands twice.

    Example:
        >>> import tempfile, pathlib
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = pathlib.Path(folder, "judgements.csv")
        ...     _ = path.write_text("query,id,mark,rank\\nid:7,12,right,1\\n")
        ...     read_judgements(path)
        [Judgement(query='id:7', id=12, right=True, rank=1)]
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{path} cannot be read as judgements ({error}).") from None
    found = [_judgement(row, f"{path}, judgement {place}") for place, row in enumerate(_rows(text, path), start=1)]
    if not found:
        raise BadInput(f"{path} holds no judgements; mark some results in the page of hashlens serve.")
    seen: set[tuple[str, int]] = set()
    for judgement in found:
        if (judgement.query, judgement.id) in seen:
            raise BadInput(f"{path} judges the image {judgement.id} twice for the query {judgement.query}.")
        seen.add((judgement.query, judgement.id))
    return found


def judged_precision(judgements: Sequence[Judgement], at: Sequence[int | None] = DEPTHS) -> dict[str, float | None]:
    """Precision over what was judged: the share of the judged results that are right, averaged over queries.

    Args:
        judgements: at least one.
        at: ranking depths; of the first so many results of each query, those that were judged count. ``None`` is
            all of them. Queries none of whose first results were judged are left out.

    Returns:
        ``precision@k`` by name, ``None`` where nothing was judged so early or ranks are not known; and
        ``judged@k``, the share of places up to k, over all queries, that were judged.

    Example:
        >>> judged = [Judgement("a", 1, True, 1), Judgement("a", 2, False, 2), Judgement("b", 1, True, 3)]
        >>> judged_precision(judged, at=(1, 3))
        {'precision@1': 1.0, 'judged@1': 0.5, 'precision@3': 0.75, 'judged@3': 0.5}
    """
    queries: dict[str, list[Judgement]] = {}
    for judgement in judgements:
        queries.setdefault(judgement.query, []).append(judgement)
    figures: dict[str, float | None] = {}
    for depth in at:
        shares, judged = [], 0
        for results in queries.values():
            early = [one for one in results if depth is None or (one.rank is not None and one.rank <= depth)]
            judged += len(early)
            if early:
                shares.append(sum(one.right for one in early) / len(early))
        name = "all" if depth is None else str(depth)
        figures[f"precision@{name}"] = sum(shares) / len(shares) if shares else None
        if depth is not None:
            figures[f"judged@{name}"] = judged / (depth * len(queries))
    return figures


def _rows(text: str, path: Any) -> list[dict[str, Any]]:
    if text.lstrip()[:1] in ("[", "{"):
        try:
            content = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise BadInput(f"{path} is damaged JSON ({error}).") from None
        rows = content.get("judgements") if isinstance(content, dict) else content
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise BadInput(f"{path} holds no list of judgements.")
        return rows
    reader = csv.DictReader(io.StringIO(text, newline=""))
    missing = {"query", "id", "mark"} - set(reader.fieldnames or ())
    if missing:
        raise BadInput(f"{path} needs the columns query, id and mark; it lacks {', '.join(sorted(missing))}.")
    try:
        return list(reader)
    except csv.Error as error:
        raise BadInput(f"{path} is damaged ({error}).") from None


def _judgement(row: dict[str, Any], where: str) -> Judgement:
    mark, query = row.get("mark"), row.get("query")
    if not isinstance(mark, str) or mark not in MARKS:
        raise BadInput(f"{where}: the mark is {mark!r}; it must be right or wrong.")
    if not isinstance(query, str) or not query:
        raise BadInput(f"{where}: it does not say of which query.")
    rank = row.get("rank")
    return Judgement(
        query,
        _number(row.get("id"), f"{where}: the id"),
        MARKS[mark],
        None if rank in (None, "") else _number(rank, f"{where}: the rank", 1),
    )


def _number(value: Any, what: str, least: int = 0) -> int:
    text = str(value)
    if isinstance(value, bool) or not (text.isascii() and text.isdecimal()) or int(text) < least:
        raise BadInput(f"{what} is {value!r}; it must be a whole number from {least}.")
    return int(text)
