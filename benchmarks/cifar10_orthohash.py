"""OrthoHash on CIFAR-10 by the protocol of its paper: mAP over the whole database, and how long training takes.

Of each class 100 images are queries and 500 are for training; the database is all 59,000 that are not queries.
Queries and training images are drawn anew for each seed.

    python benchmarks/cifar10_orthohash.py                       # frozen features, 16/32/64 bits, three seeds
    python benchmarks/cifar10_orthohash.py --method hashlens --mode finetune --seeds 0 --epochs 22

Images come from ../shared/data/cifar10 beside the repository where that exists, else from torchvision's download.
"""

from __future__ import annotations

import argparse
import functools
import json
import statistics
import time
from pathlib import Path

import hashlens as hl
from frozen_features import features_of, mean_and_spread
from hashlens.backbones import DEFAULT_BACKBONE
from hashlens.methods import get_method
from hashlens.metrics import mean_average_precision
from hashlens.sources import FeatureArray, Source
from hashlens.sources.protocols import draw_protocol

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data" / "cifar10"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mode", choices=["frozen", "finetune"], default="frozen")
    parser.add_argument("--method", default="orthohash")
    parser.add_argument("--bits", type=int, nargs="+", default=[16, 32, 64])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--backbone", default=DEFAULT_BACKBONE)
    parser.add_argument("--image-size", type=int, help="the backbone's own by default; CIFAR-10 has 32 pixels")
    parser.add_argument("--epochs", type=int, default=None)
    parser.add_argument("--paper", action="store_true", help="the paper's training settings instead of ours")
    parser.add_argument("--output", type=Path, help="write the figures to this JSON file")
    options = parser.parse_args()

    images = hl.open_source(SHARED if SHARED.is_dir() else "cifar10")
    results = []
    for bits in options.bits:
        for seed in options.seeds:
            result = {"bits": bits, "seed": seed, **run(images, bits, seed, options)}
            results.append(result)
            print(json.dumps(result), flush=True)
    if options.output:
        options.output.write_text(json.dumps({"options": vars(options), "results": results}, indent=2, default=str))
    print(f"\n{options.method}, {options.mode}, {'paper' if options.paper else 'our'} settings")
    print("| bits | mAP@all | minutes of training |\n| --- | --- | --- |")
    for bits in options.bits:
        rows = [result for result in results if result["bits"] == bits]
        scores = [row["mAP@all"] for row in rows]
        minutes = statistics.mean(row["training_seconds"] for row in rows) / 60
        print(f"| {bits} | {mean_and_spread(scores)} | {minutes:.1f} |")


def run(images: Source, bits: int, seed: int, options: argparse.Namespace) -> dict[str, float]:
    """Train and evaluate once."""
    assert images.labels is not None
    drawn = draw_protocol(images.labels, seed=seed)
    training, queries, database = (drawn[part] for part in ("train", "queries", "database"))
    source: Source = images
    if options.mode == "frozen":
        source = _features(images, options.backbone, options.image_size)
    started = time.perf_counter()
    model = hl.fit(
        source.select(training),
        method=get_method(options.method),
        bits=bits,
        backbone=options.backbone if options.mode == "finetune" else DEFAULT_BACKBONE,
        image_size=options.image_size if options.mode == "finetune" else None,
        finetune=options.mode == "finetune",
        epochs=options.epochs,
        paper=options.paper,
        seed=seed,
    )
    trained = time.perf_counter()
    codes = model.encode(source)
    score = mean_average_precision(
        codes[queries], images.labels[queries], codes[database], images.labels[database], bits=bits
    )
    return {
        "mAP@all": score,
        "best_epoch": model.training["best_epoch"],
        "training_seconds": trained - started,
        "encoding_seconds": time.perf_counter() - trained,
    }


@functools.cache
def _features(images: Source, backbone: str, image_size: int | None) -> FeatureArray:
    """Computed once for all seeds and code lengths."""
    return features_of(images, "cifar10", backbone, image_size)


if __name__ == "__main__":
    main()
