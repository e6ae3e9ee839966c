"""All methods on frozen features: mAP@100, mAP@1000, mAP over the whole database, mAHP@250.

    python benchmarks/methods.py                          # Tiny ImageNet, 100 classes, the network that we use
    python benchmarks/methods.py --hidden-layers none     # … with a linear hash layer, as in the papers
    python benchmarks/methods.py --data fashion-mnist
    python benchmarks/methods.py --data mosaics           # label sets
    python benchmarks/methods.py --real-valued            # also codes before they are rounded
    python benchmarks/methods.py --unseen-classes 25      # train on 75 classes, search among the other 25
    python benchmarks/methods.py --unlabelled             # methods without labels beside the float features

tinyimagenet100: queries are the test split (5,000 images), the database is the train split (30,000); of each class
130 images of the database, drawn anew for each seed, are for training, as in OrthoHash's ImageNet100. A method that
learns its training images by heart gains from this, so --unseen leaves them out of the database.

fashion-mnist: queries are the test split (10,000), the database is the train split (60,000), of which 130 a class
are for training.

mosaics: pictures of 128 pixels put together from one to four images of tinyimagenet100, whose classes are the label
set; 2,000 from the test split are queries, 13,000 from the train split the database, 5,000 of these for training.

Classes are related by WordNet, which must be installed (Debian: wordnet-base). Images come from ../shared/data
beside the repository; --folder names another folder that holds tinyimagenet100/train.parquet and test.parquet,
which tiny_imagenet.py makes.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import hashlens as hl
from frozen_features import features_of
from hashlens.backbones import DEFAULT_BACKBONE
from hashlens.classes import Taxonomy, open_taxonomy
from hashlens.methods import (
    METHODS,
    PROJECTIONS,
    SEMANTIC,
    SHREWD,
    CentralSimilarityHashing,
    HashLens,
    Method,
    OrthoHash,
    Projection,
)
from hashlens.metrics.ties import average_precision
from hashlens.sources import FeatureArray, ImageArray, Source

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
COMPARED: dict[str, Method] = {
    "orthohash": METHODS["orthohash"],
    "csq": METHODS["csq"],
    "csq-hadamard": METHODS["csq-hadamard"],
    "mds": METHODS["mds"],
    "mds-best-known": METHODS["mds-best-known"],
    "shc": METHODS["shc"],
    "shc-annealed": METHODS["shc-annealed"],
    "shrewd": METHODS["shrewd"],
    "shrewd, no labels": SHREWD(classification_weight=0),
    "shrewd, no labels, near pairs": SHREWD(classification_weight=0, divergence_weight=0.01, rho=6),
    "hashlens": METHODS["hashlens"],
    "hashlens-taxonomy": METHODS["hashlens-taxonomy"],
    "hashlens, confusion": HashLens(similarity="confusion"),
    "orthohash, semantic centres": OrthoHash(centres=SEMANTIC),
    "orthohash, taxonomy centres": OrthoHash(centres=SEMANTIC, similarity="taxonomy"),
    "shc-annealed, class means": CentralSimilarityHashing(centres=SEMANTIC, similarity="class-means"),
    "shc-annealed, taxonomy": CentralSimilarityHashing(centres=SEMANTIC, similarity="taxonomy"),
}
FIRST = (
    "orthohash", "csq-hadamard", "mds-best-known", "shc-annealed", "shrewd", "shrewd, no labels", "hashlens",
    "hashlens-taxonomy",
)  # fmt: skip
COMPONENTS = "signs of principal components"
UNLABELLED_BITS = (16, 32, 64, 128, 256)
DEPTHS = (100, 250, 1000, None)


@dataclass(frozen=True)
class Benchmark:
    """What is searched with, what in, and which of that can be trained on."""

    queries: Source
    database: Source
    training_per_class: int
    taxonomy: Taxonomy | None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", choices=DATA, default="tinyimagenet100")
    parser.add_argument("--folder", type=Path, default=SHARED)
    parser.add_argument("--methods", nargs="+", choices=COMPARED, default=list(FIRST))
    parser.add_argument("--backbone", default=DEFAULT_BACKBONE)
    parser.add_argument("--image-size", type=int, help="the backbone's own by default")
    parser.add_argument("--bits", type=int, nargs="+", default=[16, 32, 64])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--hidden-layers", help="such as 1024,1024, or none; the methods' own by default")
    parser.add_argument("--feature-dropout", type=float, help="the methods' own by default")
    parser.add_argument("--unseen", action="store_true", help="search only images that were not trained on")
    parser.add_argument(
        "--unseen-classes", type=int, default=0, help="search only classes that were not trained on"
    )
    parser.add_argument("--real-valued", action="store_true", help="rank by continuous codes too")
    parser.add_argument(
        "--unlabelled", action="store_true", help="methods without labels, also at 128 and 256 bits, beside cosines"
    )
    options = parser.parse_args()

    benchmark = DATA[options.data](options.folder, options.backbone, options.image_size)
    if options.unlabelled:
        compare_unlabelled(benchmark, options)
        return
    figures = ["mAP@100", "mAP@1000", "mAP@all"] + (["mAHP@250"] if benchmark.taxonomy else [])
    layers = None
    if options.hidden_layers:
        layers = [] if options.hidden_layers == "none" else [int(size) for size in options.hidden_layers.split(",")]
    methods = [name for name in options.methods if benchmark.taxonomy or not COMPARED[name].needs_distance]
    rows: dict[int, list[list[str]]] = {bits: [] for bits in options.bits}
    for name in [COMPONENTS, *methods]:
        for bits in options.bits:
            method = PROJECTIONS["pca-signs"] if name == COMPONENTS else COMPARED[name]
            runs = [run(method, benchmark, bits, seed, layers, options) for seed in options.seeds]
            print(json.dumps({"method": name, "bits": bits, "runs": runs}), flush=True)
            for kind in runs[0]:
                found = [_mean([results[kind][figure] for results in runs]) for figure in figures]
                rows[bits].append([f"{name}{kind}", *found])
    print_table("method", figures, rows, options.seeds)


def run(
    method: Method | Projection,
    benchmark: Benchmark,
    bits: int,
    seed: int,
    layers: list[int] | None,
    options: argparse.Namespace,
) -> dict[str, dict[str, float]]:
    """Train and evaluate once: figures of binary codes under "", those of continuous codes under their name."""
    train, queries, database = sides_of(benchmark, seed, options)
    taxonomy = benchmark.taxonomy
    started = time.perf_counter()
    trained: dict[str, Any] = {}
    if isinstance(method, Method):
        trained = {"hidden_layers": layers, "feature_dropout": options.feature_dropout, "taxonomy": taxonomy}
    model = hl.fit(train, method, bits, seed=seed, device="cpu", **trained)
    seconds = time.perf_counter() - started
    report = evaluate(model.encode(queries), queries, model.encode(database), database, taxonomy, bits)
    results = {"": {name: value for name, value in report.items() if name.startswith(("mAP@", "mAHP@"))}}
    results[""]["training_seconds"] = seconds
    if options.real_valued:
        results[", real-valued"] = figures_of_continuous_codes(model, queries, database, taxonomy)
    return results


def sides_of(benchmark: Benchmark, seed: int, options: argparse.Namespace) -> tuple[Source, Source, Source]:
    """What is trained on, searched with and searched in."""
    queries, database = benchmark.queries, benchmark.database
    assert database.labels is not None and queries.labels is not None
    training = training_items(database.labels, benchmark.training_per_class, seed)
    train = database.select(training)
    if options.unseen:
        database = database.select(np.setdiff1d(np.arange(len(database)), training))
    if options.unseen_classes:
        drawn = np.random.default_rng(seed).permutation(len(database.class_names))
        unseen, seen = np.split(drawn, [options.unseen_classes])
        train = of_classes(train, np.sort(seen))
        queries, database = (side.select(np.isin(side.labels, unseen)) for side in (queries, database))
    return train, queries, database


def compare_unlabelled(benchmark: Benchmark, options: argparse.Namespace) -> None:
    """precision@10, mAP@100 and mAP over all of methods without labels, and of cosines of the float features."""
    figures = ("precision@10", "mAP@100", "mAP@all")
    rows: dict[int, list[list[str]]] = {bits: [] for bits in UNLABELLED_BITS}
    for name, method in PROJECTIONS.items():
        for bits in UNLABELLED_BITS:
            runs = []
            for seed in options.seeds:
                train, queries, database = sides_of(benchmark, seed, options)
                model = hl.fit(train, method, bits, seed=seed)
                sides = model.encode(queries), queries.labels, model.encode(database), database.labels
                runs.append(hl.evaluate(*sides, at=(10, 100, None), bits=bits))
            rows[bits].append([name, *(_mean([one[figure] for one in runs]) for figure in figures)])
            print(bits, *rows[bits][-1], flush=True)
    by_cosine = [cosine_figures(*sides_of(benchmark, seed, options)[1:]) for seed in options.seeds]
    print_table("codes", figures, rows, options.seeds)
    print(f"|  | cosines | {' | '.join(_mean([one[figure] for one in by_cosine]) for figure in figures)} |")


def print_table(
    what: str, figures: Sequence[str], rows: Mapping[int, Sequence[Sequence[str]]], seeds: list[int]
) -> None:
    """Of each code length one row for each method, so that what is compared stands in one column."""
    print(f"\nMean of seeds {seeds}\n| bits | {what} | {' | '.join(figures)} |")
    print(f"| --- | --- |{' --- |' * len(figures)}")
    for bits, own in rows.items():
        for row in own:
            print(f"| {bits} | {' | '.join(row)} |")


def cosine_figures(queries: Source, database: Source) -> dict[str, float]:
    """The same figures for the ranking by cosine."""
    assert queries.labels is not None and database.labels is not None
    sides = queries.features(), queries.labels, database.features(), database.labels
    return dict(hl.evaluate(*sides, at=(10, 100, None), distance="cosine"))


def evaluate(
    query_codes: NDArray[Any],
    queries: Source,
    database_codes: NDArray[Any],
    database: Source,
    taxonomy: Taxonomy | None,
    bits: int,
) -> dict[str, Any]:
    assert queries.labels is not None and database.labels is not None
    return hl.evaluate(
        query_codes, queries.labels, database_codes, database.labels, DEPTHS,
        taxonomy, database.class_names if taxonomy else None, bits,
    )  # fmt: skip


def of_classes(source: Source, classes: NDArray[np.int64]) -> FeatureArray:
    """The items of some classes, which are numbered anew."""
    assert source.labels is not None
    kept = source.select(np.isin(source.labels, classes))
    names = [source.class_names[number] for number in classes]
    return FeatureArray(source.name, kept.features(), np.searchsorted(classes, kept.labels), names)


def figures_of_continuous_codes(
    model: hl.HashModel, queries: Source, database: Source, taxonomy: Taxonomy | None
) -> dict[str, float]:
    """mAP and mAHP of rankings by L1 distance for codes in (0, 1), else by cosine, which have no ties."""
    asked, searched = model.continuous_codes(queries), model.continuous_codes(database)
    assert queries.labels is not None and database.labels is not None
    similarity = taxonomy.similarity_matrix(database.class_names) if taxonomy else None
    ones = np.ones(len(searched), np.int64)
    sums: dict[str, float] = {}
    for number, code in enumerate(asked):
        if model.hash_layer == "sigmoid":
            distances = np.abs(searched - code).sum(1)
        else:
            distances = -(searched @ code) / np.linalg.norm(searched, axis=1)
        order = np.argsort(distances, kind="stable")
        relevant = (database.labels == queries.labels[number])[order].astype(np.int64)
        for depth in DEPTHS:
            name = f"mAP@{depth or 'all'}"
            sums[name] = sums.get(name, 0.0) + average_precision(ones, relevant, depth or len(ones))[0]
        if similarity is not None:
            gains = similarity[queries.labels[number]][database.labels]
            curve = np.cumsum(gains[order[:250]]) / np.cumsum(-np.sort(-gains)[:250])
            sums["mAHP@250"] = sums.get("mAHP@250", 0.0) + float(np.trapezoid(curve, dx=1 / 250))
    return {name: value / len(asked) for name, value in sums.items()}


def training_items(labels: NDArray[Any], per_class: int, seed: int) -> NDArray[np.int64]:
    """Numbers of the training items: as many of each class, or, of label sets, as many in all as that makes."""
    random = np.random.default_rng(seed)
    if labels.ndim == 2:
        return random.permutation(len(labels))[: per_class * labels.shape[1]]
    members = [np.flatnonzero(labels == number) for number in np.unique(labels)]
    return np.concatenate([random.permutation(own)[:per_class] for own in members])


def tiny_imagenet(folder: Path, *backbone: Any) -> Benchmark:
    splits = [hl.open_source(folder / "tinyimagenet100" / f"{split}.parquet") for split in ("test", "train")]
    queries, database = (features_of(images, images.name, *backbone) for images in splits)
    return Benchmark(queries, database, 130, open_taxonomy("wordnet", database.class_names))


def fashion_mnist(_folder: Path, *backbone: Any) -> Benchmark:
    splits = [hl.open_source(f"fashion-mnist:{split}") for split in ("test", "train")]
    queries, database = (features_of(images, images.name, *backbone) for images in splits)
    return Benchmark(queries, database, 130, open_taxonomy("wordnet", database.class_names))


def mosaics(folder: Path, *backbone: Any) -> Benchmark:
    sides = []
    for split, count in (("test", 2_000), ("train", 13_000)):
        images = hl.open_source(folder / "tinyimagenet100" / f"{split}.parquet")
        sides.append(features_of(mosaics_of(images, count), f"mosaics of {split}", *backbone))
    return Benchmark(sides[0], sides[1], 50, None)


DATA = {"tinyimagenet100": tiny_imagenet, "fashion-mnist": fashion_mnist, "mosaics": mosaics}


def mosaics_of(images: Source, count: int) -> ImageArray:
    """Pictures of one to four different images on a black square of 2 × 2, and the sets of their classes."""
    random = np.random.default_rng(0)
    side = 64
    pixels = np.zeros((count, 2 * side, 2 * side, 3), np.uint8)
    marks = np.zeros((count, len(images.class_names)), bool)
    assert images.labels is not None
    for number in range(count):
        places = random.permutation(4)[: random.integers(1, 5)]
        for place, item in zip(places, random.choice(len(images), len(places), replace=False), strict=True):
            top, left = side * (place // 2), side * (place % 2)
            pixels[number, top : top + side, left : left + side] = images.image(int(item)).resize((side, side))
            marks[number, images.labels[item]] = True
    return ImageArray(f"mosaics of {images.name}", pixels, marks, images.class_names)


def _mean(values: list[float]) -> str:
    return f"{statistics.mean(values):.3f}".removeprefix("0")


if __name__ == "__main__":
    main()
