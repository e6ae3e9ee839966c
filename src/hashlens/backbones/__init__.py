"""Pretrained networks: images → features."""

from hashlens.backbones.backbone import (
    DEFAULT_BACKBONE,
    FAST_IMAGE_SIZE,
    Backbone,
    Preprocessing,
    load_backbone,
    weights_version,
)
from hashlens.backbones.extraction import FeatureExtractor, Features, extract_features, iterate_features

__all__ = [
    "DEFAULT_BACKBONE",
    "FAST_IMAGE_SIZE",
    "Backbone",
    "FeatureExtractor",
    "Features",
    "Preprocessing",
    "extract_features",
    "iterate_features",
    "load_backbone",
    "weights_version",
]
