"""What the stages of a network saw before its last layer, beside the feature that this gives."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

LATE = 4  # stages that are looked at: all in which the pictures' parts, and no mere edges, are told apart


def has_stages(network: nn.Module) -> bool:
    """Whether a network is one of timm's EfficientNets or of their kin, such as MobileNetV2.

    Example:
        >>> has_stages(nn.Linear(3, 4))
        False
    """
    from timm.models.efficientnet import EfficientNet  # takes a while to import

    return isinstance(network, EfficientNet)


def features_with_stages(network: Any, pixels: Tensor) -> Tensor:
    """The feature of the last layer, and behind it the mean outputs of the last four stages.

    What tells classes apart that the network was not pretrained for is partly lost in its last layers; a layer that
    is trained on the outputs of earlier ones too finds it (Evci et al., "Head2Toe: Utilizing Intermediate
    Representations for Better Transfer Learning", ICML 2022). The mean outputs are scaled to one length, such that
    all four together are as long as the last layer's feature, and neither drowns the other. Head2Toe takes every
    layer, scales them to length 1 and then selects; that would be ten times as many numbers.

    Args:
        network: one that :func:`has_stages`, without classifier.
        pixels: (B, 3, S, S) float32, normalised.

    Returns:
        (B, D + C) float32: of the last layer D, of the stages' channels C, in their order.

    Example:
        >>> import timm
        >>> network = timm.create_model("tf_efficientnet_lite0", num_classes=0).eval()
        >>> features_with_stages(network, torch.zeros(2, 3, 64, 64)).shape
        torch.Size([2, 1984])
    """
    maps = network.bn1(network.conv_stem(pixels))
    means = []
    for stage in network.blocks:
        maps = stage(maps)
        means.append(maps.mean((2, 3)))
    last = network.forward_head(network.bn2(network.conv_head(maps)))
    length = last.norm(dim=1, keepdim=True) / math.sqrt(LATE)
    return torch.cat([last, *(nn.functional.normalize(mean, dim=1) * length for mean in means[-LATE:])], dim=1)
