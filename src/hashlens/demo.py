"""The main job on real images, with words for a newcomer."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import numpy as np

from hashlens.catalogue import Catalogue
from hashlens.errors import BadInput
from hashlens.reports import write_report
from hashlens.sources import Source, open_source
from hashlens.terminal import print_metrics, print_results
from hashlens.training import fit

BITS = 64
IMAGE_SIZE = 64
TRAINING_IMAGES, DATABASE_IMAGES, QUERIES = 10_000, 20_000, 1_000


def run_demo(folder: Path, seed: int = 0) -> None:
    """Fit, index, search and evaluate on Fashion-MNIST, or on scikit-learn's digits where that cannot be had.

    Args:
        folder: gets ``model``, ``index``, ``report`` and ``query.png``; those of an earlier demo are replaced.
    """
    started = time.monotonic()
    folder.mkdir(parents=True, exist_ok=True)
    train, test = _images()
    random = np.random.default_rng(seed)
    order = random.permutation(len(train))
    database = train.select(np.sort(order[-DATABASE_IMAGES:]))
    training = train.select(np.sort(order[:TRAINING_IMAGES]))
    queries = test.select(np.sort(random.permutation(len(test))[:QUERIES]))

    _say(
        f"1. Learn: from {len(training):,} labelled pictures, a network learns to write every picture as {BITS} "
        "bits, so that\n   pictures of the same class differ in few bits."
    )
    model = fit(training, "orthohash", BITS, image_size=IMAGE_SIZE, finetune=False, seed=seed)
    model.save(folder / "model")

    _say(f"2. Index: encode {len(database):,} pictures; their codes take {len(database) * BITS // 8192:,} KiB.")
    if (folder / "index").is_dir():
        shutil.rmtree(folder / "index")
    catalogue = Catalogue.create(folder / "index", model)
    catalogue.update(database)

    query = queries.image(0)
    query.save(folder / "query.png")
    _say(f"3. Search: a new picture ({queries.label_names(0)[0]}, {folder / 'query.png'}) finds its nearest.")
    hits = catalogue.search(model.encode(query), k=5)[0]
    print_results({"query": str(folder / "query.png"), "results": [vars(hit) for hit in hits]})

    _say(f"4. Evaluate: {len(queries):,} new pictures search, and we count how many results are of their class.")
    report = write_report(model, database, queries, folder / "report")
    print_metrics(report)
    minutes, seconds = divmod(round(time.monotonic() - started), 60)
    _say(
        f"Done in {minutes} min {seconds} s. Open {folder / 'report' / 'report.html'} in a browser to see plots "
        "and results.\n\n"
        "Now with your own pictures, one folder for each class:\n\n"
        "  hashlens fit photos/ -o model\n"
        "  hashlens index model photos/ -o index\n"
        "  hashlens search index some-picture.jpg"
    )


def _images() -> tuple[Source, Source]:
    try:
        sources = open_source("fashion-mnist:train"), open_source("fashion-mnist:test")
        _say("Fashion-MNIST: 70,000 small pictures of clothes in ten classes.")
    except BadInput as error:
        sources = open_source("digits:train"), open_source("digits:test")
        _say(f"{error}\nSo the demo runs on scikit-learn's 1,797 handwritten digits instead.")
    return sources


def _say(text: str) -> None:
    print(f"\n{text}", flush=True)
