"""The trainable part: from images or features to continuous codes."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor, nn

from hashlens.backbones import Backbone


class HashLayer(nn.Module):
    """A linear layer from features to K numbers, and what gives these the shape of a code.

    Attributes:
        threshold: a bit is 1 where the continuous code is greater.

    Args:
        dimension: D, length of a feature.
        bits: K.
        bias: whether the linear layer has one.
    """

    threshold: ClassVar[float] = 0.0

    def __init__(self, dimension: int, bits: int, bias: bool) -> None:
        super().__init__()
        self.linear = nn.Linear(dimension, bits, bias=bias)

    def forward(self, features: Tensor) -> Tensor:
        """(B, D) → (B, K)."""
        raise NotImplementedError


class BatchNormHashLayer(HashLayer):
    """Without bias, then batch norm, so that each bit has mean zero (OrthoHash, section 3.3)."""

    def __init__(self, dimension: int, bits: int) -> None:
        super().__init__(dimension, bits, bias=False)
        self.norm = nn.BatchNorm1d(bits)
        nn.init.normal_(self.linear.weight, std=0.01)  # as the authors' program does

    def forward(self, features: Tensor) -> Tensor:
        return self.norm(self.linear(features))


class TanhHashLayer(HashLayer):
    """With bias, then tanh: codes in (−1, 1) (CSQ, MDS, SHC)."""

    def __init__(self, dimension: int, bits: int) -> None:
        super().__init__(dimension, bits, bias=True)

    def forward(self, features: Tensor) -> Tensor:
        return torch.tanh(self.linear(features))


class SigmoidHashLayer(HashLayer):
    """With bias, then sigmoid: codes in (0, 1) (SHREWD).

    There is no batch norm: it would keep codes from the corners, where the KL term is to push them.
    """

    threshold: ClassVar[float] = 0.5

    def __init__(self, dimension: int, bits: int) -> None:
        super().__init__(dimension, bits, bias=True)

    def forward(self, features: Tensor) -> Tensor:
        return torch.sigmoid(self.linear(features))


HASH_LAYERS: dict[str, Callable[[int, int], HashLayer]] = {
    "batch-norm": BatchNormHashLayer,
    "tanh": TanhHashLayer,
    "sigmoid": SigmoidHashLayer,
}


class HashNetwork(nn.Module):
    """Backbone, if there is one, and hash layer.

    Args:
        backbone: ``None`` where features are given.
        hash_layer: (B, D) → (B, K) continuous codes.
        feature_dropout: share of features set to zero in training.
    """

    def __init__(self, backbone: Backbone | None, hash_layer: HashLayer, feature_dropout: float = 0.0) -> None:
        super().__init__()
        self.backbone = backbone
        self.dropout = nn.Dropout(feature_dropout)
        self.hash_layer = hash_layer

    def forward(self, pixels: Tensor) -> Tensor:
        """(B, 3, S, S) uint8 → (B, K); (B, D) features where there is no backbone."""
        features = pixels if self.backbone is None else self.backbone(pixels)
        return self.hash_layer(self.dropout(features))
