"""Train a hash model on a source."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, fields, replace
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from hashlens.backbones import DEFAULT_BACKBONE, load_backbone
from hashlens.centres import quality
from hashlens.classes import Taxonomy, class_distances
from hashlens.compute.devices import choose_device
from hashlens.errors import BadInput
from hashlens.methods import CentreMethod, Method, Projection, TrainingSettings, default_method, get_method
from hashlens.methods.settings import FROZEN
from hashlens.models import HASH_LAYERS, HashModel, HashNetwork, HiddenLayers
from hashlens.objectives import Problem
from hashlens.progress import Progress, silence
from hashlens.sources import Source, as_source
from hashlens.training.augmentation import augmentation_for
from hashlens.training.checkpoints import Checkpoint, digest_of
from hashlens.training.class_similarity import class_similarity
from hashlens.training.end_to_end import ImageItems, image_items
from hashlens.training.frozen import frozen_items
from hashlens.training.items import TrainingItems
from hashlens.training.loop import train
from hashlens.training.options import FitOptions
from hashlens.training.split import LARGEST_HELD_OUT
from hashlens.training.targets import Targets, targets_of
from hashlens.training.unlabelled import fit_projection
from hashlens.training.validation import LARGEST_BY_DISTANCE, ByClass, ByDistance, Validation

log = logging.getLogger("hashlens")

BITS = 64  # where none are asked for and items have labels
LEAST_STEPS = 16  # an epoch, where the method's batch size would make fewer
SMALLEST_BATCH = 32
CROPPED = ("crop", "resized-crop")  # augmentations whose papers encode the middle of a wider image
OF_IMAGES = ("backbone", "weights", "image_size", "mirror")  # options without effect on given features

WITHOUT_LABELS = (
    "%s has no labels, so codes come from its features alone (%s); with labels, as class folders or a table give "
    "them, codes of one class come together."
)

Items = Source | str | os.PathLike[str] | ArrayLike | Sequence[object]
Relations = Taxonomy | ArrayLike | str | os.PathLike[str]


def fit(
    source: Items,
    *given: ArrayLike | str | Method | Projection | None,
    labels: ArrayLike | None = None,
    y: ArrayLike | None = None,
    method: str | Method | Projection | None = None,
    bits: int | None = None,
    taxonomy: Relations | None = None,
    item_vectors: ArrayLike | str | None = None,
    backbone: str = DEFAULT_BACKBONE,
    weights: str | os.PathLike[str] | None = None,
    image_size: int | None = None,
    finetune: bool | None = None,
    paper: bool = False,
    epochs: int | None = None,
    batch_size: int | None = None,
    learning_rate: float | None = None,
    hidden_layers: Sequence[int] | None = None,
    feature_dropout: float | None = None,
    spread_labels: bool = True,
    views: int = 1,
    mirror: bool = False,
    validation: float | None = None,
    seed: int = 0,
    device: str | None = None,
    devices: int = 1,
    checkpoints: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
) -> HashModel:
    """Learn binary codes from images and their labels, or how far apart they are in meaning, or from images alone.

    A share of the training images is held out, but not with ``paper``; the model is kept as it was after the epoch
    in which these found each other best: by mAP over all of them, each searching among the others, or by mAHP@250
    where the method knows distances but no classes. Where none are held out it is kept as it was after the last.

    Args:
        source: images or features: what :func:`hashlens.sources.as_source` takes.
        given: ``labels``, ``method`` and ``bits``, or some of these, without their names:
            ``fit(x, y, "orthohash", 16)``, ``fit(x, y)``, ``fit(source, "itq", 16)``.
        labels: (N,) classes or (N, C) label sets instead of those of the source, see
            :meth:`hashlens.sources.Source.with_labels`; −1, "" or NaN for none.
        y: the same, by the name that scikit-learn has for it.
        method: name in :data:`hashlens.methods.METHODS` or, where there are no labels, in
            :data:`hashlens.methods.PROJECTIONS`, or a method with your own parameters; by default the one of
            :func:`hashlens.methods.default_method`.
        taxonomy: of the classes, for methods that use one: see :func:`hashlens.classes.class_distances`.
        item_vectors: (N, V), one vector for each item, such as sentence embeddings of captions, whose cosine
            distances say how far apart items are in meaning, or what :func:`hashlens.sources.vectors.read_vectors`
            takes; for a method that needs no classes, in place of
            labels and taxonomy. A zero vector leaves its item out.
        progress: tells how far it is, such as :func:`hashlens.progress.progress_bar`; silent by default.

    The others are those of :class:`FitOptions`.

    Returns:
        The trained model. Its ``training`` holds settings, history and the number of images that could not
        be read.

    Raises:
        BadInput: something is given twice, no labels, fewer than two classes, a class without images or not in the
            taxonomy, a method that lacks what it needs, an option out of range, or a training that diverges.

    Example:
        >>> import hashlens as hl
        >>> random = np.random.default_rng(0)
        >>> labels = np.arange(200) % 4
        >>> features = (np.eye(4, 16)[labels] + 0.1 * random.normal(size=(200, 16))).astype(np.float32)
        >>> source = hl.sources.FeatureArray("mine", features, labels)
        >>> model = hl.fit(source, method="orthohash", bits=16, epochs=3, device="cpu")
        >>> model.encode(features).shape, hl.fit(features, labels, bits=16, epochs=3).bits
        ((200, 2), 16)
    """
    named = ("labels", labels), ("labels", y), ("method", method), ("bits", bits)
    found = _with_names(given, named)
    if found["labels"] is not None:
        source = as_source(source).with_labels(found["labels"])
    options = FitOptions(
        bits=found["bits"],
        backbone=backbone,
        weights=None if weights is None else os.fspath(weights),
        image_size=image_size,
        finetune=finetune,
        paper=paper,
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        hidden_layers=None if hidden_layers is None else tuple(hidden_layers),
        feature_dropout=feature_dropout,
        spread_labels=spread_labels,
        views=views,
        mirror=mirror,
        validation=validation,
        seed=seed,
        device=device,
        devices=devices,
        checkpoints=None if checkpoints is None else os.fspath(checkpoints),
    )
    return fit_with(
        source, options, found["method"], taxonomy=taxonomy, item_vectors=item_vectors, progress=progress
    )


def _with_names(given: Iterable[Any], named: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Labels, method and bits, with those told apart by what they are that came without a name."""
    found: dict[str, Any] = dict.fromkeys(("labels", "method", "bits"))
    kinds = [(_kind(one), one) for one in given]
    for kind, one in [*kinds, *named]:
        if one is not None and found[kind] is not None:
            raise BadInput(f"fit was given {kind} twice; give {kind} once.")
        found[kind] = found[kind] if one is None else one
    return found


