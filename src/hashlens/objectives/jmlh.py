"""The objective of JMLH (Shen, Qin, Chen, Liu, Zhu and Shen, "Embarrassingly Simple Binary Representation
Learning", ICCV workshops 2019)."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from hashlens.errors import BadInput
from hashlens.objectives.classification import check_classes, classification_loss
from hashlens.objectives.objective import register
from hashlens.objectives.pairs import has_label, mean_over


@register("jmlh")
class JMLH(nn.Module):
    """Likelihood of the class given random bits, and a divergence of these from fair coins.

    Codes are the probabilities p of bits, in (0, 1). A bit is 1 where p exceeds a fresh number between 0 and 1, and
    its gradient is that of p. A linear classifier over the bits gives the cross-entropy; added is λ times the
    Kullback–Leibler divergence of the bits from bits that are 1 half of the time, summed over bits (a variational
    information bottleneck).

    Args:
        classes: C ≥ 2.
        bits: K.
        divergence_weight: λ ≥ 0; 0.1, as OrthoHash's authors set it.
        seed: of the random numbers; each call draws others, and the same calls the same ones.

    Raises:
        BadInput: an argument is out of its range.

    Example:
        >>> objective = JMLH(classes=3, bits=8)
        >>> objective(torch.rand(4, 8), torch.tensor([0, 1, 2, 0])).shape
        torch.Size([])
    """

    calls: Tensor

    def __init__(self, classes: int, bits: int, divergence_weight: float = 0.1, seed: int = 0) -> None:
        super().__init__()
        check_classes(classes)
        if not divergence_weight >= 0:
            raise BadInput(f"The divergence weight is {divergence_weight}; it must be 0 or more.")
        self.divergence_weight = divergence_weight
        self.seed = seed
        self.linear = nn.Linear(bits, classes)
        # Kept with the weights, so that a training that goes on draws on as it would have.
        self.register_buffer("calls", torch.tensor(0))

    def forward(self, codes: Tensor, targets: Tensor) -> Tensor:
        """Mean loss of a batch.

        Args:
            codes: (B, K) in [0, 1].
            targets: (B,) int64 classes, −1 for none, or (B, C) multi-hot.

        Returns:
            A scalar in at least single precision, also under autocast.
        """
        thresholds = np.random.default_rng((self.seed, int(self.calls))).random(codes.shape)
        self.calls += 1
        with torch.autocast(codes.device.type, enabled=False):
            codes = codes.to(self.linear.weight.dtype)
            drawn = (codes > torch.from_numpy(thresholds).to(codes)).to(codes.dtype)
            bits = drawn + (codes - codes.detach())
            return classification_loss(self.linear(bits), targets) + self.divergence_weight * mean_over(
                divergence_from_fair_bits(codes), has_label(targets)
            )


def divergence_from_fair_bits(probabilities: Tensor) -> Tensor:
    """Σ_k p·log(p/½) + (1 − p)·log((1 − p)/½), (B,) from (B, K) probabilities.

    Example:
        >>> found = divergence_from_fair_bits(torch.tensor([[0.5, 0.5], [0.5, 1.0]]))
        >>> [round(one, 4) for one in found.tolist()]
        [0.0, 0.6931]
    """
    least = torch.finfo(probabilities.dtype).eps  # a rounded 0 or 1 has an infinite slope
    ones = probabilities.clamp(least, 1 - least)
    return (ones * (2 * ones).log() + (1 - ones) * (2 * (1 - ones)).log()).sum(1)
