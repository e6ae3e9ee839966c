"""Hash networks, and models that can be saved and loaded."""

from hashlens.models.encoder import Encoded, Encoder, SkippedImagesWarning
from hashlens.models.export import Agreement, export_onnx
from hashlens.models.hash_model import CONFIG_FILE, HashModel, read_config
from hashlens.models.network import HASH_LAYERS, HashLayer, HashNetwork, HiddenLayers

__all__ = [
    "CONFIG_FILE",
    "HASH_LAYERS",
    "Agreement",
    "Encoded",
    "Encoder",
    "HashLayer",
    "HashModel",
    "HashNetwork",
    "HiddenLayers",
    "SkippedImagesWarning",
    "export_onnx",
    "read_config",
]
