"""Where images and their labels come from."""

from hashlens.sources.decoding import UnreadableImage, decode
from hashlens.sources.opening import as_source, open_source
from hashlens.sources.source import (
    FeatureArray,
    ImageArray,
    ImageFiles,
    ImageSource,
    Skipped,
    Source,
)

__all__ = [
    "FeatureArray",
    "ImageArray",
    "ImageFiles",
    "ImageSource",
    "Skipped",
    "Source",
    "UnreadableImage",
    "as_source",
    "decode",
    "open_source",
]
