"""Encoding: the whole pipeline against the bare network, decoding alone, and runtimes of the network.

    python benchmarks/encoding.py                        # pipeline and bare network, PyTorch and ONNX Runtime
    python benchmarks/encoding.py --size 96
    python benchmarks/encoding.py --runtimes             # one thread, the same batch: PyTorch, its compiler, others

Needs the extra onnx; --runtimes also shows OpenVINO where it is installed. Images are JPEG: those of 64 pixels of
Tiny ImageNet (../shared/data beside the repository, or --folder with tinyimagenet100/test.parquet), and the same
enlarged to 500 × 375 and saved with quality 90.

What is compared runs in turn, several times over; the best run of each counts. Of each run the time on the clock
and the time of the processors are taken. Ratios are made of the latter, as it is nearly the same on a machine that
has other work; images/s of it are what all processors would do together with nothing else to do.
"""

from __future__ import annotations

import argparse
import importlib.util
import io
import math
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from threadpoolctl import threadpool_limits

from hashlens.backbones import Backbone, load_backbone
from hashlens.backbones.extraction import PIXELS_AT_ONCE
from hashlens.backbones.onnx_runtime import OnnxBackbone, write_onnx
from hashlens.compute.threads import available_threads
from hashlens.models import HASH_LAYERS, HashModel, HashNetwork, HiddenLayers
from hashlens.sources import Source, as_source, open_source

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
BITS = 64
PART = 16  # images at once in the comparison of runtimes
PROCESSORS = available_threads()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=SHARED)
    parser.add_argument("--size", type=int, default=128, help="pixels that the network sees")
    parser.add_argument("--images", type=int, default=768)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--runtimes", action="store_true")
    options = parser.parse_args()
    small = open_source(options.folder / "tinyimagenet100" / "test.parquet")
    small = small.select(np.random.default_rng(0).permutation(len(small))[: options.images])
    model = make_model(small, options.size)
    if options.runtimes:
        compare_runtimes(model, small, options.repeats)
        return
    with tempfile.TemporaryDirectory() as folder:
        large = enlarge(small.select(np.arange(options.images // 3)), Path(folder))
        for name, source in (("64 × 64", small), ("500 × 375", large)):
            compare_pipeline(model, name, source, options.repeats)


def make_model(images: Source, size: int) -> HashModel:
    """Random directions of features, balanced on the images as bits of a trained model are."""
    torch.manual_seed(0)
    backbone = load_backbone(image_size=size)
    network = HashNetwork(backbone, HiddenLayers(backbone.dimension, ()), HASH_LAYERS["batch-norm"](1280, BITS))
    # A model with a backbone of its own leaves the cache of features alone.
    model = HashModel(network, BITS, "batch-norm", {"name": "none"}, (), finetuned=True)
    return model.adapt(images.select(np.arange(256)), "cpu")


def enlarge(images: Source, folder: Path) -> Source:
    for item in range(len(images)):
        image = images.image(item).resize((500, 375), Image.Resampling.BICUBIC)
        content = io.BytesIO()
        image.save(content, "JPEG", quality=90)
        (folder / f"{item:05}.jpg").write_bytes(content.getvalue())
    source = as_source(folder)
    return source


class Stopwatch:
    """The best of several runs of named functions that take turns."""

    def __init__(self) -> None:
        self.clock: dict[str, float] = {}
        self.processors: dict[str, float] = {}

    def run(self, functions: dict[str, Callable[[], Any]], repeats: int) -> None:
        for function in functions.values():
            function()
        for _ in range(repeats):
            for name, function in functions.items():
                clock, processors = time.perf_counter(), time.process_time()
                function()
                taken = time.perf_counter() - clock, time.process_time() - processors
                self.clock[name] = min(taken[0], self.clock.get(name, math.inf))
                self.processors[name] = min(taken[1], self.processors.get(name, math.inf))


def compare_pipeline(model: HashModel, name: str, source: Source, repeats: int) -> None:
    backbone = model.backbone
    assert backbone is not None
    size = backbone.preprocessing.image_size
    onnx = OnnxBackbone(backbone, threads=1)
    pixels = torch.randint(0, 256, (len(source), 3, size, size), dtype=torch.uint8)
    at_once = max(1, PIXELS_AT_ONCE // size**2)

    def load(item: int) -> torch.Tensor:
        return backbone.preprocessing(source.image(item, size))

    def with_pytorch(part: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode():
            return backbone(part)

    def bare(network: Callable[[torch.Tensor], Any]) -> None:
        with ThreadPoolExecutor(PROCESSORS, initializer=use_one_processor) as pool:
            for _ in pool.map(network, pixels.split(at_once)):
                pass

    def decode() -> None:
        with ThreadPoolExecutor(PROCESSORS) as pool:
            for _ in pool.map(load, range(len(source))):
                pass

    def in_one_pass() -> None:
        for part in pixels[: len(pixels) // 4].split(64):
            with_pytorch(part)

    watch = Stopwatch()
    watch.run(
        {
            "decoding alone": decode,
            "network, PyTorch": lambda: bare(with_pytorch),
            "encode, PyTorch": lambda: model.encode(source, device="cpu"),
            "network, ONNX Runtime": lambda: bare(onnx),
            "encode, ONNX Runtime": lambda: model.encode(source, device="onnx"),
        },
        repeats,
    )
    shared = Stopwatch()
    shared.run({"network, PyTorch, batches of 64 that all threads share": in_one_pass}, 2)
    print(f"\nJPEG of {name} pixels, network at {size} pixels, {len(source)} images, {PROCESSORS} processors\n")
    print("| | images/s by the clock | processor ms per image | images/s by it | of the bare network |")
    print("| --- | --- | --- | --- | --- |")
    for watched, count in ((shared, len(pixels) // 4), (watch, len(source))):
        for what, seconds in watched.processors.items():
            peer = watched.processors.get(what.replace("encode", "network"))
            share = f"{peer / seconds:.0%}" if peer and what.startswith("encode") else ""
            print(
                f"| {what} | {count / watched.clock[what]:.0f} | {1000 * seconds / count:.2f} "
                f"| {PROCESSORS * count / seconds:.0f} | {share} |",
                flush=True,
            )


def use_one_processor() -> None:
    torch.get_num_threads()  # PyTorch sets the number when a thread first asks, so ours comes after
    threadpool_limits(1, user_api="openmp")


def compare_runtimes(model: HashModel, images: Source, repeats: int) -> None:
    torch.set_num_threads(1)
    backbone = model.backbone
    assert backbone is not None
    size = backbone.preprocessing.image_size
    pixels = torch.stack([backbone.preprocessing(images.image(item, size)) for item in range(len(images))])
    timed = pixels[:64]
    with torch.inference_mode(), tempfile.TemporaryDirectory() as folder:
        runtimes = dict(make_runtimes(backbone, pixels[:2], Path(folder) / "backbone.onnx"))
        print(f"\nEfficientNet-Lite0 at {size} pixels, one thread, {PART} images at once\n")
        print("| runtime | images/s | | equal bits |")
        print("| --- | --- | --- | --- |")
        parts = timed.split(PART)
        watch = Stopwatch()
        watch.run({name: partial(run_all, run, parts) for name, run in runtimes.items()}, repeats)
        codes = {name: codes_of(model, run, pixels) for name, run in runtimes.items()}
        for name, seconds in watch.processors.items():
            equal = np.mean(codes[name] == codes["PyTorch"])
            ratio = watch.processors["PyTorch"] / seconds
            print(f"| {name} | {len(timed) / seconds:.0f} | {ratio:.2f}× | {equal:.3%} |")


def run_all(network: Callable[[torch.Tensor], Any], parts: Sequence[torch.Tensor]) -> None:
    for part in parts:
        network(part)


def make_runtimes(
    backbone: Backbone, example: torch.Tensor, path: Path
) -> Iterator[tuple[str, Callable[[torch.Tensor], Any]]]:
    yield "PyTorch", backbone
    yield "torch.compile", torch.compile(backbone)
    yield "ONNX Runtime", OnnxBackbone(backbone, threads=1)
    if importlib.util.find_spec("openvino"):
        import openvino

        write_onnx(backbone, example, path, ["features"], {})
        for precision in ("f32", "bf16"):
            compiled = openvino.Core().compile_model(
                path,
                "CPU",
                {"INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1, "INFERENCE_PRECISION_HINT": precision},
            )
            yield f"OpenVINO, {precision}", lambda part, run=compiled: run(part.numpy())[0]


def codes_of(model: HashModel, run: Callable[[torch.Tensor], Any], pixels: torch.Tensor) -> NDArray[np.bool_]:
    features = np.concatenate([np.asarray(run(part)) for part in pixels.split(PART)])
    return model.network.codes_of(torch.from_numpy(features)).numpy() > 0


if __name__ == "__main__":
    main()