def _kind(one: Any) -> str:
    if isinstance(one, str | Method | Projection):
        return "method"
    return "bits" if isinstance(one, Real) else "labels"


def fit_with(
    source: Items,
    options: FitOptions,
    method: str | Method | Projection | None = None,
    *,
    taxonomy: Relations | None = None,
    item_vectors: ArrayLike | str | None = None,
    progress: Progress | None = None,
) -> HashModel:
    """What :func:`fit` does, with its options as one value that has checked itself.

    Example:
        >>> model = fit_with("digits", FitOptions(bits=16, epochs=1, image_size=32, device="cpu"), "orthohash")
        >>> model.bits, model.training["settings"]["epochs"]
        (16, 1)
    """
    progress = progress or silence
    source = as_source(source)
    if source.class_names == tuple(map(str, range(len(source.class_names)))):
        source = source.with_own_classes()  # numbers may leave some out, which nobody has named
    labelled = source.labels is not None or item_vectors is not None
    chosen = get_method(method or default_method(taxonomy is not None, labelled))
    if isinstance(chosen, Projection):
        if options.paper:
            raise BadInput(
                f"{type(chosen).__name__} learns from features alone, so no paper says how to train it; fit it "
                "without the paper's settings."
            )
        if not labelled:
            log.info(WITHOUT_LABELS, source.name, type(chosen).__name__)
        _tell_what_is_ignored_without_labels(source, options, taxonomy is not None or item_vectors is not None)
        return fit_projection(source, options, chosen, progress)
    targets = targets_of(source, item_vectors, chosen)
    if options.spread_labels and targets.may_spread and not options.paper:
        targets = replace(targets, spread=True)
    finetune = options.trains_backbone(source)
    _tell_what_is_ignored(source, options, finetune, chosen, targets, taxonomy is not None)
    class_distance = _class_distance(taxonomy, targets, chosen)
    settings = options.override(chosen.settings(finetune, options.paper))
    classes, bits, seed = len(targets.class_names), options.bits or BITS, options.seed
    codebook = None
    if isinstance(chosen, CentreMethod) and chosen.centres is not None and not chosen.needs_similarity:
        codebook = chosen.codebook(classes, bits, seed)  # fails fast, before any image is read

    if finetune and settings.augmentation == "by-data":
        settings = replace(settings, augmentation=augmentation_for(source, targets.values.ndim == 2))
    items = _items(source, targets, options, settings, finetune, chosen, progress)
    log.info(
        "%d images %sto train on, %s held out",
        len(items.training), f"of {classes} classes " if classes else "", len(items.held_out) or "none",
    )  # fmt: skip
    settings = _with_enough_steps(settings, len(items.training), options)
    folder = Path(options.checkpoints) if finetune and options.checkpoints else None
    if isinstance(chosen, CentreMethod) and chosen.needs_similarity:
        similarity = class_similarity(
            items, chosen, settings, targets.class_names, class_distance, folder, progress
        )
        codebook = chosen.codebook(classes, bits, seed, similarity)
        _tell_centres(codebook, similarity)

    label_sets = chosen.needs_classes and items.targets.ndim == 2
    problem = Problem(bits, classes, seed, codebook, class_distance, label_sets)
    description = {
        "source": source.name, "images": len(items.training), "held_out": len(items.held_out), "seed": seed,
        "settings": asdict(settings) | {"hidden_layers": list(settings.hidden_layers)}, "paper": options.paper,
        "finetune": finetune,
    }  # fmt: skip
    checkpoint = None
    if folder and items.backbone:
        identity = description | {
            "bits": bits, "method": f"{type(chosen).__name__} {chosen.describe()}", "backbone": options.backbone,
            "backbone_fingerprint": items.backbone.fingerprint(),
            "data_fingerprint": digest_of(codebook, class_distance, items.targets, items.training),
        }  # fmt: skip
        checkpoint = Checkpoint(folder, identity)
    validation = _validation(items, chosen, class_distance)
    mirrored = options.mirror and items.backbone is not None
    hash_layer = settings.hash_layer or chosen.hash_layer_for(problem)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = _network(items, hash_layer, bits, settings)
        objective = chosen.objective_for(problem)
        if isinstance(items, ImageItems) and settings.warm_start:
            warmed = HashNetwork(None, network.hidden_layers, network.hash_layer, settings.feature_dropout)
            of_features = _of_features(settings, len(items.training))
            train(items.frozen(), warmed, objective, of_features, progress=progress, purpose="hash layer")
        record = train(items, network, objective, settings, validation, checkpoint, progress)
    return HashModel(
        network=HashNetwork(
            network.backbone or items.backbone, network.hidden_layers, network.hash_layer, mirrored=mirrored
        ),
        bits=bits,
        hash_layer=hash_layer,
        method={"name": type(chosen).__name__, "parameters": chosen.describe()},
        class_names=targets.class_names,
        codebook=codebook,
        finetuned=finetune,
        training={
            **description,
            "unreadable": len(items.skipped),
            "best_epoch": record.best_epoch,
            "history": record.history,
        },
    )


