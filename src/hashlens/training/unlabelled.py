"""Training without labels: a projection of frozen features, fitted at once."""

from __future__ import annotations

import logging

import numpy as np
import torch

from hashlens.backbones import extract_features, load_backbone
from hashlens.compute.devices import encoding_device
from hashlens.counting import counted
from hashlens.errors import BadInput
from hashlens.methods import Projection
from hashlens.models import HASH_LAYERS, HashModel, HashNetwork, HiddenLayers
from hashlens.progress import Progress
from hashlens.sources import Source
from hashlens.sources.reading import tell_skipped
from hashlens.training.options import FitOptions

log = logging.getLogger("hashlens")

BITS = 256  # which keep what the float features find
FEWEST = 4


def fit_projection(source: Source, options: FitOptions, method: Projection, progress: Progress) -> HashModel:
    """A model whose hash layer is a projection that comes from the features of a source alone.

    Raises:
        BadInput: too few items can be read, or features have fewer dimensions than the method needs.
    """
    backbone = None
    if source.feature_dimension is None:
        backbone = load_backbone(options.backbone, options.weights, options.image_size)
    features = extract_features(source, backbone, encoding_device(options.device), progress=progress)
    tell_skipped(features.skipped)
    count, dimension = features.values.shape
    if count < FEWEST:
        there = counted(count, "item", "items")
        raise BadInput(f"{source.name} has only {there} that can be read; that is too few to learn from.")
    bits = options.bits or min(BITS, dimension, count - 1)
    unit = features.values.astype(np.float64)
    unit /= np.maximum(np.linalg.norm(unit, axis=1, keepdims=True), 1e-12)
    mean = unit.mean(0)
    directions = method.directions(unit - mean, bits, options.seed)
    layer = HASH_LAYERS["projection"](dimension, bits)
    mirrored = options.mirror and backbone is not None
    with torch.no_grad():
        layer.linear.weight.copy_(torch.from_numpy(directions.T))
        layer.linear.bias.copy_(torch.from_numpy(-mean @ directions))
    log.info("%s items, %d bits from their features alone (%s)", f"{count:,}", bits, type(method).__name__)
    return HashModel(
        network=HashNetwork(backbone, HiddenLayers(dimension, ()), layer, mirrored=mirrored),
        bits=bits,
        hash_layer="projection",
        method={"name": type(method).__name__, "parameters": method.describe()},
        class_names=(),
        training={
            "source": source.name,
            "images": count,
            "held_out": 0,
            "seed": options.seed,
            "unreadable": len(features.skipped),
            "history": [],
        },
    )
