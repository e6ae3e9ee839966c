"""The processors that train together."""

from __future__ import annotations

import logging
import warnings
from typing import TYPE_CHECKING

import torch

from hashlens.errors import BadInput

if TYPE_CHECKING:
    from lightning.fabric import Fabric


def processors(device: torch.device, count: int = 1, mixed: bool = False) -> Fabric:
    """A processor, or several that share the training, one process each.

    Args:
        device: the one; of several, their kind.
        count: of them.
        mixed: compute in half precision on a GPU where that is exact enough.

    Raises:
        BadInput: there are not so many.

    Example:
        >>> processors(torch.device("cpu")).world_size
        1
    """
    from lightning.fabric import Fabric  # takes a second

    if device.type == "cuda" and count > torch.cuda.device_count():
        raise BadInput(f"{count} devices are asked for, but PyTorch sees {torch.cuda.device_count()} GPUs.")
    one = [device.index or 0] if device.type == "cuda" else 1
    for name in ("lightning.fabric", "lightning.pytorch"):  # which share one logger of what is said once
        logging.getLogger(name).setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="lightning")  # advice that is not for our users
        return Fabric(
            accelerator=device.type,
            devices=count if count > 1 else one,
            strategy="ddp" if count > 1 else "auto",
            precision="16-mixed" if mixed and device.type == "cuda" else "32-true",
        )
