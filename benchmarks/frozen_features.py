"""Features of all images of a source, which the feature cache remembers from run to run."""

from __future__ import annotations

from hashlens import progress_bar
from hashlens.backbones import DEFAULT_BACKBONE, extract_features, load_backbone
from hashlens.compute.devices import encoding_device
from hashlens.sources import FeatureArray, Source


def features_of(
    images: Source, name: str, backbone: str = DEFAULT_BACKBONE, image_size: int | None = None
) -> FeatureArray:
    """Features at the size that the backbone was trained for, unless another one is given."""
    network = load_backbone(backbone, image_size=image_size)
    extracted = extract_features(images, network, encoding_device(), progress=progress_bar)
    return FeatureArray(name, extracted.values, images.labels, images.class_names)
