"""The objective of SDH-C: SDH (Erin Liong, Lu, Wang, Moulin and Zhou, "Deep Hashing for Compact Binary Codes
Learning", CVPR 2015) with a classifier in place of its discriminant term, as OrthoHash's authors compare with."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hashlens.errors import BadInput
from hashlens.objectives.classification import check_classes, classification_loss
from hashlens.objectives.objective import register
from hashlens.objectives.pairs import has_label, mean_over, signs_of


@register("sdhc")
class SDHC(nn.Module):
    """Cross-entropy of a linear classifier over codes, a pull to their signs, a push for variance, orthogonal bits.

    CE + λ₀·mean((u − sign u)²) − λ₁·½·Σ_i mean_k u_ik² + λ₂·mean((WWᵀ − I)²), as in the program FIRe
    (``functions/loss/sdh.py``), where the third term is a sum over the batch. W, (K, H), are the weights of the
    hash layer, which training shows it (:func:`announce_hash_layer`); without them the last term is 0. Label sets
    are judged by the binary cross-entropy of every class.

    Deviation: I is the paper's; their program has a matrix of ones in its place.

    Args:
        classes: C ≥ 2.
        bits: K.
        quantization_weight: λ₀ ≥ 0; 0.001 in their program.
        variance_weight: λ₁ ≥ 0; 0.001 in their program.
        orthogonality_weight: λ₂ ≥ 0; 0.001 in their program.

    Raises:
        BadInput: an argument is out of its range.

    Example:
        >>> objective = SDHC(classes=3, bits=8, quantization_weight=0, variance_weight=2)
        >>> codes, labels = torch.ones(4, 8), torch.tensor([0, 1, 2, 0])
        >>> gained = SDHC(3, 8, 0, 0)
        >>> gained.load_state_dict(objective.state_dict())
        <All keys matched successfully>
        >>> round((gained(codes, labels) - objective(codes, labels)).item(), 4)  # 4 items, each with variance 1
        4.0
    """

    def __init__(
        self,
        classes: int,
        bits: int,
        quantization_weight: float = 0.001,
        variance_weight: float = 0.001,
        orthogonality_weight: float = 0.001,
    ) -> None:
        super().__init__()
        check_classes(classes)
        weights = {
            "quantization": quantization_weight,
            "variance": variance_weight,
            "orthogonality": orthogonality_weight,
        }
        for name, weight in weights.items():
            if not weight >= 0:
                raise BadInput(f"The {name} weight is {weight}; it must be 0 or more.")
        self.quantization_weight, self.variance_weight = quantization_weight, variance_weight
        self.orthogonality_weight = orthogonality_weight
        self.linear = nn.Linear(bits, classes)
        self._hash_layer: list[Tensor] = []  # in a list, lest the network's weights become those of the objective

    def on_hash_layer(self, weight: Tensor) -> None:
        """Take the weights of the hash layer, (K, H)."""
        self._hash_layer = [weight]

    def forward(self, codes: Tensor, targets: Tensor) -> Tensor:
        """Loss of a batch.

        Args:
            codes: (B, K) in [−1, 1].
            targets: (B,) int64 classes, −1 for none, or (B, C) multi-hot.

        Returns:
            A scalar in at least single precision, also under autocast.
        """
        with torch.autocast(codes.device.type, enabled=False):
            codes, labelled = codes.to(self.linear.weight.dtype), has_label(targets)
            rounding = mean_over((codes - signs_of(codes)).square().mean(1), labelled)
            variance = (codes.square().mean(1) * labelled).sum() / 2
            loss = classification_loss(self.linear(codes), targets)
            loss = loss + self.quantization_weight * rounding - self.variance_weight * variance
            for weight in self._hash_layer:
                loss = loss + self.orthogonality_weight * correlation_of_rows(weight)
            return loss


def correlation_of_rows(weight: Tensor) -> Tensor:
    """How far the rows of W are from orthonormal, mean((WWᵀ − I)²): a scalar, from (K, H).

    Example:
        >>> correlation_of_rows(torch.eye(2, 3)).item(), correlation_of_rows(torch.ones(2, 1)).item()
        (0.0, 0.5)
    """
    return (weight @ weight.T - torch.eye(len(weight), dtype=weight.dtype, device=weight.device)).square().mean()
