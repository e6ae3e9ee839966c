"""Pretrained networks: images → features."""

from hashlens.backbones.backbone import DEFAULT_BACKBONE, Backbone, Preprocessing, load_backbone
from hashlens.backbones.extraction import Features, extract_features, iterate_features

__all__ = [
    "DEFAULT_BACKBONE",
    "Backbone",
    "Features",
    "Preprocessing",
    "extract_features",
    "iterate_features",
    "load_backbone",
]
