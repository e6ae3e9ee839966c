"""How well a set of binary codes uses its bits."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hashlens.codes.packing import as_packed, binarize, to_words, unpack

CHUNK = 65_536  # codes unpacked at a time


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
    """
    packed, bits = as_packed(codes, bits)
    count = len(packed)
    ones = np.zeros(bits)
    together = np.zeros((bits, bits))
    for start in range(0, count, CHUNK):
        chunk = (unpack(packed[start : start + CHUNK], bits) > 0).astype(np.float32)
        ones += chunk.sum(0, dtype=np.float64)
        together += chunk.T @ chunk
    balance = ones / count
    covariance = together / count - np.outer(balance, balance)
    spread = np.sqrt(np.clip(np.diag(covariance), 0, None))
    scale = np.outer(spread, spread)
    correlation = np.divide(covariance, scale, out=np.zeros_like(covariance), where=scale > 1e-12)
    words = to_words(packed)
    statistics = {
        "distinct": np.unique(words[0]).size if len(words) == 1 else np.unique(words, axis=1).shape[1],
        "bit_balance": [float(value) for value in balance],
        "bit_balance_deviation": float(np.abs(balance - 0.5).mean()),
        "bit_correlation": float(np.abs(correlation[~np.eye(bits, dtype=bool)]).mean()) if bits > 1 else 0.0,
    }
    if continuous is not None:
        statistics["quantization_error"] = quantization_error(continuous)
    return statistics


def quantization_error(continuous: NDArray[np.floating]) -> float:
    """Mean of 1 − cos(v, sign v) (OrthoHash, section 3) over (N, K) continuous codes around zero."""
    signs = binarize(continuous)
    norms = np.linalg.norm(continuous, axis=1) * np.sqrt(continuous.shape[1])
    cosines = (continuous * signs).sum(1) / np.maximum(norms, 1e-12)
    return float(1 - cosines.mean())
