"""The objective of HashNet (Cao, Long, Wang and Yu, "Deep Learning to Hash by Continuation", ICCV 2017)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from hashlens.errors import BadInput
from hashlens.objectives.objective import at_least_single, register
from hashlens.objectives.pairs import alike, mean_over, pairs_of, shared_labels


@register("hashnet")
class HashNet(nn.Module):
    """Weighted likelihood of which pairs are alike, through a tanh that grows into a sign.

    With h = tanh(β·z), the mean over pairs of w_ij·[log(1 + e^(α⟨h_i, h_j⟩)) − α·s_ij·⟨h_i, h_j⟩], where s_ij = 1
    for pairs that are alike, else 0. Pairs count c_ij·|S|/|S₁| or c_ij·|S|/|S₀|, by how many of the batch's pairs
    are alike or not; c_ij is |y_i ∩ y_j|/|y_i ∪ y_j| for label sets that have a label in common, and 1 otherwise.
    β grows from 1 as √(1 + g·p) with the share p of the training that is done, as in the authors' program, which
    adds 0.005 for each of 10,000 steps: g = 50.

    Deviation: pairs are those of one batch, not those between two.

    Args:
        bits: K.
        sigmoid_slope: α is this, divided by K; 10 in the authors' program.
        growth: g ≥ 0.

    Raises:
        BadInput: an argument is out of its range.

    Example:
        >>> objective = HashNet(bits=8)
        >>> objective.on_epoch(0.16)
        >>> objective.slope
        3.0
        >>> objective(torch.full((2, 8), 9.0), torch.tensor([1, 1])).item() < 1e-4
        True
    """

    def __init__(self, bits: int, sigmoid_slope: float = 10.0, growth: float = 50.0) -> None:
        super().__init__()
        if not 0 < sigmoid_slope < math.inf:
            raise BadInput(f"The sigmoid slope is {sigmoid_slope}; it must be positive.")
        if not 0 <= growth < math.inf:
            raise BadInput(f"The growth is {growth}; it must be 0 or more.")
        self.steepness = sigmoid_slope / bits
        self.growth = growth
        self.slope = 1.0

    def on_epoch(self, progress: float) -> None:
        """Make the tanh as steep as it should be after this share of the training, in [0, 1)."""
        self.slope = math.sqrt(1 + self.growth * progress)

    def forward(self, codes: Tensor, targets: Tensor) -> Tensor:
        """Mean loss of a batch.

        Args:
            codes: (B, K), before the tanh.
            targets: (B,) int64 classes, −1 for none, or (B, C) multi-hot.

        Returns:
            A scalar in at least single precision, also under autocast.
        """
        with at_least_single(codes) as codes:
            bits = torch.tanh(self.slope * codes)
            logits = self.steepness * (bits @ bits.T)
            same, pairs = alike(targets), pairs_of(targets)
            count, alikes = pairs.sum().to(codes.dtype), (pairs & same).sum().to(codes.dtype)
            weights = torch.where(same, count / alikes.clamp(min=1), count / (count - alikes).clamp(min=1))
            if targets.ndim == 2:
                weights = weights * torch.where(same, _overlaps(targets).to(codes.dtype), 1)
            return mean_over(weights * (-functional.logsigmoid(-logits) - same * logits), pairs)


def _overlaps(marks: Tensor) -> Tensor:
    """(B, B) labels in common, as a share of the labels that either has."""
    common = shared_labels(marks).double()
    sizes = common.diagonal()
    return common / (sizes[:, None] + sizes - common).clamp(min=1)
