"""The objective of GreedyHash (Su, Zhang, Han and Tian, "Greedy Hash: Towards Fast Optimization for Accurate Hash
Coding in CNN", NeurIPS 2018)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hashlens.errors import BadInput
from hashlens.objectives.classification import check_classes, classification_loss
from hashlens.objectives.objective import register
from hashlens.objectives.pairs import has_label, mean_over, signs_of


@register("greedyhash")
class GreedyHash(nn.Module):
    """Cross-entropy of a linear classifier over the signs of codes; the gradient passes through the sign as it is.

    Plus α times the mean of ||h| − 1|^p, which keeps the sign near what it stands for. Label sets are
    judged by the binary cross-entropy of every class. The classifier has no bias, as in the authors' program.

    Args:
        classes: C ≥ 2.
        bits: K.
        penalty_weight: α ≥ 0; 0.1 in the authors' program for CIFAR-10.
        penalty_power: p > 0; 3 in the paper.

    Raises:
        BadInput: an argument is out of its range.

    Example:
        >>> objective = GreedyHash(classes=3, bits=8, penalty_weight=0)
        >>> codes = torch.randn(4, 8, requires_grad=True)
        >>> classes = torch.tensor([0, 1, 2, 0])
        >>> objective(codes, classes).backward()
        >>> torch.equal(objective(codes, classes), objective(2 * codes, classes))
        True
        >>> bool((codes.grad != 0).all())
        True
    """

    def __init__(self, classes: int, bits: int, penalty_weight: float = 0.1, penalty_power: float = 3.0) -> None:
        super().__init__()
        check_classes(classes)
        if not penalty_weight >= 0 or not penalty_power > 0:
            raise BadInput(
                f"The penalty weight is {penalty_weight} and its power {penalty_power}; "
                "the weight must be 0 or more and the power positive."
            )
        self.penalty_weight, self.penalty_power = penalty_weight, penalty_power
        self.linear = nn.Linear(bits, classes, bias=False)

    def forward(self, codes: Tensor, targets: Tensor) -> Tensor:
        """Mean loss of a batch.

        Args:
            codes: (B, K).
            targets: (B,) int64 classes, −1 for none, or (B, C) multi-hot.

        Returns:
            A scalar in at least single precision, also under autocast.
        """
        with torch.autocast(codes.device.type, enabled=False):
            codes = codes.to(self.linear.weight.dtype)
            signs = signs_of(codes) + (codes - codes.detach())
            penalty = (codes.abs() - 1).abs().pow(self.penalty_power).mean(1)
            return classification_loss(self.linear(signs), targets) + self.penalty_weight * mean_over(
                penalty, has_label(targets)
            )
