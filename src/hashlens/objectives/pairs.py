"""Which pairs of a batch are alike, for objectives that compare items with each other."""

from __future__ import annotations

import torch
from torch import Tensor

from hashlens.sources.labels import NO_LABEL


def has_label(targets: Tensor) -> Tensor:
    """(B,) bool, which items have one.

    Args:
        targets: (B,) int64 classes, −1 for none, or (B, C) multi-hot.

    Example:
        >>> has_label(torch.tensor([3, -1])).tolist(), has_label(torch.tensor([[0, 1], [0, 0]])).tolist()
        ([True, False], [True, False])
    """
    return targets != NO_LABEL if targets.ndim == 1 else (targets != 0).any(1)


def alike(targets: Tensor) -> Tensor:
    """(B, B) bool, which items have a label in common: what is relevant to what.

    Args:
        targets: as :func:`has_label` takes them; items without a label are like none, not even like themselves.

    Example:
        >>> alike(torch.tensor([1, 0, 1])).int().tolist()
        [[1, 0, 1], [0, 1, 0], [1, 0, 1]]
    """
    if targets.ndim == 1:
        return (targets[:, None] == targets) & (targets != NO_LABEL)
    return shared_labels(targets) > 0


def shared_labels(marks: Tensor) -> Tensor:
    """(B, B) float, how many labels items have in common, from (B, C) multi-hot.

    Example:
        >>> shared_labels(torch.tensor([[1, 1, 0], [0, 1, 1]])).tolist()
        [[2.0, 1.0], [1.0, 2.0]]
    """
    present = (marks != 0).float()
    return present @ present.T


def pairs_of(targets: Tensor) -> Tensor:
    """(B, B) bool, the pairs of two different items that both have a label, each pair once (i < j).

    Args:
        targets: as :func:`has_label` takes them.

    Example:
        >>> pairs_of(torch.tensor([0, -1, 2])).int().tolist()
        [[0, 0, 1], [0, 0, 0], [0, 0, 0]]
    """
    labelled = has_label(targets)
    return (labelled[:, None] & labelled).triu(1)


def mean_over(values: Tensor, which: Tensor) -> Tensor:
    """The mean of those values that count, a scalar; 0 where none does.

    Args:
        values, which: of one shape.

    Example:
        >>> mean_over(torch.tensor([1.0, 2.0, 9.0]), torch.tensor([True, True, False])).item()
        1.5
    """
    return (values * which).sum() / which.sum().clamp(min=1)


def signs_of(codes: Tensor) -> Tensor:
    """−1 and +1 as codes (B, K) are rounded: +1 where a number is positive. No gradient goes through it.

    Example:
        >>> signs_of(torch.tensor([[-0.3, 0.0, 2.0]])).tolist()
        [[-1.0, -1.0, 1.0]]
    """
    return torch.where(codes.detach() > 0, 1.0, -1.0).to(codes.dtype)
