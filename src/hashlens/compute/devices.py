"""Which processor to compute on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hashlens.errors import BadInput

ONNX = "onnx"  # the processor through ONNX Runtime, for encoding alone
FASTEST = "fastest"  # the processor through whatever runs a backbone fastest with the same features

if TYPE_CHECKING:
    import torch


def choose_device(device: str | None = None) -> torch.device:
    """``device`` if given ("cpu", "cuda", "cuda:1"), else a GPU where there is one.

    Raises:
        BadInput: it is neither a processor nor an NVIDIA or AMD GPU that PyTorch sees.

    Example:
        >>> choose_device("cpu")
        device(type='cpu')
        >>> choose_device("gpu")
        Traceback (most recent call last):
        ...
        hashlens.errors.BadInput: There is no device 'gpu'; use cpu, cuda or cuda:N.
    """
    import torch

    if device is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device == ONNX:
        raise BadInput("ONNX Runtime only encodes images; train on the device cpu, cuda or cuda:N.")
    try:
        chosen = torch.device(device)
    except RuntimeError:
        chosen = None
    if chosen is None or chosen.type not in ("cpu", "cuda"):
        raise BadInput(f"There is no device '{device}'; use cpu, cuda or cuda:N.")
    if chosen.type == "cuda" and (chosen.index or 0) >= torch.cuda.device_count():
        raise BadInput(f"Device '{device}' is not there: PyTorch sees {torch.cuda.device_count()} CUDA devices.")
    return chosen


def encoding_device(device: str | None = None) -> torch.device | str:
    """Where backbones run: ``device`` if given, which may be "onnx", else a GPU where there is one, else "fastest".

    Raises:
        BadInput: as for :func:`choose_device`.

    Example:
        >>> encoding_device("onnx"), encoding_device("cpu")
        ('onnx', device(type='cpu'))
    """
    if device == ONNX:
        return ONNX
    chosen = choose_device(device)
    return FASTEST if device is None and chosen.type == "cpu" else chosen
