"""How long, how fast and with what regularisation to train."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class TrainingSettings:
    """Settings of the optimiser (Adam, with weight decay added to the gradient).

    Attributes:
        epochs: passes over the training images.
        batch_size: images per step.
        learning_rate: of the hash layer.
        weight_decay: L2 penalty.
        schedule: ``"step"`` divides the rate by ten after 80 % of the training; ``"cosine"`` lowers it to
            zero along a cosine after warming up over the first 5 %.
        backbone_rate: learning rate of the backbone relative to the hash layer's; only used end to end.
        feature_dropout: share of features set to zero at random.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    schedule: Literal["step", "cosine"]
    backbone_rate: float = 0.1
    feature_dropout: float = 0.0


def _step(progress: float) -> float:
    return 1.0 if progress < 0.8 else 0.1


def _cosine(progress: float) -> float:
    warmup = 0.05
    if progress < warmup:
        return max(progress, 1e-3) / warmup
    return 0.5 * (1 + math.cos(math.pi * (progress - warmup) / (1 - warmup)))


# Factor of the learning rate after a share of all steps.
SCHEDULES: dict[str, Callable[[float], float]] = {"step": _step, "cosine": _cosine}
