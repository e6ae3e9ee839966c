"""How well a set of binary codes uses its bits."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hashlens.codes.equal_codes import count_distinct
from hashlens.codes.packing import as_packed, binarize, bit_planes
from hashlens.compute.kernels import compiled, popcount
from hashlens.compute.threads import available_threads, even_slices, run_in_threads

CHUNK = 1 << 14  # codes whose bits are compared at a time, while they are in cache


def code_statistics(
    codes: ArrayLike, bits: int | None = None, continuous: NDArray[np.floating] | None = None
) -> dict[str, Any]:
    """Statistics of binary codes.

    Args:
        codes: (N, ceil(K/8)) packed or (N, K) ±1 codes, N ≥ 1.
        bits: K, where the codes are packed and K is not a multiple of 8.
        continuous: (N, K) the continuous codes around zero that they were rounded from, if at hand.

    Returns:
        ``distinct``: number of distinct codes.
        ``bit_balance``: K fractions of ones, best at 0.5.
        ``bit_balance_deviation``: mean absolute distance of these from 0.5.
        ``bit_correlation``: mean absolute correlation between two different bits, 0 at best; a bit that
        never changes counts as uncorrelated.
        ``quantization_error``: only with ``continuous``, see :func:`quantization_error`.

    Example:
        >>> found = code_statistics([[1, 1, -1], [1, -1, -1], [-1, -1, -1], [-1, -1, -1]])
        >>> found["distinct"], found["bit_balance"]
        (3, [0.5, 0.25, 0.0])
    """
    packed, bits = as_packed(codes, bits)
    count = len(packed)
    together = np.zeros((bits, bits), np.int64)
    for start in range(0, count, CHUNK):
        planes = bit_planes(packed[start : start + CHUNK])[:bits]
        run_in_threads(
            lambda first, last, planes=planes: _add_common(planes, first, last, together),
            even_slices(bits, 4 * available_threads()),
        )
    together += np.triu(together, 1).T
    ones = np.diag(together)
    balance = ones / count
    covariance = together / count - np.outer(balance, balance)
    spread = np.sqrt(np.clip(np.diag(covariance), 0, None))
    scale = np.outer(spread, spread)
    correlation = np.divide(covariance, scale, out=np.zeros_like(covariance), where=scale > 1e-12)
    statistics = {
        "distinct": count_distinct(packed),
        "bit_balance": [float(value) for value in balance],
        "bit_balance_deviation": float(np.abs(balance - 0.5).mean()),
        "bit_correlation": float(np.abs(correlation[~np.eye(bits, dtype=bool)]).mean()) if bits > 1 else 0.0,
    }
    if continuous is not None:
        statistics["quantization_error"] = quantization_error(continuous)
    return statistics


def quantization_error(continuous: NDArray[np.floating]) -> float:
    """Mean of 1 − cos(v, sign v) (OrthoHash, section 3) over (N, K) continuous codes around zero.

    Example:
        >>> quantization_error(np.array([[2.0, -2.0, 2.0, 2.0]])), quantization_error(np.array([[3.0, 0, 0, 0]]))
        (0.0, 0.5)
    """
    signs = binarize(continuous)
    norms = np.linalg.norm(continuous, axis=1) * np.sqrt(continuous.shape[1])
    cosines = (continuous * signs).sum(1) / np.maximum(norms, 1e-12)
    return float(1 - cosines.mean())


@compiled
def _add_common(planes, first, last, together):
    """Add to rows ``first`` … ``last`` − 1 of the upper triangle how many codes have both of two bits."""
    for one in range(first, last):
        for other in range(one, len(planes)):
            common = np.int64(0)
            for word in range(planes.shape[1]):
                common += popcount(planes[one, word] & planes[other, word])
            together[one, other] += common
