"""The objective of SHREWD (Arponen and Bishop, 2019) that makes codes binary and uniform."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn

from hashlens.errors import BadInput
from hashlens.objectives.objective import at_least_single, register

EPSILON = 1e-6  # a distance that counts as zero


@register("empirical-divergence")
class EmpiricalDivergence(nn.Module):
    """L_KL of SHREWD (arXiv 1908.05602, section 3): how far codes are from independent Beta-distributed bits.

    A Kozachenko–Leonenko estimate from nearest neighbours,
    1/B Σ_b [log ν(z_b; z_ref) − log ν(z_b; z)], where ν is the Euclidean distance to the nearest other vector
    of a set, and z_ref a fresh sample of B vectors of independent Beta(α, β) entries. The Kullback–Leibler
    divergence of the codes' distribution from that of the sample is K times this, up to a constant that goes
    to 0 as B grows. With α = β = 0.1 nearly all of the mass lies by the corners of the hypercube, evenly.

    Deviation: log ν is ½ log(ν² + 10⁻¹²), so that codes that coincide give a large but finite loss.

    Args:
        alpha, beta: parameters of the Beta distribution, positive.
        seed: of the samples; each call draws another, and the same calls the same ones.

    Raises:
        BadInput: an argument is out of its range.

    Example:
        Codes around the middle of the hypercube are far from codes by its corners.

        >>> objective = EmpiricalDivergence()
        >>> middle = 0.5 + 0.1 * torch.rand(64, 16, generator=torch.Generator().manual_seed(0))
        >>> objective(middle).item() > 1
        True
    """

    calls: Tensor

    def __init__(self, alpha: float = 0.1, beta: float = 0.1, seed: int = 0) -> None:
        super().__init__()
        if not (0 < alpha < math.inf and 0 < beta < math.inf):
            raise BadInput(f"Alpha is {alpha} and beta is {beta}; both must be positive.")
        self.alpha = alpha
        self.beta = beta
        self.seed = seed
        # Kept with the weights, so that a training that goes on draws on as it would have.
        self.register_buffer("calls", torch.tensor(0))

    def forward(self, codes: Tensor, targets: Tensor | None = None) -> Tensor:
        """Loss of a batch.

        Args:
            codes: (B, K) in [0, 1], B ≥ 2.
            targets: not used.

        Returns:
            A scalar in at least single precision, also under autocast.
        """
        reference = np.random.default_rng((self.seed, int(self.calls))).beta(self.alpha, self.beta, codes.shape)
        self.calls += 1
        with at_least_single(codes) as codes:
            return nearest_neighbour_divergence(codes, torch.from_numpy(reference).to(codes))


def nearest_neighbour_divergence(codes: Tensor, reference: Tensor) -> Tensor:
    """1/B Σ_b [log ν(z_b; z_ref) − log ν(z_b; z)], see :class:`EmpiricalDivergence`.

    Args:
        codes: (B, K), B ≥ 2.
        reference: (R, K) of the same type.

    Returns:
        A scalar.

    Example:
        The nearest of the reference is three times as far as the nearest other code: log 3.

        >>> codes, reference = torch.tensor([[0.0], [1.0]]), torch.tensor([[-3.0], [4.0]])
        >>> round(nearest_neighbour_divergence(codes, reference).item(), 4)
        1.0986
    """
    to_reference = _squared_distances(codes, reference).amin(1)
    among = _squared_distances(codes, codes)
    others = among.masked_fill(torch.eye(len(codes), dtype=torch.bool, device=codes.device), math.inf).amin(1)
    return (0.5 * (torch.log(to_reference + EPSILON**2) - torch.log(others + EPSILON**2))).mean()


def _squared_distances(one: Tensor, other: Tensor) -> Tensor:
    # From differences, not from products: the distances that matter here are the smallest.
    return torch.cdist(one, other, compute_mode="donot_use_mm_for_euclid_dist").square()
