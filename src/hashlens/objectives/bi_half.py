"""Bits that are set for exactly half of a batch (Li and van Gemert, AAAI 2021)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

PULL = 6.0  # γ in the authors' program


def half_bits(continuous: Tensor) -> Tensor:
    """Codes of which each bit is +1 for the half of a batch where it is largest, and −1 for the rest.

    "Deep Unsupervised Image Hashing by Maximizing Bit Entropy", section 3.2. The gradient is passed on as it is,
    plus γ·(u − b)/(B·K), which draws u to its bit b.

    Args:
        continuous: (B, K).

    Returns:
        (B, K) in {−1, +1}; of an odd number of items one more has −1.

    Example:
        >>> half_bits(torch.tensor([[0.3], [0.1], [0.9], [0.2]])).flatten().tolist()
        [1.0, -1.0, 1.0, -1.0]
    """
    return _HalfBits.apply(continuous)


class _HalfBits(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, continuous: Tensor) -> Tensor:
        ranks = continuous.argsort(0, descending=True).argsort(0)
        bits = torch.where(ranks < len(continuous) // 2, 1.0, -1.0).to(continuous.dtype)
        ctx.save_for_backward(continuous, bits)
        return bits

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        continuous, bits = ctx.saved_tensors
        return gradient + PULL * (continuous - bits) / bits.numel()
