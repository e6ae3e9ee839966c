"""Networks as ONNX graphs, and ONNX Runtime in place of PyTorch, which is two to three times as fast on a CPU."""

from __future__ import annotations

import importlib.util
import json
import logging
import os
import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
import xxhash
from numpy.typing import NDArray
from torch import Tensor, nn

from hashlens.backbones.backbone import Backbone
from hashlens.backbones.shared_network import Run
from hashlens.cache import cache_folder
from hashlens.errors import BadInput
from hashlens.files import replacing, write_json

if TYPE_CHECKING:
    import onnxruntime

log = logging.getLogger("hashlens")

PACKAGES = ("onnx", "onnxruntime", "onnxscript")
LARGEST_GRAPH = (1 << 31) - (1 << 24)  # bytes; a protocol buffer holds 2 GiB, and the graph is more than weights
LARGEST_DIFFERENCE = 1e-3  # of features, relative to the largest
PLANES, LEAST_EQUAL = 1024, 0.9999  # random planes through the mean feature, and the share of equal sides of them
MANY = 500  # images, from which on making a graph pays


def check_onnx_installed() -> None:
    """Raise :class:`BadInput` unless the packages that ONNX needs are there."""
    missing = _missing_packages()
    if missing:
        raise BadInput(f"ONNX needs {' and '.join(missing)}; run: pip install {' '.join(missing)}")


def onnx_is_installed() -> bool:
    """Whether the packages that ONNX needs are there."""
    return not _missing_packages()


def _missing_packages() -> list[str]:
    return [name for name in PACKAGES if importlib.util.find_spec(name) is None]


def write_onnx(
    network: nn.Module,
    example: Tensor,
    path: str | os.PathLike[str],
    outputs: Sequence[str],
    metadata: Mapping[str, str],
) -> None:
    """Write a network as one ONNX file.

    Args:
        network: on the CPU and in evaluation mode; from one tensor to as many as there are names of outputs.
        example: (n, …) a batch as the network takes it, n ≥ 2; the graph takes any number of rows. The input is
            called ``pixels`` where they are uint8, else ``features``.
        outputs: their names.
        metadata: for the file, by key.

    Raises:
        BadInput: packages are missing, the weights are too many for one file, or PyTorch cannot express the
            network in ONNX.
    """
    check_onnx_installed()
    from onnx import helper

    size = sum(tensor.nbytes for tensor in network.state_dict().values())
    if size > LARGEST_GRAPH:
        raise BadInput(f"The network has {size / 2**30:.1f} GiB of weights, but an ONNX file holds at most 2 GiB.")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter warns of its own workings
        try:
            program = torch.onnx.export(
                network,
                (example,),
                dynamo=True,
                input_names=["pixels" if example.dtype == torch.uint8 else "features"],
                output_names=list(outputs),
                dynamic_shapes=({0: torch.export.Dim("batch")},),
                external_data=False,
                verbose=False,
            )
        except Exception as error:  # whatever the exporter stumbles over in a network that we do not know
            reason = str(error).strip().partition("\n")[0].rstrip(".")
            raise BadInput(f"PyTorch cannot express this network in ONNX ({reason}).") from None
    assert program is not None
    graph = program.model_proto
    for node in [*graph.graph.node, *(node for function in graph.functions for node in function.node)]:
        del node.metadata_props[:]  # the lines of source, with paths of this machine, that each node came from
    helper.set_model_props(graph, dict(metadata))
    Path(path).write_bytes(graph.SerializeToString())


def open_onnx(path: str | os.PathLike[str], threads: int | None = None) -> onnxruntime.InferenceSession:
    """ONNX Runtime on the CPU with that file.

    Args:
        threads: of each run; as many as processors by default.

    Raises:
        BadInput: packages are missing.
    """
    check_onnx_installed()
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = threads or 0
    return onnxruntime.InferenceSession(os.fspath(path), options, providers=["CPUExecutionProvider"])


