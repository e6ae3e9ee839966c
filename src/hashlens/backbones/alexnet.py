"""AlexNet, which timm lacks and many papers on hashing use: torchvision's, in timm's registry."""

from __future__ import annotations

from typing import Any

from timm.models import register_model
from torch import nn


@register_model
def alexnet(pretrained: bool = False, num_classes: int = 1000, **_options: Any) -> nn.Module:
    """AlexNet (Krizhevsky, "One weird trick for parallelizing convolutional neural networks", 2014).

    Its tensors have torchvision's names, so torchvision's file of weights fits.

    Args:
        pretrained: download torchvision's ImageNet weights.
        num_classes: of the classifier; with 0 there is none, and the output is what it would see, (B, 4096), which
            the programs of HashNet and OrthoHash learn from.

    Example:
        >>> import torch
        >>> alexnet(num_classes=0)(torch.zeros(1, 3, 224, 224)).shape
        torch.Size([1, 4096])
    """
    from torchvision import models

    weights = models.AlexNet_Weights.IMAGENET1K_V1 if pretrained else None
    network = models.alexnet(weights=weights, progress=False)
    if num_classes == 0:
        network.classifier = network.classifier[:-1]
    elif num_classes != 1000:
        network.classifier[-1] = nn.Linear(network.classifier[-1].in_features, num_classes)
    return network
