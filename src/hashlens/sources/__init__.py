"""Where images and their labels come from."""

from hashlens.sources.decoding import UnreadableImage, decode
from hashlens.sources.feature_array import FeatureArray
from hashlens.sources.image_array import ImageArray
from hashlens.sources.image_files import ImageFiles
from hashlens.sources.image_list import ImageList
from hashlens.sources.opener import Opener
from hashlens.sources.opening import OPENERS, as_source, open_source, register
from hashlens.sources.source import Skipped, Source

__all__ = [
    "OPENERS",
    "FeatureArray",
    "ImageArray",
    "ImageFiles",
    "ImageList",
    "Opener",
    "Skipped",
    "Source",
    "UnreadableImage",
    "as_source",
    "decode",
    "open_source",
    "register",
]
