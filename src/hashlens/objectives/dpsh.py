"""The objective of DPSH (Li, Wang and Kang, "Feature Learning based Deep Supervised Hashing with Pairwise Labels",
IJCAI 2016)."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from hashlens.errors import BadInput
from hashlens.objectives.objective import at_least_single, register
from hashlens.objectives.pairs import alike, has_label, mean_over, pairs_of, signs_of


@register("dpsh")
class DPSH(nn.Module):
    """Likelihood of which pairs are alike, given half the inner product of their codes.

    With Θ_ij = ½⟨u_i, u_j⟩ and s_ij = 1 for pairs that are alike, else 0: the mean over pairs of
    log(1 + e^Θ_ij) − s_ij·Θ_ij, plus η times the mean of (u − sign u)².

    Deviations: pairs are those of a batch, not of all training items, and both terms are means, so that η does not
    depend on how many there are; pairs of an item with itself do not count.

    Args:
        quantization_weight: η ≥ 0.

    Raises:
        BadInput: the weight is negative.

    Example:
        Two codes of 8 bits that agree, of the same class: Θ = 4, so log(1 + e^−4).

        >>> import torch
        >>> round(DPSH()(torch.ones(2, 8), torch.tensor([1, 1])).item(), 4)
        0.0181
    """

    def __init__(self, quantization_weight: float = 0.1) -> None:
        super().__init__()
        if not quantization_weight >= 0:
            raise BadInput(f"The quantization weight is {quantization_weight}; it must be 0 or more.")
        self.quantization_weight = quantization_weight

    def forward(self, codes: Tensor, targets: Tensor) -> Tensor:
        """Mean loss of a batch.

        Args:
            codes: (B, K).
            targets: (B,) int64 classes, −1 for none, or (B, C) multi-hot.

        Returns:
            A scalar in at least single precision, also under autocast.
        """
        with at_least_single(codes) as codes:
            halves = codes @ codes.T / 2
            likelihood = -functional.logsigmoid(-halves) - alike(targets) * halves
            rounding = (codes - signs_of(codes)).square().mean(1)
            return mean_over(likelihood, pairs_of(targets)) + self.quantization_weight * mean_over(
                rounding, has_label(targets)
            )
