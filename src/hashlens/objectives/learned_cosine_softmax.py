"""OrthoHash's objective with centres that are learnt: an ablation of its paper, CosFace or ArcFace over codes."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from hashlens.objectives.classification import check_classes
from hashlens.objectives.cosine_softmax import LabelSetLoss, check_margin, label_loss, margin_logits, resolve_scale
from hashlens.objectives.objective import register


@register("learned-cosine-softmax")
class LearnedCosineSoftmax(nn.Module):
    """Softmax cross-entropy over cosines between continuous codes and vectors of the classes, which are learnt.

    As :class:`hashlens.objectives.CosineSoftmax`, but for the centres: (C, K) real numbers from a normal
    distribution, of which only the direction counts, in place of a fixed codebook.

    Args:
        classes: C ≥ 2.
        bits: K.
        scale, margin, margin_kind, label_set_loss: see :class:`hashlens.objectives.CosineSoftmax`.

    Raises:
        BadInput: an argument is out of its range.

    Example:
        >>> objective = LearnedCosineSoftmax(classes=10, bits=64)
        >>> objective(torch.randn(4, 64), torch.tensor([0, 3, 9, 3])).backward()
        >>> bool(objective.centres.grad.abs().sum() > 0)
        True
    """

    def __init__(
        self,
        classes: int,
        bits: int,
        scale: float | Literal["sqrt", "auto"] = "sqrt",
        margin: float = 0.2,
        margin_kind: Literal["cos", "arc"] = "cos",
        label_set_loss: LabelSetLoss = "softmax",
    ) -> None:
        super().__init__()
        check_classes(classes)
        check_margin(margin, margin_kind)
        self.scale = resolve_scale(scale, classes, bits)
        self.margin, self.margin_kind, self.label_set_loss = margin, margin_kind, label_set_loss
        self.centres = nn.Parameter(torch.randn(classes, bits))

    def forward(self, codes: Tensor, targets: Tensor) -> Tensor:
        """Mean loss of a batch.

        Args:
            codes: (B, K) continuous codes.
            targets: (B,) int64 classes, −1 for none, or (B, C) multi-hot.

        Returns:
            A scalar in at least single precision, also under autocast.
        """
        with torch.autocast(codes.device.type, enabled=False):
            codes = codes.to(self.centres.dtype)
            cosines = functional.normalize(codes, dim=1) @ functional.normalize(self.centres, dim=1).T
            logits = margin_logits(cosines, targets, self.scale, self.margin, self.margin_kind)
            return label_loss(logits, targets, self.label_set_loss)
