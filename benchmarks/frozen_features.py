"""Features of all images of a source, which the feature cache remembers, and figures of several runs."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path

from hashlens import progress_bar
from hashlens.backbones import DEFAULT_BACKBONE, extract_features, load_backbone
from hashlens.compute.devices import encoding_device
from hashlens.sources import FeatureArray, Source, open_source


def features_of(
    images: Source, name: str, backbone: str = DEFAULT_BACKBONE, image_size: int | None = None
) -> FeatureArray:
    """Features at the size that the backbone was trained for, unless another one is given."""
    network = load_backbone(backbone, image_size=image_size)
    extracted = extract_features(images, network, encoding_device(), progress=progress_bar)
    return FeatureArray(name, extracted.values, images.labels, images.class_names)


def tiny_imagenet(folder: Path) -> tuple[FeatureArray, FeatureArray]:
    """The train and the test split that tiny_imagenet.py wrote into a folder."""
    train, test = (open_source(folder / "tinyimagenet100" / f"{split}.parquet") for split in ("train", "test"))
    return features_of(train, "train"), features_of(test, "test")


def mean_and_spread(values: Sequence[float]) -> str:
    """A figure of several seeds as it stands in a table; of one there is no spread."""
    spread = f" ± {statistics.stdev(values):.3f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.3f}{spread}"
