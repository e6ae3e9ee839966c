"""Pictures with label sets: mosaics of one to four images of Tiny ImageNet, whose classes are the set.

    python benchmarks/mosaics.py ../shared/data FOLDER
    hashlens compare FOLDER/mosaics --methods orthohash,hashlens --train-per-class 50 -o compared

Reads tinyimagenet100/train.parquet and test.parquet, which tiny_imagenet.py makes, and writes mosaics/train.parquet
(13,000 pictures) and test.parquet (2,000): different images on a black square of two by two, 128 pixels wide.
"""

from __future__ import annotations

import argparse
import io
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

import hashlens as hl

SIDE = 64
COUNTS = {"train": 13_000, "test": 2_000}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", type=Path, help="the folder with tinyimagenet100")
    parser.add_argument("folder", type=Path)
    options = parser.parse_args()
    target = options.folder / "mosaics"
    target.mkdir(parents=True, exist_ok=True)
    for split, count in COUNTS.items():
        images = hl.open_source(options.images / "tinyimagenet100" / f"{split}.parquet")
        write(images, count, target / f"{split}.parquet")
        print(f"{target / split}.parquet: {count:,} mosaics")


def write(images: hl.Source, count: int, path: Path) -> None:
    """As many mosaics, in the convention of Hugging Face."""
    assert images.labels is not None
    random = np.random.default_rng(0)
    content, labels = [], []
    for number in range(count):
        places = random.permutation(4)[: random.integers(1, 5)]
        chosen = random.choice(len(images), len(places), replace=False)
        mosaic = Image.new("RGB", (2 * SIDE, 2 * SIDE))
        for place, item in zip(places, chosen, strict=True):
            tile = images.image(int(item)).convert("RGB").resize((SIDE, SIDE))
            mosaic.paste(tile, (SIDE * int(place % 2), SIDE * int(place // 2)))
        encoded = io.BytesIO()
        mosaic.save(encoded, "png")
        content.append({"bytes": encoded.getvalue(), "path": f"{number}.png"})
        labels.append(sorted({int(images.labels[item]) for item in chosen}))
    names = {"_type": "Sequence", "feature": {"_type": "ClassLabel", "names": list(images.class_names)}}
    described = {"huggingface": json.dumps({"info": {"features": {"image": {"_type": "Image"}, "labels": names}}})}
    table = pa.table({"image": content, "labels": pa.array(labels, pa.list_(pa.int64()))})
    pq.write_table(table.replace_schema_metadata(described), path, compression="none")


if __name__ == "__main__":
    main()
