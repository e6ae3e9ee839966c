"""Every second class of Tiny ImageNet-200 as the tables that the benchmarks read.

    curl -O http://cs231n.stanford.edu/tiny-imagenet-200.zip          # 248 MB
    python benchmarks/tiny_imagenet.py tiny-imagenet-200.zip FOLDER
    hashlens compare FOLDER/tinyimagenet100 --methods orthohash,hashlens --train-per-class 130 -o compared

Of each class FOLDER/tinyimagenet100/train.parquet holds the first 300 training images by name, and test.parquet its
50 validation images. Their order is drawn by a seed of its own; the order behind the figures in docs/ is not known
any more, so a seed of a benchmark draws other training images from the same 300.
"""

from __future__ import annotations

import argparse
import json
import zipfile
from collections import defaultdict
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

ROOT = "tiny-imagenet-200"
PER_CLASS = 300


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("archive", type=Path, help="tiny-imagenet-200.zip")
    parser.add_argument("folder", type=Path)
    options = parser.parse_args()
    with zipfile.ZipFile(options.archive) as archive:
        classes = sorted(archive.read(f"{ROOT}/wnids.txt").decode().split())[::2]
        members: dict[str, list[str]] = defaultdict(list)
        for name in sorted(archive.namelist()):
            parts = name.split("/")
            if parts[1:2] == ["train"] and name.endswith(".JPEG"):
                members[parts[2]].append(name)
        train = [(name, own) for own in classes for name in members[own][:PER_CLASS]]
        rows = [line.split("\t") for line in archive.read(f"{ROOT}/val/val_annotations.txt").decode().splitlines()]
        test = [(f"{ROOT}/val/images/{name}", own) for name, own, *_ in sorted(rows) if own in classes]
        target = options.folder / "tinyimagenet100"
        target.mkdir(parents=True, exist_ok=True)
        for split, images in (("train", train), ("test", test)):
            write(archive, images, classes, target / f"{split}.parquet")
            print(f"{target / split}.parquet: {len(images):,} images of {len(classes)} classes")


def write(archive: zipfile.ZipFile, images: list[tuple[str, str]], classes: list[str], path: Path) -> None:
    """Images and their classes, in a random order, in the convention of Hugging Face."""
    shuffled = [images[place] for place in np.random.default_rng(0).permutation(len(images))]
    content = [{"bytes": archive.read(name), "path": f"{own}/{Path(name).name}"} for name, own in shuffled]
    labels = [classes.index(own) for _, own in shuffled]
    features = {"image": {"_type": "Image"}, "label": {"_type": "ClassLabel", "names": classes}}
    table = pa.table({"image": content, "label": pa.array(labels, pa.int64())})
    described = {"huggingface": json.dumps({"info": {"features": features}})}
    pq.write_table(table.replace_schema_metadata(described), path, compression="none")


if __name__ == "__main__":
    main()
