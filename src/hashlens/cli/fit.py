"""``hashlens fit``"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from hashlens.cli.arguments import (
    Relations,
    Senses,
    SourceName,
    Split,
    TrainingDevice,
    layer_sizes,
    pairs,
    with_senses,
)
from hashlens.cli.messages import log
from hashlens.cli.verbs import VERBS
from hashlens.compute.processes import is_first_process
from hashlens.progress import progress_bar


@VERBS.register("fit")
def fit(
    source: SourceName,
    output: Annotated[Path, typer.Option("-o", "--output", metavar="MODEL", help="Folder to save the model in.")],
    method: Annotated[
        str | None,
        typer.Option(
            help="hashlens (the default; with a taxonomy hashlens-taxonomy), orthohash, orthoarc, csq, "
            "csq-hadamard, mds, mds-best-known, shc, shc-annealed, shrewd; ablations orthohash-no-batch-norm, "
            "orthohash-bi-half, orthohash-learned-centres, orthohash-bce, orthohash-balanced-bce; baselines dpsh, "
            "dsh, hashnet, dtsh, greedyhash, jmlh, sdhc, dpn, cross-entropy, cross-entropy-batch-norm, "
            "cross-entropy-bi-half. Without labels itq (the default), bi-half, pca-signs or lsh.",
            show_default=False,
        ),
    ] = None,
    bits: Annotated[
        int | None,
        typer.Option(help="Code length, 8 to 1024; by default 64, and 256 without labels.", show_default=False),
    ] = None,
    split: Split = None,
    taxonomy: Relations = None,
    senses: Senses = None,
    no_labels: Annotated[
        bool, typer.Option("--no-labels", help="shrewd alone: use distances in the taxonomy, but no classes.")
    ] = False,
    vectors: Annotated[
        str | None,
        typer.Option(
            metavar="FILE.npy|COLUMN",
            help="With --no-labels: what items mean, in place of classes; one row for each, or a parquet column.",
        ),
    ] = None,
    parameters: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="A parameter of the method, such as margin=0.3, scale=auto or min_distance=12. Repeatable; a name "
            "that the method does not have is refused with those that it has.",
        ),
    ] = None,
    centres: Annotated[
        str | None,
        typer.Option(help="bernoulli, hadamard, maximum-distance, semantic, or a .npy file of a codebook."),
    ] = None,
    similarity: Annotated[
        str | None,
        typer.Option(
            help="Of classes, for semantic centres: confusion, class-means, taxonomy, or a .npy or .csv file."
        ),
    ] = None,
    backbone: Annotated[str, typer.Option(help="efficientnet_lite0, alexnet, or any name that timm knows.")] = (
        "efficientnet_lite0"
    ),
    weights: Annotated[str | None, typer.Option(help="The backbone's weights: .safetensors or state dict.")] = None,
    image_size: Annotated[
        int | None, typer.Option(help="Pixels that the backbone sees; by default what it was trained for.")
    ] = None,
    fast: Annotated[
        bool,
        typer.Option(
            "--fast", help="128 pixels: a third of the time to encode, and a good tenth less mAP on photographs."
        ),
    ] = False,
    finetune: Annotated[
        bool | None,
        typer.Option(
            "--finetune/--frozen", help="Train the backbone too; by default on a GPU only.", show_default=False
        ),
    ] = None,
    paper: Annotated[bool, typer.Option("--paper", help="Train with the paper's settings, not ours.")] = False,
    epochs: Annotated[int | None, typer.Option(help="Instead of the method's.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Of all devices, instead of the method's.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Instead of the method's.")] = None,
    hidden_layers: Annotated[
        str | None,
        typer.Option(help="Units between features and codes, as in 1024,512, or none; instead of the method's."),
    ] = None,
    feature_dropout: Annotated[
        float | None,
        typer.Option(
            help="Share of features left out at random, instead of the method's; more is better for classes that "
            "are not trained on."
        ),
    ] = None,
    spread_labels: Annotated[
        bool,
        typer.Option(
            "--spread-labels/--leave-out",
            help="Items without a label, where others have one: guess it from their neighbours, or leave them out.",
        ),
    ] = True,
    views: Annotated[
        int,
        typer.Option(
            help="Of each training image, to draw from: itself, its mirror image, crops; on a frozen backbone."
        ),
    ] = 1,
    mirror: Annotated[
        bool,
        typer.Option("--mirror", help="Codes of an image and its mirror image in one: better, and twice the time."),
    ] = False,
    validation: Annotated[
        float | None,
        typer.Option(
            help="Share of the images held out to choose the epoch; 0.1 by default, and with --paper 0.",
            show_default=False,
        ),
    ] = None,
    seed: int = 0,
    device: TrainingDevice = None,
    devices: Annotated[int, typer.Option(help="GPUs of this machine to share end-to-end training.")] = 1,
    adapt: Annotated[
        str | None,
        typer.Option(metavar="SOURCE", help="Then fit the batch norm to these images; no labels needed."),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a model that is there.")] = False,
) -> None:
    """Learn binary codes from images, with labels or without, and save the model.

    End-to-end training that was interrupted goes on when the same command is given again.
    """
    from hashlens.models.folder import CHECKPOINTS_FOLDER, check_output
    from hashlens.sources import open_source

    check_output(output, overwrite)
    taxonomy = with_senses(taxonomy, senses)

    from hashlens.backbones import FAST_IMAGE_SIZE
    from hashlens.classes import read_similarity
    from hashlens.methods import configure, default_method, get_method, without_labels
    from hashlens.training import FitOptions, discard_checkpoints, fit_with

    options = FitOptions(
        bits=bits,
        backbone=backbone,
        weights=weights,
        image_size=FAST_IMAGE_SIZE if fast and image_size is None else image_size,
        finetune=finetune,
        paper=paper,
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        hidden_layers=layer_sizes(hidden_layers),
        feature_dropout=feature_dropout,
        spread_labels=spread_labels,
        views=views,
        mirror=mirror,
        validation=validation,
        seed=seed,
        device=device,
        devices=devices,
    )
    images = open_source(source, split)
    target = open_source(adapt) if adapt else None

    labelled = images.labels is not None or vectors is not None
    if images.labels is not None and len(images.class_names) == 1 and method is None and vectors is None:
        labelled = False
        log.info(
            "%s has one class alone, %s, so codes come from its features, as without labels (--method itq)",
            images.name, images.class_names[0],
        )  # fmt: skip
    chosen = get_method(method or default_method(taxonomy is not None, labelled))
    if no_labels:
        chosen = without_labels(chosen)
    given: dict[str, Any] = dict(pairs(parameters, "NAME=VALUE", "margin=0.3"))
    given |= {name: value for name, value in (("centres", centres), ("similarity", similarity)) if value}
    if str(given.get("similarity", "")).endswith(".csv"):
        given["similarity"] = read_similarity(given["similarity"], images.class_names)
    checkpoints = output / CHECKPOINTS_FOLDER
    if options.trains_backbone(images):  # which may take hours
        options = replace(options, checkpoints=str(checkpoints))
    model = fit_with(
        images,
        options,
        configure(chosen, given),
        taxonomy=taxonomy,
        item_vectors=vectors,
        progress=progress_bar,
    )
    if not is_first_process():
        return
    model.save(output)
    discard_checkpoints(checkpoints)
    log.info(f"Saved {output}: {model.training_summary}.")
    if target is not None:  # a model without batch norm cannot adapt, but the training should not be lost for it
        model.adapt(target, device).save(output)
