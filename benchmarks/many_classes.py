"""Hundreds of classes in few bits: which loss and which smallest distance of hash centres serve, by mAP.

    python benchmarks/many_classes.py                 # 200, 500 and 1,000 classes, 16, 32 and 64 bits, three seeds

Classes are parts of the 100 classes of Tiny ImageNet: the features of the training images of a class are divided
by k-means, and every other image belongs to the part whose mean is nearest to it. Of the train split half of each
class is trained on, drawn anew for each seed, and the other half is the database; queries are the test split.

Images come from ../shared/data beside the repository; --folder names another folder that holds
tinyimagenet100/train.parquet and test.parquet, which tiny_imagenet.py makes.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans

import hashlens as hl
from frozen_features import mean_and_spread, tiny_imagenet
from hashlens.centres import minimum_distance
from hashlens.methods import CentreMethod, HashLens
from hashlens.methods.central_similarity import CentralSimilarityHashing
from hashlens.sources import FeatureArray

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
TRAINING_PER_CLASS = 150
LOSSES = {
    "cosine softmax": HashLens(),
    "per bit": CentralSimilarityHashing(centres="semantic", similarity="class-means"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=SHARED)
    parser.add_argument("--classes", type=int, nargs="+", default=[200, 500, 1000])
    parser.add_argument("--bits", type=int, nargs="+", default=[16, 32, 64])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument(
        "--distances", type=float, nargs="+", default=[],
        help="smallest distances of two centres to try too, as shares of that which HashLens chooses",
    )  # fmt: skip
    options = parser.parse_args()
    train, test = tiny_imagenet(options.folder)
    print("| classes | bits | d | loss | mAP@100 | mAP@all |\n| --- | --- | --- | --- | --- | --- |", flush=True)
    for classes in options.classes:
        sides = {seed: sides_of(train, test, classes // len(train.class_names), seed) for seed in options.seeds}
        for bits in options.bits:
            chosen: int | None = None
            tried: set[int] = set()
            for share in [1.0, *options.distances]:
                distance = None if chosen is None else max(1, round(share * chosen))
                if distance in tried:
                    continue  # small distances are rounded to the same
                for loss, method in LOSSES.items():
                    method = replace(method, min_distance=distance)
                    found = [run(*sides[seed], method, bits, seed) for seed in options.seeds]
                    chosen = chosen or int(found[0]["d"])
                    tried.add(distance or chosen)
                    figures = [mean_and_spread([one[name] for one in found]) for name in ("mAP@100", "mAP@all")]
                    row = (classes, bits, f"{found[0]['d']:.0f}", loss, *figures)
                    print(f"| {' | '.join(map(str, row))} |", flush=True)


def sides_of(
    train: FeatureArray, test: FeatureArray, parts: int, seed: int
) -> tuple[FeatureArray, FeatureArray, FeatureArray]:
    """What is trained on, searched with and searched in, with parts of classes as labels."""
    random = np.random.default_rng(seed)
    labels, asked = np.asarray(train.labels), np.asarray(test.labels)
    features, queries = train.features(), test.features()
    training, of_train, of_test = [], np.empty(len(labels), np.int64), np.empty(len(asked), np.int64)
    for number in range(len(train.class_names)):
        members = random.permutation(np.flatnonzero(labels == number))
        own = members[:TRAINING_PER_CLASS]
        means = KMeans(parts, n_init=4, random_state=seed).fit(features[own])
        of_train[members] = number * parts + means.predict(features[members])
        of_test[asked == number] = number * parts + means.predict(queries[asked == number])
        training.append(own)
    items = np.sort(np.concatenate(training))
    rest = np.setdiff1d(np.arange(len(labels)), items)
    return (
        FeatureArray("training", features[items], of_train[items]),
        FeatureArray("queries", queries, of_test),
        FeatureArray("database", features[rest], of_train[rest]),
    )


def run(
    train: FeatureArray, queries: FeatureArray, database: FeatureArray, method: CentreMethod, bits: int, seed: int
) -> dict[str, float]:
    """Train and evaluate once."""
    model = hl.fit(train, method, bits, seed=seed, device="cpu")
    sides = model.encode(queries), labels_of(queries), model.encode(database), labels_of(database)
    found = hl.evaluate(*sides, (100, None), bits=bits)
    assert model.codebook is not None
    result = {"mAP@100": found["mAP@100"], "mAP@all": found["mAP@all"], "d": minimum_distance(model.codebook)}
    print(json.dumps({"classes": len(train.class_names), "bits": bits, "seed": seed, **result}), flush=True)
    return result


def labels_of(source: FeatureArray) -> NDArray[np.integer]:
    assert source.labels is not None
    return source.labels


if __name__ == "__main__":
    main()
