"""The objective of DTSH (Wang, Shi and Kitani, "Deep Supervised Hashing with Triplet Labels", ACCV 2016)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from hashlens.errors import BadInput
from hashlens.objectives.objective import at_least_single, register
from hashlens.objectives.pairs import alike, has_label, signs_of


@register("dtsh")
class DTSH(nn.Module):
    """Likelihood that an item is nearer to one that is like it than to one that is not, by a margin.

    With Θ_ij = ½⟨u_i, u_j⟩, over all triplets of an item q, another one p that is like it and one n that is not,
    Σ log(1 + e^−(Θ_qp − Θ_qn − α)), plus λ·Σ ‖u − sign u‖² over the items. The sum is divided by
    the number of triplets, so that the two terms weigh as they do in the paper.

    Args:
        bits: K.
        margin: α ≥ 0; K/2, as in the paper, where it is ``None``.
        quantization_weight: λ ≥ 0; 100 in the paper.

    Raises:
        BadInput: an argument is out of its range.

    Example:
        Codes of 8 bits on ±1: Θ is 4 for the two that agree and −4 for the third, the margin 4; log(1 + e^−4).

        >>> codes = torch.tensor([[1.0] * 8, [1.0] * 8, [-1.0] * 8])
        >>> round(DTSH(bits=8)(codes, torch.tensor([0, 0, 1])).item(), 4)
        0.0181
    """

    def __init__(self, bits: int, margin: float | None = None, quantization_weight: float = 100.0) -> None:
        super().__init__()
        self.margin = bits / 2 if margin is None else margin
        if not self.margin >= 0:
            raise BadInput(f"The margin is {margin}; it must be 0 or more.")
        if not quantization_weight >= 0:
            raise BadInput(f"The quantization weight is {quantization_weight}; it must be 0 or more.")
        self.quantization_weight = quantization_weight

    def forward(self, codes: Tensor, targets: Tensor) -> Tensor:
        """Loss of a batch.

        Args:
            codes: (B, K).
            targets: (B,) int64 classes, −1 for none, or (B, C) multi-hot.

        Returns:
            A scalar in at least single precision, also under autocast; 0 where there are no triplets.
        """
        with at_least_single(codes) as codes:
            halves = codes @ codes.T / 2
            same, labelled = alike(targets), has_label(targets)
            asked, near = torch.nonzero(same & ~torch.eye(len(codes), dtype=torch.bool, device=codes.device)).T
            far = labelled & ~same[asked]  # (pairs, B)
            count = far.sum()
            gaps = halves[asked, near][:, None] - halves[asked] - self.margin
            ranking = -(functional.logsigmoid(gaps) * far).sum()
            rounding = ((codes - signs_of(codes)).square().sum(1) * labelled).sum()
            return (ranking + self.quantization_weight * rounding * (count > 0)) / count.clamp(min=1)