def _tell_what_is_ignored_without_labels(source: Source, options: FitOptions, has_relations: bool) -> None:
    """Warn of each option that is given and has no effect on a projection of features."""
    unset = FitOptions()
    used = {"bits", "seed", "device"}
    if source.feature_dimension is None:
        used |= set(OF_IMAGES)
    for field in fields(FitOptions):
        given = getattr(options, field.name)
        if field.name not in used and given != getattr(unset, field.name) and given is not False:
            log.warning("%s has no effect: codes without labels come from features alone", field.name)
    if has_relations:
        log.warning("relations of items have no effect on a method that needs no labels")


def _tell_what_is_ignored(
    source: Source, options: FitOptions, finetune: bool, method: Method, targets: Targets, has_taxonomy: bool
) -> None:
    """Warn of each option that is given and has no effect."""
    unset = FitOptions()
    for name in (*OF_IMAGES, "views"):
        if source.feature_dimension is not None and getattr(options, name) != getattr(unset, name):
            log.warning("%s has no effect: %s holds features", name, source.name)
    if options.devices > 1 and not finetune:
        log.warning("devices has no effect: training on features is too little work to share")
    if options.views > 1 and finetune:
        log.warning("views has no effect: a backbone that is trained sees another view in each epoch")
    if options.checkpoints and not finetune:
        log.warning("checkpoints has no effect: training on features is short, so it is not saved")
    if has_taxonomy and not targets.class_names:
        log.warning("the taxonomy has no effect: the vectors say how far apart items are")
    elif has_taxonomy and not method.needs_distance:
        log.warning("the taxonomy has no effect on the method %s", type(method).__name__)


