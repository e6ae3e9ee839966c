"""``hashlens demo``"""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hashlens.cli.tables import print_comparison, print_metrics, print_results
from hashlens.cli.verbs import VERBS
from hashlens.errors import BadInput
from hashlens.progress import progress_bar

if TYPE_CHECKING:
    from hashlens.sources import Source

BITS = 64
IMAGE_SIZE = 64
TRAINING_IMAGES, DATABASE_IMAGES, QUERIES = 10_000, 20_000, 1_000
MARKER = ".hashlens-demo"  # in a folder that a demo made, and may make again


@VERBS.register("demo")
def demo(
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder for model, index and report.")] = Path(
        "hashlens-demo"
    ),
    seed: int = 0,
) -> None:
    """See it work: learn codes on Fashion-MNIST, index, search and evaluate, in a few minutes."""
    import numpy as np

    from hashlens.catalogue import Catalogue
    from hashlens.reports import write_report
    from hashlens.training import fit

    started = time.monotonic()
    _own(output)
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
    model = fit(training, bits=BITS, image_size=IMAGE_SIZE, finetune=False, seed=seed, progress=progress_bar)
    model.save(output / "model")

    _say(f"2. Index: encode {len(database):,} pictures; their codes take {len(database) * BITS // 8192:,} KiB.")
    catalogue = Catalogue.create(output / "index", model)
    catalogue.update(database, progress=progress_bar)

    query = queries.image(0)
    query.save(output / "query.png")
    _say(f"3. Search: a new picture ({queries.label_names(0)[0]}, {output / 'query.png'}) finds its nearest.")
    ((path, hits),) = catalogue.search_images([output / "query.png"], k=5).answers
    print_results({"query": path, "results": [vars(hit) for hit in hits]})

    _say(f"4. Evaluate: {len(queries):,} new pictures search, and we count how many results are of their class.")
    report = write_report(
        model, queries=queries, database=database, folder=output / "report", progress=progress_bar
    )
    print_metrics(report)
    print_comparison(report)
    minutes, seconds = divmod(round(time.monotonic() - started), 60)
    _say(
        f"Done in {minutes} min {seconds} s. Open {output / 'report' / 'report.html'} in a browser to see plots "
        f"and results; search in one with\n\n  hashlens serve {output / 'index'}\n\n"
        "Now with your own pictures, one folder for each class:\n\n"
        "  hashlens fit photos/ -o model\n"
        "  hashlens index model photos/ -o index\n"
        "  hashlens search index some-picture.jpg"
    )


def _own(folder: Path) -> None:
    """Make the folder, or empty it of what an earlier demo left there."""
    if folder.exists() and not folder.is_dir():
        raise BadInput(f"{folder} is a file; choose a folder for the demo.")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / MARKER).is_file():
        raise BadInput(f"{folder} holds something that no demo made; choose a new folder for the demo.")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MARKER).touch()
    for name in ("model", "index", "report"):
        shutil.rmtree(folder / name, ignore_errors=True)


def _images() -> tuple[Source, Source]:
    from hashlens.sources import open_source

    try:
        sources = open_source("fashion-mnist:train"), open_source("fashion-mnist:test")
        _say("Fashion-MNIST: 70,000 small pictures of clothes in ten classes.")
    except BadInput as error:
        sources = open_source("digits:train"), open_source("digits:test")
        _say(f"{error}\nSo the demo runs on scikit-learn's 1,797 handwritten digits instead.")
    return sources


def _say(text: str) -> None:
    print(f"\n{text}", flush=True)
