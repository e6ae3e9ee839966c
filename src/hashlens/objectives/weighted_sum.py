"""Several objectives at once."""

from __future__ import annotations

import math

from torch import Tensor, nn

from hashlens.errors import BadInput
from hashlens.objectives.objective import announce_epoch, announce_hash_layer


class WeightedSum(nn.Module):
    """Σ weight · objective(codes, targets).

    Args:
        terms: pairs of a weight ≥ 0 and an objective.

    Raises:
        BadInput: there are no terms, or a weight is negative or not finite.

    Example:
        >>> import torch
        >>> from hashlens.objectives import Classification, EmpiricalDivergence
        >>> objective = WeightedSum((1.0, Classification(10, 16)), (0.003, EmpiricalDivergence()))
        >>> objective(torch.rand(8, 16), torch.arange(8)).shape
        torch.Size([])
    """

    def __init__(self, *terms: tuple[float, nn.Module]) -> None:
        super().__init__()
        if not terms:
            raise BadInput("A weighted sum needs at least one objective.")
        for weight, objective in terms:
            if not 0 <= weight < math.inf:
                raise BadInput(f"The weight of {type(objective).__name__} is {weight}; it must be 0 or more.")
        self.weights = [weight for weight, _ in terms]
        self.objectives = nn.ModuleList([objective for _, objective in terms])

    def forward(self, codes: Tensor, targets: Tensor) -> Tensor:
        """The sum of a batch.

        Args:
            codes, targets: as the objectives take them.

        Returns:
            A scalar.
        """
        losses = [
            weight * objective(codes, targets)
            for weight, objective in zip(self.weights, self.objectives, strict=True)
        ]
        return sum(losses[1:], start=losses[0])

    def on_epoch(self, progress: float) -> None:
        """Pass on how far the training is, a share in [0, 1)."""
        for objective in self.objectives:
            announce_epoch(objective, progress)

    def on_hash_layer(self, weight: Tensor) -> None:
        """Pass on the weights of the hash layer, (K, H)."""
        for objective in self.objectives:
            announce_hash_layer(objective, weight)
