"""Classes that were not trained on, beside those that were: mAP over all by mixing, feature dropout, hidden layers.

    python benchmarks/unseen_classes.py              # 16, 32 and 64 bits, three seeds

Of the 100 classes of Tiny ImageNet 75, drawn for each seed, are trained on, with 130 images each of the train
split. Queries are every other image of the test split; those of either side, of the 75 classes and of the
other 25, search the images of the same side in the train split that were not trained on.

Images come from ../shared/data beside the repository; --folder names another folder that holds
tinyimagenet100/train.parquet and test.parquet, which tiny_imagenet.py makes.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

import hashlens as hl
from frozen_features import mean_and_spread, tiny_imagenet
from hashlens.methods import HashLens
from hashlens.sources import FeatureArray

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
TRAINING_PER_CLASS = 130
UNSEEN = 25
TRAININGS: dict[str, tuple[HashLens, dict[str, Any]]] = {
    "the default": (HashLens(), {}),
    "feature dropout 0.5": (HashLens(), {"feature_dropout": 0.5}),
    "feature dropout 0.5, no hidden layers": (HashLens(), {"feature_dropout": 0.5, "hidden_layers": ()}),
    "mixing": (HashLens(mixing=1.0), {}),
    "mixing, feature dropout 0.35": (HashLens(mixing=1.0), {"feature_dropout": 0.35}),
    "mixing, feature dropout 0.5": (HashLens(mixing=1.0), {"feature_dropout": 0.5}),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=SHARED)
    parser.add_argument("--bits", type=int, nargs="+", default=[16, 32, 64])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--trainings", nargs="+", choices=TRAININGS, default=list(TRAININGS))
    options = parser.parse_args()
    train, test = tiny_imagenet(options.folder)
    print("| bits | training | trained on | others |\n| --- | --- | --- | --- |", flush=True)
    for bits in options.bits:
        for name in options.trainings:
            runs = [run(train, test, *TRAININGS[name], bits, seed) for seed in options.seeds]
            print(f"| {bits} | {name} | {' | '.join(map(mean_and_spread, zip(*runs, strict=True)))} |", flush=True)


def run(
    train: FeatureArray, test: FeatureArray, method: HashLens, options: dict[str, Any], bits: int, seed: int
) -> tuple[float, float]:
    """Train once; mAP over all of the classes that were trained on, and of the others."""
    random = np.random.default_rng(seed)
    labels, asked = np.asarray(train.labels), np.asarray(test.labels)
    unseen, seen = np.split(random.permutation(len(train.class_names)), [UNSEEN])
    members = [random.permutation(np.flatnonzero(labels == one)) for one in seen]
    training = np.concatenate([own[:TRAINING_PER_CLASS] for own in members])
    numbers = np.searchsorted(np.sort(seen), labels[training])
    features = FeatureArray("training", train.features()[training], numbers)
    model = hl.fit(features, method, bits, seed=seed, device="cpu", **options)
    rest = np.setdiff1d(np.arange(len(labels)), training)
    queries, database = model.encode(test), model.encode(train)
    found = []
    for classes in (seen, unseen):
        ours = np.flatnonzero(np.isin(asked, classes))[::2]
        theirs = rest[np.isin(labels[rest], classes)]
        figures = hl.evaluate(queries[ours], asked[ours], database[theirs], labels[theirs], (None,), bits=bits)
        found.append(figures["mAP@all"])
    print(json.dumps({"bits": bits, "seed": seed, "trained on": found[0], "others": found[1]}), flush=True)
    return found[0], found[1]


if __name__ == "__main__":
    main()