class OnnxBackbone:
    """A backbone that ONNX Runtime runs. Its graph is made and checked once, and kept in the cache folder.

    Args:
        backbone: is moved to the CPU.
        threads: of each run; several threads may call at the same time.

    Raises:
        BadInput: packages are missing, or the backbone cannot be had in ONNX with the same features.
    """

    def __init__(self, backbone: Backbone, threads: int | None = None) -> None:
        check_onnx_installed()
        path = _graph_file(backbone)
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            try:
                self._session = open_onnx(_sound(path), threads)
                return
            except Exception as error:  # ONNX Runtime has errors of its own, which are not public
                log.warning("%s was damaged (%s) and is made again.", path, str(error).partition("\n")[0])
        log.info("Preparing %s for ONNX Runtime, once …", backbone.name)
        backbone.to("cpu").eval()
        pixels = torch.from_numpy(sample_pixels(backbone.preprocessing.image_size))
        with replacing(path) as temporary:
            write_onnx(backbone, pixels[:2], temporary, ["features"], {})
            with torch.inference_mode():
                expected = backbone(pixels).numpy()
            self._session = open_onnx(temporary, threads)
            _check_same(backbone.name, expected, self(pixels))
            write_json(_checksum_file(path), {"xxh3": _checksum(temporary)})

    def __call__(self, pixels: Tensor) -> NDArray[np.float32]:
        """(B, 3, S, S) uint8 → (B, D)."""
        (features,) = self._session.run(None, {"pixels": np.ascontiguousarray(pixels.numpy())})
        return features.astype(np.float32, copy=False)


def onnx_run(backbone: Backbone, threads: int) -> Run:
    """A backbone through ONNX Runtime, on one thread or on all of them.

    Raises:
        BadInput: as :class:`OnnxBackbone`.
    """
    one, every = OnnxBackbone(backbone, 1), OnnxBackbone(backbone, threads)
    return lambda pixels, count: (one if count == 1 else every)(pixels)


def onnx_run_if_fit(backbone: Backbone, threads: int, images: int) -> Run | None:
    """The same where it gives the features of PyTorch, else ``None``.

    Where that is not known yet it is found out, which takes some seconds, unless there are too few images.
    """
    if not onnx_is_installed():
        return None
    path = _graph_file(backbone)
    refusal = path.with_suffix(".refused")
    if refusal.exists() or (not path.exists() and images < MANY):
        return None
    try:
        return onnx_run(backbone, threads)
    except (BadInput, OSError) as error:  # a cache that cannot be written is no reason to stop
        log.info("%s runs on PyTorch (%s)", backbone.name, error)
        if isinstance(error, BadInput):
            with suppress(OSError):
                refusal.write_text(str(error), encoding="utf-8")
        return None


def _graph_file(backbone: Backbone) -> Path:
    return cache_folder() / "onnx" / f"{backbone.fingerprint()[:32]}.onnx"


def _checksum_file(path: Path) -> Path:
    return path.with_suffix(".json")


def _checksum(path: Path) -> str:
    return xxhash.xxh3_64_hexdigest(path.read_bytes())


def _sound(path: Path) -> Path:
    """The path, if its content is what was written."""
    if json.loads(_checksum_file(path).read_text(encoding="utf-8"))["xxh3"] != _checksum(path):
        raise ValueError("its bytes are not those that were written")
    return path


def _check_same(name: str, expected: NDArray[np.float32], found: NDArray[np.float32]) -> None:
    """Raise :class:`BadInput` unless features differ by rounding alone, so that codes have the same bits."""
    difference = np.abs(found - expected).max()
    if not difference <= LARGEST_DIFFERENCE * np.abs(expected).max():  # NaN is refused too
        raise BadInput(
            f"ONNX Runtime computes other features with {name} (some differ by {difference:.2g}); "
            "use the device cpu."
        )
    planes = np.random.default_rng(0).normal(size=(expected.shape[1], PLANES))
    sides = [(features - expected.mean(0)) @ planes > 0 for features in (expected, found)]
    equal = float((sides[0] == sides[1]).mean())
    if equal < LEAST_EQUAL:
        raise BadInput(f"ONNX Runtime gives {1 - equal:.2%} other bits with {name}; use the device cpu.")


def sample_pixels(size: int, count: int = 32, seed: int = 0) -> NDArray[np.uint8]:
    """(count, 3, size, size): parts of two photographs that come with scikit-learn, and a quarter of noise."""
    from PIL import Image
    from sklearn.datasets import load_sample_images

    random = np.random.default_rng(seed)
    photographs = [Image.fromarray(pixels) for pixels in load_sample_images().images]
    samples = random.integers(0, 256, (count, size, size, 3), np.uint8)
    for number in range(count - count // 4):
        photograph = photographs[number % len(photographs)]
        side = int(random.integers(64, min(photograph.size)))
        left, top = (int(random.integers(0, length - side)) for length in photograph.size)
        part = photograph.crop((left, top, left + side, top + side))
        samples[number] = part.resize((size, size), Image.Resampling.BICUBIC)
    return np.ascontiguousarray(samples.transpose(0, 3, 1, 2))
