"""The objective of SHREWD (Arponen and Bishop, 2019) that makes distances of codes follow semantic distances."""

from __future__ import annotations

import math

import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn
from torch.nn import functional

from hashlens.classes import check_class_distances
from hashlens.errors import BadInput
from hashlens.objectives.objective import at_least_single, register
from hashlens.sources.labels import NO_LABEL


@register("distance-matching")
class DistanceMatching(nn.Module):
    """L_sim of SHREWD (arXiv 1908.05602, section 3): relative distances of codes match those of their meaning.

    1/B² Σ_{b,b'} w_{bb'} · | ‖z_b − z_b'‖₁/τ_z − d_{bb'}/τ_y |, where τ_z and τ_y are the means of the two
    distances over the pairs of the batch, and w = γ^ρ/(γ + d)^ρ gives near pairs more weight. The gradient
    flows through τ_z, so the size of the codes does not matter.

    The distance d of two items is that of their classes; of two label sets, the mean of best matches,
    ½ (mean_{a ∈ A} min_{b ∈ B} d(a, b) + mean_{b ∈ B} min_{a ∈ A} d(a, b)); of two vectors, 1 − their cosine.

    Deviation: items without a label take part in no pair, so the means are over the pairs of the others.

    Args:
        class_distance: (C, C), symmetric, not negative, 0 on the diagonal; ``None`` where targets are vectors
            of the items themselves.
        gamma: γ > 0.
        rho: ρ ≥ 0.

    Raises:
        BadInput: an argument is out of its range.

    Example:
        Distances of codes that are in proportion to those of the classes cost nothing.

        >>> objective = DistanceMatching([[0.0, 0.2, 0.8], [0.2, 0.0, 0.6], [0.8, 0.6, 0.0]])
        >>> codes = torch.tensor([[0.0, 0.0], [0.1, 0.1], [0.4, 0.4]])
        >>> objective(codes, torch.tensor([0, 1, 2])).item() < 1e-6
        True
        >>> objective(codes, torch.tensor([0, 2, 1])).item() > 0.01
        True
    """

    class_distance: Tensor | None

    def __init__(self, class_distance: ArrayLike | None = None, gamma: float = 0.1, rho: float = 2.0) -> None:
        super().__init__()
        if not 0 < gamma < math.inf or not 0 <= rho < math.inf:
            raise BadInput(f"Gamma is {gamma} and rho is {rho}; gamma must be positive and rho 0 or more.")
        self.gamma = gamma
        self.rho = rho
        distances = None
        if class_distance is not None:
            # Only ratios of distances count, so that they may be on any scale.
            checked = check_class_distances(class_distance, most=math.inf)
            distances = torch.as_tensor(checked, dtype=torch.float32)
        self.register_buffer("class_distance", distances)

    def forward(self, codes: Tensor, targets: Tensor) -> Tensor:
        """Loss of a batch.

        Args:
            codes: (B, K).
            targets: (B,) int64 classes, −1 for none, or (B, C) multi-hot; (B, D) real vectors, where there
                are no class distances.

        Returns:
            A scalar in at least single precision, also under autocast; 0 where no pair has a distance.
        """
        with at_least_single(codes) as codes:
            with torch.no_grad():
                wanted, known = self.item_distances(targets)
                wanted = wanted.to(codes.dtype)
                pairs = known[:, None] & known
                count = pairs.sum().clamp(min=1)
                weights = (self.gamma / (self.gamma + wanted)).pow(self.rho) * pairs
                wanted = wanted / _positive((wanted * pairs).sum() / count)
            found = torch.cdist(codes, codes, p=1)
            found = found / _positive((found * pairs).sum() / count)
            return (weights * (found - wanted).abs()).sum() / count

    def item_distances(self, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Semantic distances between the items of a batch.

        Args:
            targets: as :meth:`forward` takes them.

        Returns:
            (B, B), and (B,) for which items they are known.
        """
        if self.class_distance is None:
            if targets.ndim != 2 or not targets.is_floating_point():
                raise BadInput("Without class distances, targets must be (B, D) vectors of the items.")
            unit = functional.normalize(targets.double(), dim=1)
            distances = (1 - unit @ unit.T).clamp(min=0).fill_diagonal_(0)
            return distances, targets.any(1)
        if targets.ndim == 1:
            numbers = targets.clamp(min=0)
            return self.class_distance[numbers][:, numbers], targets != NO_LABEL
        marks = (targets != 0).to(self.class_distance.dtype)
        sizes = marks.sum(1)
        nearest = torch.stack(
            [
                self.class_distance[:, own].amin(1) if own.any() else torch.zeros_like(self.class_distance[0])
                for own in targets != 0
            ]
        )  # (B, C): from every class to the nearest label of each item
        one_way = (marks / sizes.clamp(min=1)[:, None]) @ nearest.T
        return (one_way + one_way.T) / 2, sizes > 0


def _positive(mean: Tensor) -> Tensor:
    return torch.where(mean > 0, mean, 1)  # where all that count are 0, they remain so
