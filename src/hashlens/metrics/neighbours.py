"""How much of what features find codes find too: what can be known without labels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hashlens.codes.packing import as_packed, unpack
from hashlens.errors import BadInput
from hashlens.metrics.histograms import Comparison
from hashlens.metrics.metric import Groups
from hashlens.metrics.precision import precisions
from hashlens.metrics.relevance import relevance
from hashlens.metrics.report import Report
from hashlens.sources.feature_array import unit_length

QUERIES_AT_ONCE = 256


def neighbour_recall(
    query_features: NDArray[np.float32],
    database_features: NDArray[np.float32],
    query_codes: ArrayLike,
    database_codes: ArrayLike,
    at: Sequence[int] = (10, 100),
    bits: int | None = None,
) -> Report:
    """The share of the k nearest items by the cosine of features that are among the k nearest by code.

    Many items may be at the distance of the k-th by code; the figure is the expectation over all their orders.

    Args:
        query_features, database_features: (Q, D) and (N, D).
        query_codes, database_codes: codes of the same items, as :func:`hashlens.metrics.evaluate` takes them.
        at: the k; one beyond N counts the N there are.
        bits: K, where the codes are packed and K is not a multiple of 8.

    Returns:
        ``neighbours@k`` for every k, and ``chance@k``, what codes that know nothing would find; ``queries``,
        ``database`` and ``bits``.

    Raises:
        BadInput: there are no items, or not as many features as codes.

    Example:
        >>> x = np.random.default_rng(0).normal(size=(200, 64)).astype(np.float32)
        >>> report = neighbour_recall(x[:20], x[20:], x[:20], x[20:], at=(10,))
        >>> report["chance@10"] < report["neighbours@10"] < 1
        True
    """
    queries, bits = as_packed(query_codes, bits)
    database, database_bits = as_packed(database_codes, bits)
    if bits != database_bits:
        raise BadInput(f"Queries have {bits} bits, but the database has {database_bits}.")
    for name, features, codes in (("queries", query_features, queries), ("database", database_features, database)):
        if not len(codes) or len(features) != len(codes):
            raise BadInput(f"The {name} have {len(features)} features and {len(codes)} codes; give one each.")
    size = len(database)
    cuts = [min(k, size) for k in at]
    nothing_known = relevance(np.zeros(len(queries), np.int64), np.zeros(size, np.int64))
    compared = Comparison(queries, database, bits, nothing_known)
    scores = np.empty((len(queries), len(cuts)))
    unit = unit_length(database_features)
    signs, asked = unpack(database, bits).astype(np.float32), unpack(queries, bits).astype(np.float32)
    for first in range(0, len(queries), QUERIES_AT_ONCE):
        last = min(first + QUERIES_AT_ONCE, len(queries))
        totals, _ = compared.histograms(first, last)
        nearest = np.argsort(-(unit_length(query_features[first:last]) @ unit.T), axis=1, kind="stable")[
            :, : max(cuts)
        ]
        for number in range(last - first):
            distances = (bits - signs[nearest[number]] @ asked[first + number]) / 2
            for place, k in enumerate(cuts):
                near = np.bincount(distances[:k].astype(np.int64), minlength=bits + 1)
                groups = Groups(totals[number : number + 1], near[None])
                scores[first + number, place] = precisions(groups, np.array([k]))[0, 0, 0]
    per_query = {f"neighbours@{k}": scores[:, place] for place, k in enumerate(at)}
    chance = {f"chance@{k}": cut / size for k, cut in zip(at, cuts, strict=True)}
    figures = {name: float(values.mean()) for name, values in per_query.items()}
    return Report({**figures, **chance, "queries": len(queries), "database": size, "bits": bits}, per_query)
