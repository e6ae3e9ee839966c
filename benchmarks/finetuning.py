"""What minutes of training the backbone buy: CIFAR-10 by OrthoHash's protocol, mAP over the whole database.

    python benchmarks/finetuning.py                              # 0, 3 and 12 epochs, 64 bits
    python benchmarks/finetuning.py --epochs 30 --backbone efficientnet_lite2

Of each class 100 images are queries and 500 are for training, drawn by the seed; the database is all 59,000 that
are not queries. No epochs are the frozen backbone. Minutes are of training, with the features of training images
but without the encoding of the database, by the clock; ``taskset -c 0`` shows those of one processor.

Images come from ../shared/data/cifar10 beside the repository where that exists, else from torchvision's download.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import hashlens as hl
from hashlens import progress_bar
from hashlens.backbones import DEFAULT_BACKBONE
from hashlens.metrics import mean_average_precision
from hashlens.sources.protocols import draw_protocol

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data" / "cifar10"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, nargs="+", default=[0, 3, 12])
    parser.add_argument("--method", default="hashlens")
    parser.add_argument("--bits", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--backbone", default=DEFAULT_BACKBONE)
    parser.add_argument("--image-size", type=int, help="the backbone's own by default; CIFAR-10 has 32 pixels")
    options = parser.parse_args()

    images = hl.open_source(SHARED if SHARED.is_dir() else "cifar10")
    assert images.labels is not None
    drawn = draw_protocol(images.labels, seed=options.seed)
    print("| epochs | minutes | mAP@all |\n| --- | --- | --- |", flush=True)
    for epochs in options.epochs:
        started = time.perf_counter()
        model = hl.fit(
            images.select(drawn["train"]),
            options.method,
            options.bits,
            backbone=options.backbone,
            image_size=options.image_size,
            finetune=epochs > 0,
            epochs=epochs or None,
            seed=options.seed,
            progress=progress_bar,
        )
        minutes = (time.perf_counter() - started) / 60
        with model.encoder(progress=progress_bar) as encode:
            codes = encode(images)
        score = mean_average_precision(
            codes[drawn["queries"]], images.labels[drawn["queries"]],
            codes[drawn["database"]], images.labels[drawn["database"]], bits=options.bits,
        )  # fmt: skip
        print(f"| {epochs} | {minutes:.1f} | {score:.3f} |", flush=True)


if __name__ == "__main__":
    main()
