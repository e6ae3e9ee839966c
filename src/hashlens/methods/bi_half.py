"""Bi-half (Li and van Gemert, AAAI 2021): codes as far apart as features, each bit set for half of the items."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from hashlens.compute.threads import torch_threads
from hashlens.methods.itq import ITQ
from hashlens.methods.projection import PROJECTIONS, Projection
from hashlens.objectives.bi_half import half_bits

BATCH = 256


@dataclass(frozen=True, kw_only=True, eq=False)
class BiHalf(Projection):
    """A linear hash layer trained so that cosines of codes are those of features.

    The loss is the mean over random pairs of (cos(b_i, b_j) − cos(f_i, f_j))², with bits that are set for half of a
    batch, see :func:`hashlens.objectives.bi_half.half_bits` ("Deep Unsupervised Image Hashing by Maximizing Bit
    Entropy", sections 3.2 and 3.3). The feature of an item and its mean-centred form are the same here, as a
    projection is given the latter.

    Deviations: the layer starts as ITQ's directions instead of at random, without which it does not come up to ITQ
    itself in this time; Adam with a cosine schedule instead of SGD.

    Attributes:
        steps: of training, with 256 items each.
        learning_rate: of Adam.

    Example:
        >>> features = np.random.default_rng(0).normal(size=(300, 16))
        >>> directions = BiHalf(steps=20).directions(features - features.mean(0), 8, seed=0)
        >>> directions.shape, bool(np.allclose(np.linalg.norm(directions, axis=0), 1))
        ((16, 8), True)
    """

    steps: int = 1500
    learning_rate: float = 1e-3

    def directions(self, features: NDArray[np.float64], bits: int, seed: int) -> NDArray[np.float64]:
        start = ITQ().directions(features, bits, seed)
        start /= max((features @ start).std(), 1e-12)  # continuous codes then have the size of bits
        items = torch.from_numpy(features.astype(np.float32))
        weight = torch.from_numpy(start.astype(np.float32)).requires_grad_()
        generator = torch.Generator().manual_seed(seed)
        optimizer = torch.optim.Adam([weight], self.learning_rate)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: 0.5 * (1 + math.cos(math.pi * step / self.steps))
        )
        batch = min(BATCH, len(items) // 2 * 2)
        with torch_threads(1), torch.enable_grad():
            for _ in range(self.steps):
                chosen = items[torch.randperm(len(items), generator=generator)[:batch]]
                codes = half_bits(chosen @ weight)
                of_codes, of_features = (_cosines_of_pairs(vectors) for vectors in (codes, chosen))
                optimizer.zero_grad()
                functional.mse_loss(of_codes, of_features).backward()
                optimizer.step()
                schedule.step()
        learnt = weight.detach().numpy().astype(np.float64)
        return learnt / np.maximum(np.linalg.norm(learnt, axis=0), 1e-12)


def _cosines_of_pairs(vectors: Tensor) -> Tensor:
    """(B/2,), of each vector of the first half and its like in the second."""
    first, second = vectors.chunk(2)
    return functional.cosine_similarity(first, second)


PROJECTIONS.register("bi-half")(BiHalf())
