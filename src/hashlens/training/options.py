"""How to train, as a value that has checked itself."""

from __future__ import annotations

from dataclasses import dataclass, replace
from numbers import Real
from typing import Any

from hashlens.backbones import DEFAULT_BACKBONE
from hashlens.codes.packing import check_bits
from hashlens.compute.devices import choose_device
from hashlens.errors import BadInput
from hashlens.methods import TrainingSettings
from hashlens.sources import Source

LARGEST = 2**63 - 1  # what PyTorch takes as a seed
LARGEST_LAYER = 1_000_000
LARGEST_RATE = 1_000
LARGEST_IMAGE = 10_000  # pixels
LARGEST_VIEWS = 1_000
WHOLE_NUMBERS = {  # what it is, the least, the largest
    "epochs": ("number of epochs", 1, LARGEST),
    "batch_size": ("batch size", 2, LARGEST),  # batch norm needs two items
    "image_size": ("image size", 1, LARGEST_IMAGE),
    "views": ("number of views", 1, LARGEST_VIEWS),
    "seed": ("seed", 0, LARGEST),
    "devices": ("number of devices", 1, LARGEST),
}


@dataclass(frozen=True, kw_only=True)
class FitOptions:
    """How :func:`hashlens.fit` trains, whatever the images and the method. ``None`` leaves a choice to the method.

    Attributes:
        bits: code length K, 8 to 1024; by default 64, and 256 without labels, or as many as the features have
            dimensions if these are fewer.
        backbone, weights, image_size: see :func:`hashlens.backbones.load_backbone`; not for features.
        finetune: train the backbone too. By default it is frozen on a CPU, where its features are computed
            once and kept on disk, and trained on a GPU.
        paper: train as the method's paper does, instead of with our defaults.
        epochs, batch_size, learning_rate, hidden_layers, feature_dropout: override single settings of the method,
            see :class:`hashlens.methods.TrainingSettings`. No hidden layers and a feature dropout of 0.5 are better
            for searches among classes that are not trained on, and worse for the others.
        spread_labels: where some items have a label and others none, give the surest of these that of their
            neighbours, see :mod:`hashlens.training.label_spreading`; else they are left out.
        views: of each training image that a frozen backbone sees, drawn from anew in each epoch: the image, its
            mirror image, and then crops. Their features take so many times as long, once.
        mirror: codes are the mean of those of an image and its mirror image, which takes twice as long to encode.
        validation: share of the images to hold out, at least 0 and below 1; 0 trains on all and keeps the last
            epoch. A tenth by default, but nothing with ``paper``.
        seed: of centres, held-out images, initial weights and batches, 0 to 2^63 − 1. On a CPU the same seed gives
            the same codes.
        device: "cpu", "cuda", …; a GPU by default, where there is one.
        devices: number of processes (one for each GPU) that share end-to-end training.
        checkpoints: a folder to save end-to-end training in after every epoch. If it holds a training with the same
            settings, that one goes on. It stays there for :func:`hashlens.training.discard_checkpoints` to remove
            once the model is saved, so that nothing is lost in between.

    Raises:
        BadInput: one of them is out of its range.

    Example:
        >>> FitOptions(bits=32, epochs=5).bits
        32
        >>> FitOptions(epochs=0)
        Traceback (most recent call last):
        ...
        hashlens.errors.BadInput: The number of epochs is 0; give a whole number from 1 up.
    """

    bits: int | None = None
    backbone: str = DEFAULT_BACKBONE
    weights: str | None = None
    image_size: int | None = None
    finetune: bool | None = None
    paper: bool = False
    epochs: int | None = None
    batch_size: int | None = None
    learning_rate: float | None = None
    hidden_layers: tuple[int, ...] | None = None
    feature_dropout: float | None = None
    spread_labels: bool = True
    views: int = 1
    mirror: bool = False
    validation: float | None = None
    seed: int = 0
    device: str | None = None
    devices: int = 1
    checkpoints: str | None = None

    def __post_init__(self) -> None:
        if self.bits is not None:
            self._set("bits", check_bits(self.bits))
        for name, (what, least, largest) in WHOLE_NUMBERS.items():
            if getattr(self, name) is not None:
                self._set(name, _whole(what, getattr(self, name), least, largest))
        if self.hidden_layers is not None:
            what = "size of one of the hidden layers"
            self._set("hidden_layers", tuple(_whole(what, size, 1, LARGEST_LAYER) for size in self.hidden_layers))
        rate = self.learning_rate
        if rate is not None and not (_is_number(rate) and 0 < rate <= LARGEST_RATE):
            raise BadInput(f"The learning rate is {rate}; give a number above 0 and up to {LARGEST_RATE:,}.")
        for name in ("feature_dropout", "validation"):
            share = getattr(self, name)
            if share is not None and not (_is_number(share) and 0 <= share < 1):
                what = "validation share" if name == "validation" else "feature dropout"
                raise BadInput(f"The {what} is {share}; it must be at least 0 and below 1.")

    def _set(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)  # the value is frozen once it has checked itself

    @property
    def held_out_share(self) -> float:
        """The share of the images to hold out."""
        if self.validation is not None:
            return self.validation
        return 0.0 if self.paper else 0.1

    def trains_backbone(self, source: Source) -> bool:
        """Whether training on this source goes through the backbone, or on features.

        Raises:
            BadInput: it should, but the source holds features; or there is no such device.
        """
        device = choose_device(self.device)
        if self.finetune and source.feature_dimension is not None:
            raise BadInput(f"{source.name} holds features, so there is no backbone to fine-tune.")
        if self.finetune is not None:
            return self.finetune
        return device.type == "cuda" and source.feature_dimension is None

    def override(self, settings: TrainingSettings) -> TrainingSettings:
        """The settings of a method, with those in their place that are given here."""
        names = ("epochs", "batch_size", "learning_rate", "hidden_layers", "feature_dropout")
        given = {name: getattr(self, name) for name in names if getattr(self, name) is not None}
        return replace(settings, **given)


def _whole(what: str, value: Any, least: int, largest: int) -> int:
    if _is_number(value) and value % 1 == 0 and least <= value <= largest:
        return int(value)
    to = "up" if largest == LARGEST else f"to {largest:,}"
    raise BadInput(f"The {what} is {value}; give a whole number from {least} {to}.")


def _is_number(value: Any) -> bool:
    return isinstance(value, Real)
