"""What all codebooks have in common: their limits, and how good one is."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hashlens.classes import check_similarity
from hashlens.codes.distances import distances_in_block
from hashlens.codes.packing import check_bits, pack, to_words
from hashlens.compute.kernels import compiled
from hashlens.errors import BadInput

LARGEST_CODEBOOK = 100_000


def check_size(classes: int, bits: int) -> None:
    """Raise :class:`BadInput` unless ``classes`` distinct codes of ``bits`` bits exist and are within limits."""
    check_bits(bits)
    if not 1 <= classes <= LARGEST_CODEBOOK:
        raise BadInput(f"A codebook for {classes} classes is out of range; use 1 to {LARGEST_CODEBOOK:,}.")
    if bits < 63 and classes > 2**bits:
        raise BadInput(f"{bits} bits hold only {2**bits} distinct codes, too few for {classes} classes.")


def check_codebook(codebook: ArrayLike, classes: int | None = None, bits: int | None = None) -> NDArray[np.int8]:
    """Return a user's codebook as (C, K) int8.

    Raises:
        BadInput: it is not a (C, K) array of −1 and +1 of the wanted size with distinct rows.
    """
    array = np.asarray(codebook)
    if array.ndim != 2 or array.dtype.kind not in "iuf" or not np.isin(array, (-1, 1)).all():
        raise BadInput(f"A codebook must be a (C, K) array of −1 and +1, not {array.dtype} {array.shape}.")
    for name, wanted, found in (("classes", classes, array.shape[0]), ("bits", bits, array.shape[1])):
        if wanted is not None and wanted != found:
            raise BadInput(f"The codebook is for {found} {name}, but {wanted} are needed.")
    check_size(*array.shape)
    rows, counts = np.unique(array, axis=0, return_counts=True)
    if len(rows) < len(array):
        raise BadInput(f"The codebook has only {len(rows)} distinct rows; one stands {counts.max()} times.")
    return array.astype(np.int8)


def minimum_distance(codebook: NDArray[np.int8]) -> int:
    """Smallest Hamming distance between two rows of a (C, K) codebook, C ≥ 2."""
    counts = distance_counts(codebook)
    return int(np.flatnonzero(counts)[0])


def distance_counts(codebook: NDArray[np.int8]) -> NDArray[np.int64]:
    """(K + 1,) number of pairs of rows at each Hamming distance."""
    counts = np.zeros(codebook.shape[1] + 1, np.int64)
    _count_pairs(to_words(pack(codebook)), counts)
    return counts


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
    """
    from hashlens.centres.distance_bounds import distance_upper_bound  # it needs the limits in this file

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


@compiled
def _count_pairs(words, counts):
    count = words.shape[1]
    distances = np.empty(count, np.int16)
    for row in range(count - 1):
        distances_in_block(words, words[:, row].copy(), row + 1, count, distances)
        for i in range(count - row - 1):
            counts[distances[i]] += 1
