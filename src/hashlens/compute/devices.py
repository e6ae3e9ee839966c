"""Which processor to compute on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hashlens.errors import BadInput

ONNX = "onnx"  # the processor through ONNX Runtime, for encoding alone

if TYPE_CHECKING:
    import torch


def choose_device(device: str | None = None) -> torch.device:
    """``device`` if given ("cpu", "cuda", "cuda:1"), else a GPU where there is one.

    Raises:
        BadInput: PyTorch knows no such device, or it is not there.
    """
    import torch

    if device is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device == ONNX:
        raise BadInput("ONNX Runtime only encodes images; train on the device cpu, cuda or cuda:N.")
    try:
        chosen = torch.device(device)
    except RuntimeError:
        raise BadInput(f"There is no device '{device}'; use cpu, cuda or cuda:N.") from None
    if chosen.type == "cuda" and (chosen.index or 0) >= torch.cuda.device_count():
        raise BadInput(f"Device '{device}' is not there: PyTorch sees {torch.cuda.device_count()} CUDA devices.")
    return chosen
