"""The objective of DPN (Fan, Ng, Ju, Zhang and Chan, "Deep Polarized Network for Supervised Learning of Accurate
Binary Hashing Codes", IJCAI 2020)."""

from __future__ import annotations

import math

import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from hashlens.centres import check_codebook
from hashlens.errors import BadInput
from hashlens.objectives.objective import at_least_single, register
from hashlens.objectives.pairs import has_label, mean_over


@register("dpn")
class DPN(nn.Module):
    """Polarization loss: every bit is pushed beyond a margin on the side of the hash centre.

    Σ_k max(m − v_k·h_k, 0), the mean over items. For a label set the losses to the centres of all its
    labels add up, as in the authors' program.

    Args:
        codebook: (C, K) hash centres in {−1, +1}; random ones in the paper.
        margin: m > 0; 1 in the authors' program.

    Raises:
        BadInput: an argument is out of its range.

    Example:
        Six bits beyond the margin, one halfway and one on the wrong side: ½ + 2.

        >>> codes = torch.tensor([[3.0, 3, 3, 3, 3, 3, 0.5, -1]])
        >>> DPN([[1] * 8, [-1] * 8])(codes, torch.tensor([0])).item()
        2.5
    """

    codebook: Tensor

    def __init__(self, codebook: ArrayLike, margin: float = 1.0) -> None:
        super().__init__()
        if not 0 < margin < math.inf:
            raise BadInput(f"The margin is {margin}; it must be positive.")
        self.margin = margin
        self.register_buffer("codebook", torch.as_tensor(check_codebook(codebook)))

    def forward(self, codes: Tensor, targets: Tensor) -> Tensor:
        """Mean loss of a batch.

        Args:
            codes: (B, K).
            targets: (B,) int64 classes, −1 for none, or (B, C) multi-hot.

        Returns:
            A scalar in at least single precision, also under autocast.
        """
        with at_least_single(codes) as codes:
            # With the bits of a centre that are +1 and those that are −1 apart, no (B, C, K) array is needed.
            ones = (self.codebook > 0).to(codes.dtype)
            above, below = (self.margin - codes).clamp(min=0), (self.margin + codes).clamp(min=0)
            of_classes = above @ ones.T + below @ (1 - ones).T  # (B, C)
            if targets.ndim == 1:
                losses = of_classes.gather(1, targets.clamp(min=0)[:, None])[:, 0]
            else:
                losses = (of_classes * (targets != 0)).sum(1)
            return mean_over(losses, has_label(targets))
