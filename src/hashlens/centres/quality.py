"""How good a codebook is."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hashlens.centres.codebook import check_codebook, distance_counts
from hashlens.centres.distance_bounds import distance_upper_bound
from hashlens.classes import check_similarity
from hashlens.errors import BadInput


def quality(codebook: ArrayLike, similarity: ArrayLike | None = None) -> dict[str, Any]:
    """How well a codebook's rows keep apart, use the bits and follow a class similarity.

    Args:
        codebook: (C, K) in {−1, +1}, C ≥ 2.
        similarity: (C, C) in [−1, 1], symmetric, 1 on the diagonal; or none.

    Returns:
        ``classes``, ``bits``; ``minimum_distance``, ``mean_distance``, ``maximum_distance`` over pairs of
        rows; ``upper_bound``, which no minimum distance of C codes of K bits can exceed;
        ``pairs_at_minimum``; ``mean_absolute_cosine`` and ``maximum_absolute_cosine``, 0 where all pairs are
        orthogonal; ``bit_balance_deviation``, mean over bits of |share of +1 − 1/2|. With a similarity S also
        ``mismatch``, the mean of (S − HHᵀ/K)² over pairs of rows, and ``pearson`` and ``spearman``, the
        correlations of S and HHᵀ over them, 0 where one of the two is constant.

    Raises:
        BadInput: it is not a codebook of at least two distinct rows, or the similarity does not fit.

    Example:
        >>> from hashlens.centres import hadamard
        >>> figures = quality(hadamard(10, 64))
        >>> figures["minimum_distance"], figures["upper_bound"], figures["maximum_absolute_cosine"]
        (32, 35, 0.0)
    """
    checked = check_codebook(codebook)
    classes, bits = checked.shape
    if classes < 2:
        raise BadInput("A codebook of one class has no distances to judge.")
    counts = distance_counts(checked)
    levels = np.arange(bits + 1)
    present = np.flatnonzero(counts)
    cosines = np.abs(1 - 2 * levels / bits)
    facts = {
        "classes": classes,
        "bits": bits,
        "minimum_distance": int(present[0]),
        "mean_distance": float(counts @ levels / counts.sum()),
        "maximum_distance": int(present[-1]),
        "upper_bound": distance_upper_bound(classes, bits),
        "pairs_at_minimum": int(counts[present[0]]),
        "mean_absolute_cosine": float(counts @ cosines / counts.sum()),
        "maximum_absolute_cosine": float(cosines[present].max()),
        "bit_balance_deviation": float(np.abs((checked > 0).mean(0) - 0.5).mean()),
    }
    return facts if similarity is None else facts | _fit(checked, check_similarity(similarity, classes))


def _fit(codebook: NDArray[np.int8], similarity: NDArray[np.float64]) -> dict[str, float]:
    from scipy.stats import rankdata

    signs = codebook.astype(np.float32)
    above = np.triu_indices(len(codebook), 1)
    wanted = similarity[above]
    found = (signs @ signs.T)[above].astype(np.float64) / codebook.shape[1]
    return {
        "mismatch": float(np.mean((wanted - found) ** 2)),
        "pearson": _correlation(wanted, found),
        "spearman": _correlation(rankdata(wanted), rankdata(found)),
    }


def _correlation(left: NDArray[np.float64], right: NDArray[np.float64]) -> float:
    left, right = left - left.mean(), right - right.mean()
    scale = np.sqrt((left @ left) * (right @ right))
    return float(left @ right / scale) if scale > 1e-12 else 0.0
