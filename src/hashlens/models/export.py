"""Models as ONNX files, which give the same packed codes without PyTorch."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hashlens.backbones.onnx_runtime import check_onnx_installed, open_onnx, sample_pixels, write_onnx
from hashlens.codes import pack
from hashlens.errors import BadInput
from hashlens.files import replacing
from hashlens.models.hash_model import HashModel
from hashlens.models.network import HashNetwork

FORMAT = "hashlens-onnx"
VERSION = 1
LEAST_EQUAL = 0.999  # of the bits
CHECKED = 128  # items


@dataclass(frozen=True)
class Agreement:
    """How alike ONNX Runtime and PyTorch computed codes.

    Attributes:
        items: how many were compared: parts of photographs and noise, or random features.
        equal_bits: share of equal bits.
        largest_difference: of continuous codes.

    Example:
        >>> Agreement(items=128, equal_bits=1.0, largest_difference=2e-6).equal_bits
        1.0
    """

    items: int
    equal_bits: float
    largest_difference: float


class PackingNetwork(nn.Module):
    """A hash network that also packs its codes as :func:`hashlens.codes.pack` does."""

    place_values: Tensor

    def __init__(self, network: HashNetwork, bits: int) -> None:
        super().__init__()
        self.network = network
        self.padding = -bits % 8
        self.bytes = (bits + self.padding) // 8
        self.register_buffer("place_values", 2 ** torch.arange(7, -1, -1, dtype=torch.int32))

    def forward(self, items: Tensor) -> tuple[Tensor, Tensor]:
        """Pixels or features of B items → (B, ceil(K/8)) uint8 and (B, K) float32."""
        continuous = self.network(items)
        ones = (continuous > self.network.hash_layer.threshold).to(torch.int32)
        groups = nn.functional.pad(ones, (0, self.padding)).reshape(-1, self.bytes, 8)
        # Bytes of 32 bits are summed without loss; ONNX has no sum of 8-bit numbers.
        return (groups * self.place_values).sum(-1).to(torch.uint8), continuous


def export_onnx(model: HashModel, path: str | os.PathLike[str]) -> Agreement:
    """Write a model as an ONNX file, and check with ONNX Runtime that it gives the same codes.

    The graph takes ``pixels``, (N, 3, S, S) uint8 RGB, or ``features``, (N, D) float32, for a model of features.
    It gives ``codes``, (N, ceil(K/8)) uint8, packed as :meth:`HashModel.encode` packs them, and ``continuous``,
    (N, K) float32. N is any number. Metadata of the file says how images are made pixels, and what the model is.

    Args:
        model: is moved to the CPU.
        path: of the file; one that is there is replaced. Its folder must exist.

    Raises:
        BadInput: packages are missing, PyTorch cannot express the network in ONNX, or fewer than 99.9 % of the
            bits are equal. Then no file is written.

    Example:
        >>> import tempfile, hashlens as hl
        >>> x = np.random.default_rng(0).normal(size=(40, 8)).astype(np.float32)
        >>> model = hl.fit(hl.sources.FeatureArray("mine", x, np.arange(40) % 2), bits=16, epochs=1, device="cpu")
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     export_onnx(model, Path(folder, "model.onnx")).equal_bits
        1.0
    """
    check_onnx_installed()
    path = Path(path)
    if path.is_dir():
        raise BadInput(f"{path} is a folder; give a file for the ONNX model, such as {path / 'model.onnx'}.")
    model.network.to("cpu").eval()
    items = _items_to_check(model)
    with replacing(path) as temporary:
        network = PackingNetwork(model.network, model.bits).eval()
        write_onnx(network, torch.from_numpy(items[:2]), temporary, ["codes", "continuous"], _metadata(model))
        agreement = _compare(model, temporary, items)
        if agreement.equal_bits < LEAST_EQUAL:
            raise BadInput(
                f"ONNX Runtime gives other codes than PyTorch: {agreement.equal_bits:.2%} of the bits are equal, "
                f"where {LEAST_EQUAL:.1%} must be; {path} was not written."
            )
    return agreement


def _items_to_check(model: HashModel) -> NDArray[np.generic]:
    if model.backbone is not None:
        return sample_pixels(model.backbone.preprocessing.image_size, CHECKED)
    return np.random.default_rng(0).normal(size=(CHECKED, model.feature_dimension)).astype(np.float32)


def _compare(model: HashModel, path: Path, items: NDArray[np.generic]) -> Agreement:
    with torch.inference_mode():
        parts = torch.from_numpy(items).split(16)
        expected = torch.cat([model.network(part) for part in parts]).numpy()
    session = open_onnx(path)
    name = session.get_inputs()[0].name
    # One item alone and many together: the number of rows must be free.
    runs = [session.run(["codes", "continuous"], {name: part}) for part in (items[:1], items[1:])]
    codes, continuous = (np.concatenate(results) for results in zip(*runs, strict=True))
    wanted = pack(expected, model.network.hash_layer.threshold)
    different = int(np.unpackbits(codes ^ wanted).sum())
    return Agreement(
        len(items), 1 - different / (len(items) * model.bits), float(np.abs(continuous - expected).max())
    )


def _metadata(model: HashModel) -> dict[str, str]:
    facts: dict[str, object] = {
        "format": FORMAT,
        "version": VERSION,
        "bits": model.bits,
        "threshold": model.network.hash_layer.threshold,
        "method": model.method,
        "class_names": list(model.class_names),
        "fingerprint": model.fingerprint(),
    }
    if model.backbone is None:
        facts["feature_dimension"] = model.feature_dimension
    else:
        size, resized = model.backbone.preprocessing.image_size, model.backbone.preprocessing.resized
        facts |= {
            "backbone": model.backbone.name,
            "image_size": size,
            "shorter_side": resized,
            "interpolation": "bicubic",
            "preprocessing": (
                "Turn the image as its EXIF data says and make it RGB, transparent parts white. "
                f"Resize it, bicubic and antialiased as Pillow does, until its shorter side has {resized} pixels. "
                f"Cut out the middle {size} x {size}. Pass the bytes, channels first; the graph normalises them."
            ),
        }
    return {
        name: fact if isinstance(fact, str) else json.dumps(fact, ensure_ascii=False)
        for name, fact in facts.items()
    }
