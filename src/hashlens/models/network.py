"""The trainable part: from images or features to continuous codes."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from hashlens.backbones import Backbone
from hashlens.objectives.bi_half import half_bits


class HashLayer(nn.Module):
    """A linear layer to K numbers, and what gives these the shape of a code.

    Attributes:
        threshold: a bit is 1 where the continuous code is greater.

    Args:
        dimension: length of what it is given.
        bits: K.
        bias: whether the linear layer has one.

    Example:
        >>> layer = HASH_LAYERS["tanh"](8, 16)  # for features of length 8
        >>> layer(torch.zeros(2, 8)).shape, layer.threshold
        (torch.Size([2, 16]), 0.0)
    """

    threshold: ClassVar[float] = 0.0

    def __init__(self, dimension: int, bits: int, bias: bool) -> None:
        super().__init__()
        self.linear = nn.Linear(dimension, bits, bias=bias)

    def forward(self, features: Tensor) -> Tensor:
        """(B, H) → (B, K)."""
        raise NotImplementedError


class BatchNormHashLayer(HashLayer):
    """Without bias, then batch norm, so that each bit has mean zero (OrthoHash, section 3.3)."""

    def __init__(self, dimension: int, bits: int) -> None:
        super().__init__(dimension, bits, bias=False)
        self.norm = nn.BatchNorm1d(bits)
        nn.init.normal_(self.linear.weight, std=0.01)  # as the authors' program does

    def forward(self, features: Tensor) -> Tensor:
        return self.norm(self.linear(features))


class LinearHashLayer(HashLayer):
    """With bias, and nothing else: what most losses over pairs or bits take."""

    def __init__(self, dimension: int, bits: int) -> None:
        super().__init__(dimension, bits, bias=True)

    def forward(self, features: Tensor) -> Tensor:
        return self.linear(features)


class BiHalfHashLayer(LinearHashLayer):
    """With bias; in training bits, set for half of a batch: :func:`hashlens.objectives.bi_half.half_bits`."""

    def forward(self, features: Tensor) -> Tensor:
        continuous = super().forward(features)
        return half_bits(continuous) if self.training else continuous


class TanhHashLayer(HashLayer):
    """With bias, then tanh: codes in (−1, 1)."""

    def __init__(self, dimension: int, bits: int) -> None:
        super().__init__(dimension, bits, bias=True)

    def forward(self, features: Tensor) -> Tensor:
        return torch.tanh(self.linear(features))


class LateTanhHashLayer(TanhHashLayer):
    """The same, but in training the loss takes the tanh, before anything is rounded (CSQ, MDS, SHC)."""

    def forward(self, features: Tensor) -> Tensor:
        return self.linear(features) if self.training else super().forward(features)


class CSQHashLayer(LateTanhHashLayer):
    """The same behind two layers as wide as the features, as CSQ's program has it (``network.py``)."""

    def __init__(self, dimension: int, bits: int) -> None:
        super().__init__(dimension, bits)
        self.hidden = nn.Sequential(
            nn.Linear(dimension, dimension),
            nn.ReLU(),
            nn.Dropout(0.5),
            nn.Linear(dimension, dimension),
            nn.ReLU(),
        )

    def forward(self, features: Tensor) -> Tensor:
        return super().forward(self.hidden(features))


class SigmoidHashLayer(HashLayer):
    """With bias, then sigmoid: codes in (0, 1) (SHREWD).

    There is no batch norm: it would keep codes from the corners, where the KL term is to push them.
    """

    threshold: ClassVar[float] = 0.5

    def __init__(self, dimension: int, bits: int) -> None:
        super().__init__(dimension, bits, bias=True)

    def forward(self, features: Tensor) -> Tensor:
        return torch.sigmoid(self.linear(features))


class ProjectionHashLayer(HashLayer):
    """Features of length 1, then a linear layer: codes by the angles between features (ITQ and its like)."""

    def __init__(self, dimension: int, bits: int) -> None:
        super().__init__(dimension, bits, bias=True)

    def forward(self, features: Tensor) -> Tensor:
        return self.linear(nn.functional.normalize(features, dim=1))


HASH_LAYERS: dict[str, Callable[[int, int], HashLayer]] = {
    "batch-norm": BatchNormHashLayer,
    "linear": LinearHashLayer,
    "bi-half": BiHalfHashLayer,
    "tanh": TanhHashLayer,
    "late-tanh": LateTanhHashLayer,
    "csq": CSQHashLayer,
    "sigmoid": SigmoidHashLayer,
    "projection": ProjectionHashLayer,
}


class HiddenLayers(nn.Sequential):
    """Fully connected layers between features and hash layer, each with batch norm, ReLU and dropout.

    A linear hash layer can only cut the space of features with planes. Where the backbone is frozen, nothing else
    could bend it.

    Args:
        dimension: D, length of a feature.
        sizes: units of each layer; none for no layer at all.
        dropout: share of their outputs set to zero in training.

    Example:
        >>> layers = HiddenLayers(64, (32, 16)).eval()
        >>> layers(torch.zeros(2, 64)).shape, HiddenLayers(64, ()).out_features
        (torch.Size([2, 16]), 64)
    """

    def __init__(self, dimension: int, sizes: Sequence[int], dropout: float = 0.0) -> None:
        layers: list[nn.Module] = []
        for before, size in itertools.pairwise((dimension, *sizes)):
            layers += [nn.Linear(before, size), nn.BatchNorm1d(size), nn.ReLU(), nn.Dropout(dropout)]
        super().__init__(*layers)
        self.in_features = dimension
        self.out_features = sizes[-1] if sizes else dimension
        self.sizes = tuple(sizes)


class HashNetwork(nn.Module):
    """Backbone and hidden layers, if there are any, and hash layer.

    Args:
        backbone: ``None`` where features are given.
        hidden_layers: (B, D) → (B, H).
        hash_layer: (B, H) → (B, K) continuous codes.
        feature_dropout: share of features set to zero in training.
        mirrored: the code of a picture is the mean of its own and its mirror image's, but for training.

    Example:
        >>> network = HashNetwork(None, HiddenLayers(64, (32,)), TanhHashLayer(32, 16)).eval()
        >>> network(torch.zeros(2, 64)).shape
        torch.Size([2, 16])
    """

    def __init__(
        self,
        backbone: Backbone | None,
        hidden_layers: HiddenLayers,
        hash_layer: HashLayer,
        feature_dropout: float = 0.0,
        mirrored: bool = False,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.mirrored = mirrored
        self.dropout = nn.Dropout(feature_dropout)
        self.hidden_layers = hidden_layers
        self.hash_layer = hash_layer

    @property
    def last_dimension(self) -> int:
        """Length of a feature of the backbone's last layer, or of one that is given."""
        return self.backbone.last_dimension if self.backbone else self.hidden_layers.in_features

    def forward(self, pixels: Tensor) -> Tensor:
        """(B, 3, S, S) uint8 → (B, K); (B, D) features where there is no backbone."""
        if self.backbone is None:
            return self.codes_of(pixels)
        codes = self.codes_of(self.features_of(pixels))
        if not self.mirrored or self.training:
            return codes
        return (codes + self.codes_of(self.features_of(pixels.flip(3)))) / 2

    def features_of(self, pixels: Tensor) -> Tensor:
        """(B, 3, S, S) uint8 → (B, D); (B, D) features are passed on where there is no backbone."""
        return pixels if self.backbone is None else self.backbone(pixels)

    def codes_of(self, features: Tensor) -> Tensor:
        """(B, D) features of the backbone → (B, K) continuous codes."""
        return self.hash_layer(self.hidden_layers(self.dropout(features)))
