"""``hashlens compare``"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hashlens.cli.arguments import Relations, Senses, TrainingDevice, depths, layer_sizes, with_senses
from hashlens.cli.messages import log
from hashlens.cli.tables import print_compared
from hashlens.cli.verbs import VERBS
from hashlens.errors import BadInput
from hashlens.progress import progress_bar


@VERBS.register("compare")
def compare(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help="Images or features to train on, and to search unless there is a --database; or a protocol, "
            "such as cifar10-i or coco=FOLDER, which says all of it. Without queries, its splits train and test.",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="FOLDER", help="Folder for runs, tables and plots.")
    ],
    methods: Annotated[
        str,
        typer.Option(
            help="Separated by commas: methods of hashlens fit, with parameters after colons as in "
            "orthohash:margin=0.3:scale=auto; and features, which are ranked by cosine or that distance.",
        ),
    ],
    bits: Annotated[str, typer.Option(help="Code lengths, separated by commas.")] = "16,32,64",
    seeds: Annotated[
        str, typer.Option(help="Of the runs and of all that is drawn, separated by commas.")
    ] = "0,1,2",
    hidden_layers: Annotated[
        list[str] | None,
        typer.Option(
            help="Units of hidden layers, as in 1024,512, or none; the methods' own by default. Repeatable, to "
            "compare several.",
            show_default=False,
        ),
    ] = None,
    queries: Annotated[str | None, typer.Option(metavar="SOURCE", help="Images to search with.")] = None,
    database: Annotated[
        str | None, typer.Option(metavar="SOURCE", help="Images to search in; by default those of SOURCE.")
    ] = None,
    queries_per_class: Annotated[
        int | None,
        typer.Option(help="Instead of --queries: so many of each class, drawn by the seed; the rest is searched."),
    ] = None,
    train_per_class: Annotated[
        int | None, typer.Option(help="Train on so many images of each class alone, drawn by the seed.")
    ] = None,
    exclude_training: Annotated[
        bool, typer.Option("--exclude-training", help="Leave the training images out of the database.")
    ] = False,
    unseen_classes: Annotated[
        int, typer.Option(help="Search only among so many classes, drawn by the seed; train on the others.")
    ] = 0,
    leave_one_out: Annotated[
        bool, typer.Option("--leave-one-out", help="Search with every image of the database, itself left out.")
    ] = False,
    baseline: Annotated[
        str | None, typer.Option(help="The method that the others are compared with; by default the first.")
    ] = None,
    at: Annotated[
        str | None,
        typer.Option(
            help="Ranking depths, separated by commas; by default 100,1000,all, and 250 with a taxonomy.",
            show_default=False,
        ),
    ] = None,
    figures: Annotated[
        str | None,
        typer.Option(
            help="To show, separated by commas, as in mAP@all,precision@100; by default mAP, and mAHP with a "
            "taxonomy. The others are kept.",
            show_default=False,
        ),
    ] = None,
    distance: Annotated[
        str, typer.Option(help="hamming; or cosine, l1 or l2, by which codes rank before they are rounded.")
    ] = "hamming",
    taxonomy: Relations = None,
    senses: Senses = None,
    backbone: Annotated[str, typer.Option(help="efficientnet_lite0, alexnet, or any name that timm knows.")] = (
        "efficientnet_lite0"
    ),
    weights: Annotated[str | None, typer.Option(help="The backbone's weights: .safetensors or state dict.")] = None,
    image_size: Annotated[
        int | None, typer.Option(help="Pixels that the backbone sees; by default what it was trained for.")
    ] = None,
    finetune: Annotated[bool, typer.Option("--finetune", help="Train the backbone too, in every run.")] = False,
    paper: Annotated[bool, typer.Option("--paper", help="Train with the papers' settings, not ours.")] = False,
    views: Annotated[
        int, typer.Option(help="Of each training image, to draw from: itself, its mirror image, crops.")
    ] = 1,
    mirror: Annotated[
        bool, typer.Option("--mirror", help="Codes of an image and its mirror image in one.")
    ] = False,
    epochs: Annotated[int | None, typer.Option(help="Instead of the methods'.")] = None,
    feature_dropout: Annotated[float | None, typer.Option(help="Instead of the methods'.")] = None,
    validation: Annotated[
        float | None,
        typer.Option(
            help="Share of the images held out to choose the epoch; 0.1 by default, and with --paper 0.",
            show_default=False,
        ),
    ] = None,
    device: TrainingDevice = None,
) -> None:
    """Compare methods on the same data, with several code lengths and seeds: tables, plots, and what they tell.

    What was interrupted goes on when the same command is given again; more methods, code lengths or seeds can be
    added later.
    """
    from hashlens.reports import compare
    from hashlens.training import FitOptions

    try:
        found = compare(
            source,
            _words(methods),
            output,
            bits=_numbers(bits, "code length"),
            seeds=_numbers(seeds, "seed"),
            hidden_layers=[layer_sizes(text) for text in hidden_layers] if hidden_layers else (None,),
            queries=queries,
            database=database,
            queries_per_class=queries_per_class,
            train_per_class=train_per_class,
            exclude_training=exclude_training,
            unseen_classes=unseen_classes,
            leave_one_out=leave_one_out,
            at=depths(at) if at else None,
            taxonomy=with_senses(taxonomy, senses),
            distance=distance,
            figures=_words(figures) if figures else None,
            baseline=baseline,
            options=FitOptions(
                backbone=backbone,
                weights=weights,
                image_size=image_size,
                finetune=finetune,
                paper=paper,
                views=views,
                mirror=mirror,
                epochs=epochs,
                feature_dropout=feature_dropout,
                validation=validation,
                device=device,
            ),
            progress=progress_bar,
        )
    except KeyboardInterrupt:
        log.warning("Interrupted: what is done is kept in %s, and the same command goes on from there.", output)
        raise
    print_compared(found.tables(), found.sentences)
    log.info("Wrote %s as .csv, .md and .tex, and plots beside them.", output / "table")


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _numbers(text: str, what: str) -> list[int]:
    words = _words(text)
    for word in words:
        if not word.isdecimal():
            raise BadInput(f"'{word}' is no {what}; give whole numbers separated by commas, as in 16,32,64.")
    return [int(word) for word in words]
