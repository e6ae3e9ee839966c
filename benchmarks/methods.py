"""All methods on 100 classes of Tiny ImageNet, on frozen features: mAP@100, mAP@1000, mAP over the whole database.

Queries are the test split (5,000 images), the database is the train split (30,000); of each class 130 images of
the database, drawn anew for each seed, are for training, as in OrthoHash's ImageNet100.

    python benchmarks/methods.py

Images come from ../shared/data/tinyimagenet100 beside the repository; --data names another folder that holds
train.parquet and test.parquet.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import hashlens as hl
from hashlens.backbones import extract_features, load_backbone
from hashlens.methods import METHODS, SEMANTIC, Method, OrthoHash
from hashlens.sources import FeatureArray, ImageSource

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data" / "tinyimagenet100"
TRAINING_PER_CLASS = 130
COMPARED: dict[str, Method] = {
    "orthohash": METHODS["orthohash"],
    "csq": METHODS["csq"],
    "mds": METHODS["mds"],
    "shc": METHODS["shc"],
    "hashlens": METHODS["hashlens"],
    "orthohash, semantic centres": OrthoHash(centres=SEMANTIC),
    "orthohash, semantic centres, margin 0.5": OrthoHash(centres=SEMANTIC, margin=0.5),
}
FIGURES = ("mAP@100", "mAP@1000", "mAP@all")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=SHARED)
    parser.add_argument("--methods", nargs="+", choices=COMPARED, default=list(COMPARED))
    parser.add_argument("--bits", type=int, nargs="+", default=[16, 32, 64])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--image-size", type=int, default=96)
    options = parser.parse_args()

    queries = features_of(options.data / "test.parquet", options.image_size)
    database = features_of(options.data / "train.parquet", options.image_size)
    header = " | ".join(f"{bits} bits" for bits in options.bits)
    rows = []
    for name in options.methods:
        cells = []
        for bits in options.bits:
            results = [run(COMPARED[name], queries, database, bits, seed) for seed in options.seeds]
            print(json.dumps({"method": name, "bits": bits, "results": results}), flush=True)
            cells.append(" / ".join(_mean([result[figure] for result in results]) for figure in FIGURES))
        rows.append(f"| {name} | {' | '.join(cells)} |")
    print(f"\n{' / '.join(FIGURES)}, mean of seeds {options.seeds}")
    print(f"| method | {header} |\n| --- |{' --- |' * len(options.bits)}")
    print("\n".join(rows))


def run(method: Method, queries: FeatureArray, database: FeatureArray, bits: int, seed: int) -> dict[str, float]:
    """Train and evaluate once."""
    assert database.labels is not None
    assert queries.labels is not None
    started = time.perf_counter()
    model = hl.fit(database.select(training_items(database.labels, seed)), method=method, bits=bits, seed=seed)
    seconds = time.perf_counter() - started
    report = hl.evaluate(
        model.encode(queries), queries.labels, model.encode(database), database.labels, (100, 1000, None), bits=bits
    )
    return {figure: report[figure] for figure in FIGURES} | {"training_seconds": seconds}


def training_items(labels: NDArray[np.generic], seed: int) -> NDArray[np.int64]:
    """Numbers of the training images, as many of each class."""
    random = np.random.default_rng(seed)
    members = [np.flatnonzero(labels == number) for number in np.unique(labels)]
    return np.concatenate([random.permutation(own)[:TRAINING_PER_CLASS] for own in members])


def features_of(path: Path, image_size: int) -> FeatureArray:
    """Features of all images of a table."""
    images = hl.open_source(path)
    assert isinstance(images, ImageSource)
    extracted = extract_features(images, load_backbone(image_size=image_size))
    return FeatureArray(path.stem, extracted.values, images.labels, images.class_names)


def _mean(values: list[float]) -> str:
    return f"{statistics.mean(values):.3f}".removeprefix("0")


if __name__ == "__main__":
    main()
