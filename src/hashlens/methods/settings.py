"""How long, how fast and with what regularisation to train."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch

Augmentation = Literal["zoom", "strong", "resized-crop", "crop", "colour", "by-data"]


@dataclass(frozen=True)
class TrainingSettings:
    """Settings of the optimiser.

    Attributes:
        epochs: passes over the training images.
        batch_size: images per step, of all devices together.
        learning_rate: of the hash layer.
        weight_decay: L2 penalty, added to the gradient.
        schedule: ``"step"`` divides the rate by ten after 80 % of the training; ``"two-steps"`` after 40 % and
            again after 70 %; ``"ninths"`` multiplies it by 0.7 after every ninth; ``"cosine"`` lowers it to zero
            along a cosine after warming up over the first 5 %; ``"annealing"`` lowers it to a thousandth along a
            cosine.
        optimizer: ``"adam"``, ``"adamw"``, whose weight decay is not added to the gradient, or ``"rmsprop"``.
        backbone_rate: learning rate of the backbone's last layer relative to the hash layer's; only used end to
            end.
        layer_decay: rate of each layer of the backbone relative to the next; those that would learn at less than an
            eighth of the last one's stay as they were pretrained, which saves most of the time.
        warm_start: whether, end to end, what follows the backbone is first trained on its features, as where it is
            frozen, so that it does not learn from a layer of random weights.
        training_size: side of the images that are trained on, end to end, relative to those that are encoded. What
            is cut out shows things larger than a whole picture does (Touvron et al., "Fixing the train-test
            resolution discrepancy", NeurIPS 2019), so smaller is faster and no worse.
        stages: whether a frozen backbone tells, beside its feature, what its earlier stages gave, where it is one
            whose stages we know, see :func:`hashlens.backbones.stages.features_with_stages`.
        feature_dropout: share of features set to zero at random.
        hidden_layers: units of the layers between features and hash layer; the papers have none.
        hidden_dropout: share of their outputs set to zero at random.
        mixing: α of mixup (Zhang et al., ICLR 2018), over features: each is mixed with another of its batch, in
            shares drawn for each batch from Beta(α, α), and the loss is that to the targets of both in the same
            shares; 0 for none. Only for objectives whose items may be half of one class and half of another.
        batch_norm_momentum: of the running statistics behind the backbone; ``None`` for one that forgets where they
            started within an epoch, however few its steps.
        hash_layer_deviation: standard deviation of the normal distribution that the hash layer's weights start
            from, with its bias at 0; ``None`` for the layer's own.
        augmentation: what is done to images end to end, besides mirroring half of them: ``"zoom"`` crops between a
            quarter and all of the picture, ``"strong"`` between 35 % and all, of half of them after one change of
            colours, sharpness or shape (TrivialAugment, Müller and Hutter, ICCV 2021), ``"resized-crop"`` between
            8 % and all, ``"crop"`` resizes the shorter side to 8/7 of the network's and crops a square,
            ``"colour"`` crops nothing and changes brightness and contrast by up to 5 %; ``"by-data"`` takes one of
            the last three.
        mixed_precision: whether a GPU computes in half precision end to end, where that is exact enough.
        hash_layer: its name, in place of that which the method's objective wants.

    Example:
        >>> TrainingSettings(10, 256, learning_rate=1e-3, weight_decay=5e-4, schedule="step").optimizer
        'adam'
    """

    epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    schedule: Literal["step", "two-steps", "ninths", "cosine", "annealing"]
    optimizer: Literal["adam", "adamw", "rmsprop"] = "adam"
    backbone_rate: float = 0.1
    layer_decay: float = 1.0
    warm_start: bool = False
    training_size: float = 1.0
    stages: bool = False
    feature_dropout: float = 0.0
    hidden_layers: tuple[int, ...] = ()
    hidden_dropout: float = 0.0
    mixing: float = 0.0
    batch_norm_momentum: float | None = None
    hash_layer_deviation: float | None = None
    augmentation: Augmentation = "zoom"
    mixed_precision: bool = True
    hash_layer: str | None = None


@dataclass(frozen=True)
class Recipe:
    """Settings for both ways to train.

    Attributes:
        frozen: where features are given or the backbone is frozen.
        end_to_end: where the backbone is trained too.

    Example:
        >>> OURS.settings(finetune=False).epochs
        20
    """

    frozen: TrainingSettings
    end_to_end: TrainingSettings

    def settings(self, finetune: bool) -> TrainingSettings:
        """Those for training the backbone too, or not."""
        return self.end_to_end if finetune else self.frozen


# Ours, chosen on validation images.
FROZEN = TrainingSettings(
    20, 256, 1e-3, 5e-4, "cosine", feature_dropout=0.2, hidden_layers=(512, 512), hidden_dropout=0.2
)
END_TO_END = TrainingSettings(
    12, 64, 1e-3, 1e-4, "cosine", "adamw", 0.5, layer_decay=0.85, warm_start=True, training_size=0.7,
    feature_dropout=0.2, augmentation="strong",
)  # fmt: skip
OURS = Recipe(FROZEN, END_TO_END)


def _step(progress: float) -> float:
    return 1.0 if progress < 0.8 else 0.1


def _two_steps(progress: float) -> float:
    return 1.0 if progress < 0.4 else 0.1 if progress < 0.7 else 0.01


def _ninths(progress: float) -> float:
    return float(0.7 ** math.floor(9 * progress + 1e-9))  # a share of the steps may be rounded


def _cosine(progress: float) -> float:
    warmup = 0.05
    if progress < warmup:
        return max(progress, 1e-3) / warmup
    return 0.5 * (1 + math.cos(math.pi * (progress - warmup) / (1 - warmup)))


def _annealing(progress: float) -> float:
    least = 1e-3
    return least + (1 - least) * 0.5 * (1 + math.cos(math.pi * progress))


# Factor of the learning rate after a share of all steps.
SCHEDULES: dict[str, Callable[[float], float]] = {
    "step": _step,
    "two-steps": _two_steps,
    "ninths": _ninths,
    "cosine": _cosine,
    "annealing": _annealing,
}

OPTIMIZERS: dict[str, Any] = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "rmsprop": torch.optim.RMSprop,
}