def _class_distance(taxonomy: Relations | None, targets: Targets, method: Method) -> NDArray[np.float64] | None:
    """(C, C) from a taxonomy, if there is one; vectors of items need none."""
    if not targets.class_names:
        return None
    if taxonomy is not None:
        return class_distances(taxonomy, targets.class_names)
    if method.needs_distance:
        raise BadInput(
            f"{type(method).__name__} needs to know how far classes are apart; give a taxonomy, or, to a method "
            "without classes, vectors of the items."
        )
    return None


def _items(
    source: Source,
    targets: Targets,
    options: FitOptions,
    settings: TrainingSettings,
    finetune: bool,
    method: Method,
    progress: Progress,
) -> TrainingItems:
    device = choose_device(options.device)
    most = LARGEST_BY_DISTANCE if targets.values.ndim == 2 and not method.needs_classes else LARGEST_HELD_OUT
    if source.feature_dimension is not None:
        return frozen_items(source, targets, None, device, options, most, progress)
    backbone = load_backbone(options.backbone, options.weights, options.image_size, settings.stages)
    if finetune:
        if options.paper and settings.augmentation in CROPPED:
            backbone.preprocessing = backbone.preprocessing.of_wider()
        return image_items(source, targets, backbone, device, options, settings, most, progress)
    return frozen_items(source, targets, backbone, device, options, most, progress)


def _with_enough_steps(settings: TrainingSettings, images: int, options: FitOptions) -> TrainingSettings:
    """Smaller batches where few images would make too few steps, unless the size was asked for."""
    if options.paper or options.batch_size is not None:
        return settings
    return replace(settings, batch_size=_batch_size(settings, images))


def _batch_size(settings: TrainingSettings, images: int) -> int:
    return min(settings.batch_size, max(SMALLEST_BATCH, images // LEAST_STEPS))


def _of_features(settings: TrainingSettings, images: int) -> TrainingSettings:
    """How layers behind a frozen backbone are trained that will then be trained with it by ``settings``."""
    return replace(
        FROZEN,
        batch_size=_batch_size(FROZEN, images),
        hidden_layers=settings.hidden_layers,
        hidden_dropout=settings.hidden_dropout,
        mixing=settings.mixing,
    )


def _validation(
    items: TrainingItems, method: Method, class_distance: NDArray[np.float64] | None
) -> Validation | None:
    if not len(items.held_out):
        return None
    targets = items.targets[items.held_out]
    return ByClass(targets) if method.needs_classes else ByDistance(targets, class_distance)


def _network(items: TrainingItems, hash_layer: str, bits: int, settings: TrainingSettings) -> HashNetwork:
    if hash_layer not in HASH_LAYERS:
        raise BadInput(f"There is no hash layer '{hash_layer}'; use one of {', '.join(HASH_LAYERS)}.")
    hidden = HiddenLayers(items.dimension, settings.hidden_layers, settings.hidden_dropout)
    layer = HASH_LAYERS[hash_layer](hidden.out_features, bits)
    if settings.hash_layer_deviation is not None:
        torch.nn.init.normal_(layer.linear.weight, std=settings.hash_layer_deviation)
        if layer.linear.bias is not None:
            torch.nn.init.zeros_(layer.linear.bias)
    return HashNetwork(items.trained_backbone(), hidden, layer, settings.feature_dropout)


def _tell_centres(codebook: NDArray[np.int8], similarity: NDArray[np.float64]) -> None:
    figures = quality(codebook, similarity)
    log.info(
        "semantic centres: smallest distance %d of %d bits, rank correlation with the similarity %.2f",
        figures["minimum_distance"], figures["bits"], figures["spearman"],
    )  # fmt: skip
