"""Images with several labels, put together from those of one: for comparing what methods make of label sets.

    python benchmarks/mosaics.py ../shared/data/tinyimagenet100 FOLDER
    hashlens compare FOLDER/mosaics:train --queries FOLDER/mosaics:test --database FOLDER/mosaics:database \
        --methods orthohash,orthohash-bce -o compared

A mosaic is a square of four places, of which one to four, drawn at random, hold an image each, and the others are
grey; its labels are their classes. FOLDER/mosaics/train.parquet and database.parquet are each made of half of the
images of the split train, test.parquet of those of the split test; each image stands in one mosaic.
"""

from __future__ import annotations

import argparse
import io
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from PIL import Image

import hashlens as hl

SIDE = 64  # pixels of a place
GREY = (128, 128, 128)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", help="images in a folder with the splits train and test")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    target = options.folder / "mosaics"
    target.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(options.seed)
    train, test = (hl.open_source(options.source, split) for split in ("train", "test"))
    halves = np.array_split(rng.permutation(len(train)), 2)
    for name, images, items in (
        ("train", train, halves[0]),
        ("database", train, halves[1]),
        ("test", test, rng.permutation(len(test))),
    ):
        rows = mosaics_of(images, items, rng)
        write(rows, images.class_names, target / f"{name}.parquet")
        print(f"{target / name}.parquet: {len(rows):,} mosaics of {len(items):,} images")


def mosaics_of(
    images: hl.Source, items: NDArray[np.int64], rng: np.random.Generator
) -> list[tuple[bytes, list[int]]]:
    """JPEG files and their labels, of mosaics that hold every item once."""
    assert images.labels is not None
    rows, used = [], 0
    while used < len(items):
        parts = items[used : used + int(rng.integers(1, 5))]
        used += len(parts)
        mosaic = Image.new("RGB", (2 * SIDE, 2 * SIDE), GREY)
        for item, place in zip(parts, rng.permutation(4), strict=False):
            image = images.image(int(item)).resize((SIDE, SIDE))
            mosaic.paste(image, (SIDE * int(place % 2), SIDE * int(place // 2)))
        content = io.BytesIO()
        mosaic.save(content, "JPEG", quality=95)
        rows.append((content.getvalue(), sorted({int(images.labels[item]) for item in parts})))
    return rows


def write(rows: list[tuple[bytes, list[int]]], classes: Sequence[str], path: Path) -> None:
    """In the convention of Hugging Face, labels as lists of class numbers."""
    features = {
        "image": {"_type": "Image"},
        "labels": {"_type": "Sequence", "feature": {"_type": "ClassLabel", "names": classes}},
    }
    content = [{"bytes": image, "path": f"{number}.jpg"} for number, (image, _) in enumerate(rows)]
    table = pa.table({"image": content, "labels": pa.array([own for _, own in rows], pa.list_(pa.int64()))})
    described = {"huggingface": json.dumps({"info": {"features": features}})}
    pq.write_table(table.replace_schema_metadata(described), path, compression="none")


if __name__ == "__main__":
    main()
