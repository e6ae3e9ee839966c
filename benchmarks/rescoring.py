"""What an index gains by ordering the nearest codes by a byte for each bit, and what that costs.

    python benchmarks/rescoring.py

Tiny ImageNet (tiny_imagenet.py), divided as by hashlens compare --train-per-class 130 --exclude-training:
precision@10 and mAP@10 by distance alone, exact under ties, and rescored; milliseconds of one search for 10 images
in a catalogue of the 17,000, by one thread after another.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import hashlens as hl
from hashlens import progress_bar
from hashlens.backbones import DEFAULT_BACKBONE, load_backbone
from hashlens.reports.compared_sides import Division, OnceComputed
from hashlens.reports.rescoring import rescored_scores, shown_items

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
CASES = (("hashlens", 16), ("hashlens", 64), ("itq", 64), ("itq", 256))
TIMED = 300


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=SHARED)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options = parser.parse_args()
    division = Division(train_per_class=130, exclude_training=True)
    sides = division.sides_of(options.folder / "tinyimagenet100", None, None, options.seeds)
    features = OnceComputed(list(sides.values()), load_backbone(DEFAULT_BACKBONE), None, progress_bar)
    print("| codes | precision@10 | rescored | mAP@10 | rescored | ms | rescored |\n|" + " --- |" * 7)
    for method, bits in CASES:
        runs = [compare(method, bits, seed, *features.of(sides[seed])) for seed in options.seeds]
        means = [sum(column) / len(runs) for column in zip(*runs, strict=True)]
        figures = " | ".join([f"{value:.3f}" for value in means[:4]] + [f"{value:.2f}" for value in means[4:]])
        print(f"| {method}, {bits} bits | {figures} |", flush=True)


def compare(
    method: str, bits: int, seed: int, train: hl.Source, queries: hl.Source, database: hl.Source
) -> tuple[float, ...]:
    assert queries.labels is not None and database.labels is not None
    model = hl.fit(train, method, bits, seed=seed, device="cpu")
    with model.encoder() as encoder:
        asked, searched = encoder.all(queries), encoder.all(database)
    plain = hl.evaluate(asked.codes, queries.labels, searched.codes, database.labels, at=(10,), bits=bits)
    index = hl.HammingIndex.build(searched.codes, bits)
    rescored = rescored_scores(shown_items(asked, searched, index), queries.labels, database.labels)
    figures = [
        score
        for name in ("precision@10", "mAP@10")
        for score in (plain[name], float(rescored[f"{name}/rescored"].mean()))
    ]
    with tempfile.TemporaryDirectory() as folder:
        catalogue = hl.Catalogue.create(Path(folder, "index"), model)
        catalogue.update(database)
        for rescore in (False, True):
            started = time.perf_counter()
            for query in range(TIMED):
                catalogue.search(
                    asked.codes[query : query + 1],
                    10,
                    details=asked.details[query : query + 1] if rescore else None,
                )
            figures.append(1000 * (time.perf_counter() - started) / TIMED)
    return tuple(figures)


if __name__ == "__main__":
    main()
