"""A linear classifier over codes."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from hashlens.errors import BadInput
from hashlens.objectives.objective import register
from hashlens.objectives.pairs import has_label, mean_over
from hashlens.sources.labels import NO_LABEL


@register("classification")
class Classification(nn.Module):
    """L_cls of SHREWD (arXiv 1908.05602, section 3): cross-entropy of a linear classifier over codes.

    Softmax cross-entropy for classes; for label sets, the binary cross-entropy of every class by itself. Items
    without a label do not count.

    Args:
        classes: C ≥ 2.
        bits: K.

    Raises:
        BadInput: there are fewer than two classes.

    Example:
        >>> objective = Classification(classes=10, bits=64)
        >>> loss = objective(torch.rand(4, 64), torch.tensor([0, 3, 9, 3]))
        >>> loss.shape, [tuple(learnt.shape) for learnt in objective.parameters()]
        (torch.Size([]), [(10, 64), (10,)])
    """

    def __init__(self, classes: int, bits: int) -> None:
        super().__init__()
        check_classes(classes)
        self.linear = nn.Linear(bits, classes)

    def forward(self, codes: Tensor, targets: Tensor) -> Tensor:
        """Mean loss of a batch.

        Args:
            codes: (B, K).
            targets: (B,) int64 classes, −1 for none, or (B, C) multi-hot.

        Returns:
            A scalar in at least single precision, also under autocast.
        """
        with torch.autocast(codes.device.type, enabled=False):
            return classification_loss(self.linear(codes.to(self.linear.weight.dtype)), targets)


def check_classes(classes: int) -> None:
    """Refuse fewer classes than a classifier can tell apart.

    Raises:
        BadInput: there are fewer than two.

    Example:
        >>> check_classes(2)
    """
    if classes < 2:
        raise BadInput(f"There are {classes} classes; a classifier needs at least two.")


def classification_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean cross-entropy of logits, see :class:`Classification`.

    Args:
        logits: (B, C).
        targets: (B,) int64 classes, −1 for none, or (B, C) multi-hot.

    Returns:
        A scalar; 0 where no item has a class.

    Example:
        >>> round(classification_loss(torch.zeros(3, 4), torch.tensor([0, 3, -1])).item(), 4)  # log 4
        1.3863
    """
    if targets.ndim == 2:
        marks = (targets != 0).to(logits.dtype)
        losses = functional.binary_cross_entropy_with_logits(logits, marks, reduction="none").mean(1)
    else:
        losses = functional.cross_entropy(logits, targets, ignore_index=NO_LABEL, reduction="none")
    return mean_over(losses, has_label(targets))
