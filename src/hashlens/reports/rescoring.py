"""How good the first results are in the order in which an index shows them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashlens.catalogue.ranking import Page
from hashlens.codes import detail_order
from hashlens.engines import HammingIndex
from hashlens.metrics.relevance import relevant_results
from hashlens.metrics.tables import RESCORED
from hashlens.models.encoder import Encoded

SHOWN = 10


def rescored_scores(
    queries: Encoded,
    query_labels: NDArray[Any],
    database: Encoded,
    database_labels: NDArray[Any],
    index: HammingIndex,
) -> dict[str, NDArray[np.float64]]:
    """Scores of the ten results shown first, where the nearest codes are put in order by their details.

    Args:
        query_labels, database_labels: (Q,) and (N,) class numbers, −1 for none, or multi-hot, of the encoded items.
        index: of the codes of the database, by their position.

    Returns:
        ``precision@10/rescored`` and ``mAP@10/rescored``, each (Q,); as without the suffix, but of one order in
        which nothing ties.

    Example:
        >>> import hashlens as hl
        >>> x = np.random.default_rng(0).normal(size=(60, 8)).astype(np.float32)
        >>> source = hl.sources.FeatureArray("mine", x, np.arange(60) % 2)
        >>> with hl.fit(source, bits=16, epochs=1, device="cpu").encoder() as encode:
        ...     queries, database = encode.all(source.select(range(20))), encode.all(source.select(range(20, 60)))
        >>> index = HammingIndex.build(database.codes)
        >>> sorted(rescored_scores(queries, source.labels[:20], database, source.labels[20:], index))
        ['mAP@10/rescored', 'precision@10/rescored']
    """
    page = Page(SHOWN, rescored=True)
    _, candidates = index.search(queries.codes, page.depth)
    shown = np.empty((len(candidates), min(SHOWN, candidates.shape[1])), np.int64)
    for query, near in enumerate(candidates):
        shown[query] = near[detail_order(queries.details[query], database.details[near])[:SHOWN]]
    relevant = relevant_results(query_labels, database_labels[shown])
    found = relevant.cumsum(1)
    precisions = found / np.arange(1, shown.shape[1] + 1)
    return {
        f"precision@{SHOWN}{RESCORED}": precisions[:, -1],
        f"mAP@{SHOWN}{RESCORED}": (precisions * relevant).sum(1) / np.maximum(found[:, -1], 1),
    }
