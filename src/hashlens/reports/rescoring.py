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


def shown_items(
    queries: Encoded, database: Encoded, index: HammingIndex, leave_one_out: bool = False
) -> NDArray[np.int64]:
    """The ten results that each query is shown first: the nearest codes, put in order by their details.

    Args:
        index: of the codes of the database, by their position.
        leave_one_out: the queries are the database, and none is shown itself.

    Returns:
        (Q, 10) positions in the database, or as many as there are.

    Example:
        >>> import hashlens as hl
        >>> x = np.random.default_rng(0).normal(size=(60, 8)).astype(np.float32)
        >>> source = hl.sources.FeatureArray("mine", x, np.arange(60) % 2)
        >>> with hl.fit(source, bits=16, epochs=1, device="cpu").encoder() as encode:
        ...     encoded = encode.all(source)
        >>> shown_items(encoded, encoded, HammingIndex.build(encoded.codes))[:3, 0].tolist()
        [0, 1, 2]
    """
    page = Page(SHOWN, rescored=True)
    if leave_one_out:
        _, candidates = index.search_ids(np.arange(len(queries.codes)), page.depth)
    else:
        _, candidates = index.search(queries.codes, page.depth)
    shown = np.empty((len(candidates), min(SHOWN, candidates.shape[1])), np.int64)
    for query, near in enumerate(candidates):
        shown[query] = near[detail_order(queries.details[query], database.details[near])[:SHOWN]]
    return shown


def rescored_scores(
    shown: NDArray[np.int64], query_labels: NDArray[Any], database_labels: NDArray[Any]
) -> dict[str, NDArray[np.float64]]:
    """Scores of the results that are shown first.

    Args:
        shown: (Q, m) positions in the database.
        query_labels, database_labels: (Q,) and (N,) class numbers, −1 for none, or multi-hot.

    Returns:
        ``precision@10/rescored`` and ``mAP@10/rescored``, each (Q,); as without the suffix, but of one order in
        which nothing ties.

    Example:
        >>> scores = rescored_scores(np.array([[2, 0]]), np.array([1]), np.array([0, 0, 1]))
        >>> scores["precision@10/rescored"].tolist(), scores["mAP@10/rescored"].tolist()
        ([0.5], [1.0])
    """
    relevant = relevant_results(query_labels, database_labels[shown])
    found = relevant.cumsum(1)
    precisions = found / np.arange(1, shown.shape[1] + 1)
    return {
        f"precision@{SHOWN}{RESCORED}": precisions[:, -1],
        f"mAP@{SHOWN}{RESCORED}": (precisions * relevant).sum(1) / np.maximum(found[:, -1], 1),
    }
