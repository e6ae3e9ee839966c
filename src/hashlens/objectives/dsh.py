"""The objective of DSH (Liu, Wang, Shan and Chen, "Deep Supervised Hashing for Fast Image Retrieval",
CVPR 2016)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hashlens.errors import BadInput
from hashlens.objectives.objective import at_least_single, register
from hashlens.objectives.pairs import alike, mean_over, pairs_of


@register("dsh")
class DSH(nn.Module):
    """Contrastive loss on squared distances, and a pull of codes to ±1.

    With D = ‖b_i − b_j‖², the mean over pairs of ½·D where items are alike, ½·max(m − D, 0) where not, plus
    α·(‖|b_i| − 1‖₁ + ‖|b_j| − 1‖₁).

    Deviation: pairs of an item with itself do not count.

    Args:
        bits: K.
        margin: m > 0; 2K, as in the paper, where it is ``None``.
        regularization_weight: α ≥ 0; 0.01 in the paper.

    Raises:
        BadInput: an argument is out of its range.

    Example:
        Unlike codes of 8 bits that differ in two: D = 8 where 16 are wanted.

        >>> codes = torch.ones(2, 8)
        >>> codes[1, :2] = -1
        >>> DSH(bits=8)(codes, torch.tensor([0, 1])).item()
        4.0
    """

    def __init__(self, bits: int, margin: float | None = None, regularization_weight: float = 0.01) -> None:
        super().__init__()
        self.margin = 2.0 * bits if margin is None else margin
        if not self.margin > 0:
            raise BadInput(f"The margin is {margin}; it must be positive.")
        if not regularization_weight >= 0:
            raise BadInput(f"The regularization weight is {regularization_weight}; it must be 0 or more.")
        self.regularization_weight = regularization_weight

    def forward(self, codes: Tensor, targets: Tensor) -> Tensor:
        """Mean loss of a batch.

        Args:
            codes: (B, K).
            targets: (B,) int64 classes, −1 for none, or (B, C) multi-hot.

        Returns:
            A scalar in at least single precision, also under autocast.
        """
        with at_least_single(codes) as codes:
            squares = codes.square().sum(1)
            distances = squares[:, None] + squares - 2 * codes @ codes.T
            contrast = torch.where(alike(targets), distances, (self.margin - distances).clamp(min=0)) / 2
            away = (codes.abs() - 1).abs().sum(1)
            return mean_over(
                contrast + self.regularization_weight * (away[:, None] + away),
                pairs_of(targets),
            )
