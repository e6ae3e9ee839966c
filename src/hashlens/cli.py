"""The command line: one function per verb."""

from __future__ import annotations

import json
import logging
import os
import sys
import warnings
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hashlens.errors import BadInput
from hashlens.files import read_array
from hashlens.terminal import print_facts, print_metrics, print_results, print_senses

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from hashlens.catalogue import Catalogue
    from hashlens.methods import Method
    from hashlens.sources import Skipped
    from hashlens.sources import Source as OpenedSource

log = logging.getLogger("hashlens")

app = typer.Typer(
    help="Learn compact binary codes for images, search them exactly, and measure how good they are.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)

SOURCE_HELP = (
    "A folder of class folders, a .parquet, .csv or .npz file, or digits, fashion-mnist or cifar10; "
    "with :train, :test or another split at its end."
)
SHOWN_NODES = 60
Source = Annotated[str, typer.Argument(metavar="SOURCE", help=SOURCE_HELP, show_default=False)]
ModelFolder = Annotated[Path, typer.Argument(metavar="MODEL", help="A folder written by hashlens fit.")]
Split = Annotated[str | None, typer.Option(help="Split of the source to use, as :SPLIT at its end.")]
Taxonomy = Annotated[
    str | None,
    typer.Option(
        metavar="wordnet|folders|FILE",
        help="How classes are related: WordNet, nested folders, an edge file, or a .npy of class distances.",
    ),
]
Device = Annotated[str | None, typer.Option(help="cpu, cuda or cuda:N; by default a GPU where there is one.")]
EncodingDevice = Annotated[
    str | None,
    typer.Option(
        help="cpu, cuda or cuda:N; by default a GPU where there is one. onnx is the CPU by way of ONNX Runtime, "
        "which is faster."
    ),
]


def main() -> None:
    """Run the command line; bad input, or a refusal of the system, ends it with one sentence and exit status 2."""
    _speak_plainly()
    try:
        app()
    except BadInput as error:
        print(f"hashlens: {error}", file=sys.stderr)
    except OSError as error:  # a full disk, a folder without permission, a name that is too long
        if error.strerror is None:
            raise
        where = f"{str(error.filename)[:200]}: " if error.filename else ""
        print(f"hashlens: {where}{error.strerror}.", file=sys.stderr)
    else:
        return
    sys.exit(2)


@app.command()
def demo(
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder for model, index and report.")] = Path(
        "hashlens-demo"
    ),
    seed: int = 0,
) -> None:
    """See it work: learn codes on Fashion-MNIST, index, search and evaluate, in a few minutes."""
    from hashlens.demo import run_demo

    run_demo(output, seed)


@app.command()
def fit(
    source: Source,
    output: Annotated[Path, typer.Option("-o", "--output", metavar="MODEL", help="Folder to save the model in.")],
    method: Annotated[
        str | None,
        typer.Option(
            help="hashlens, hashlens-taxonomy, orthohash, orthoarc, csq, mds, shc or shrewd; by default hashlens, "
            "or hashlens-taxonomy with a taxonomy.",
            show_default=False,
        ),
    ] = None,
    bits: Annotated[int, typer.Option(help="Code length, 8 to 1024.")] = 64,
    split: Split = None,
    taxonomy: Taxonomy = None,
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
    backbone: Annotated[str, typer.Option(help="efficientnet_lite0, or any name that timm knows.")] = (
        "efficientnet_lite0"
    ),
    weights: Annotated[
        Path | None, typer.Option(help="The backbone's weights: .safetensors or state dict.")
    ] = None,
    image_size: Annotated[int | None, typer.Option(help="Pixels that the backbone sees; 128 by default.")] = None,
    finetune: Annotated[
        bool | None,
        typer.Option(
            "--finetune/--frozen", help="Train the backbone too; by default on a GPU only.", show_default=False
        ),
    ] = None,
    paper: Annotated[bool, typer.Option("--paper", help="Train with the paper's settings, not ours.")] = False,
    epochs: Annotated[int | None, typer.Option(help="Instead of the method's.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Instead of the method's.")] = None,
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
    min_distance: Annotated[int | None, typer.Option(help="The least distance of two semantic centres.")] = None,
    margin: Annotated[float | None, typer.Option(help="Of the loss, instead of the method's.")] = None,
    scale: Annotated[str | None, typer.Option(help="Of the loss: sqrt, auto or a number.")] = None,
    validation: Annotated[float, typer.Option(help="Share of the images held out to choose the epoch.")] = 0.1,
    seed: int = 0,
    device: Device = None,
    devices: Annotated[int, typer.Option(help="GPUs to share end-to-end training.")] = 1,
    adapt: Annotated[
        str | None,
        typer.Option(metavar="SOURCE", help="Then fit the batch norm to these images; no labels needed."),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a model that is there.")] = False,
) -> None:
    """Learn binary codes from labelled images and save the model.

    End-to-end training that was interrupted goes on when the same command is given again.
    """
    from hashlens.models import CONFIG_FILE

    if (output / CONFIG_FILE).exists() and not overwrite:
        raise BadInput(f"{output} holds a model already; choose another folder, or add --overwrite.")
    if output.exists() and not output.is_dir():
        raise BadInput(f"{output} is a file; give a folder for the model.")
    images = _open(source, split)
    target = _open(adapt) if adapt else None

    from hashlens.training import fit as train

    model = train(
        images,
        method=_method(images, method, taxonomy, no_labels, centres, similarity, min_distance, margin, scale),
        bits=bits,
        taxonomy=taxonomy,
        item_vectors=vectors,
        backbone=backbone,
        weights=weights,
        image_size=image_size,
        finetune=finetune,
        paper=paper,
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        hidden_layers=_sizes(hidden_layers),
        feature_dropout=feature_dropout,
        validation=validation,
        seed=seed,
        device=device,
        devices=devices,
        checkpoints=output / "checkpoints",
    )
    model.save(output)
    score = "".join(f", validation {name} {value:.4f}" for name, value in _validation(model.training).items())
    log.info(f"Saved {output}: epoch {model.training['best_epoch']}{score}.")
    if target is not None:  # a model without batch norm cannot adapt, but the training should not be lost for it
        model.adapt(target, device).save(output)


@app.command()
def index(
    model: ModelFolder,
    source: Source,
    output: Annotated[Path, typer.Option("-o", "--output", metavar="INDEX", help="Folder of the index.")],
    split: Split = None,
    adapt: Annotated[
        bool, typer.Option("--adapt", help="First fit the model's batch norm to these images (a new index only).")
    ] = False,
    device: EncodingDevice = None,
) -> None:
    """Encode every image of a source into an index.

    Run it again to add new images, drop deleted ones and encode changed ones again.
    """
    images = _open(source, split)

    from hashlens.catalogue import Catalogue
    from hashlens.models import HashModel
    from hashlens.sources.reading import tell_skipped

    catalogue = Catalogue.create(output, HashModel.load(model), images if adapt else None, device)
    changes = catalogue.update(images, device)
    log.info(
        f"{output}: {changes.added:,} added, {changes.changed:,} changed, {changes.removed:,} removed, "
        f"{changes.unchanged:,} unchanged; {len(catalogue):,} images in all."
    )
    tell_skipped(changes.skipped)


@app.command()
def search(
    index: Annotated[Path, typer.Argument(metavar="INDEX", help="A folder written by hashlens index.")],
    images: Annotated[
        list[str], typer.Argument(metavar="IMAGE...", help="Images to search with, or whole sources.")
    ],
    k: Annotated[int, typer.Option("-k", help="Results for each image.")] = 10,
    labels: Annotated[
        list[str] | None,
        typer.Option("--label", metavar="CLASS", help="Find only images of this class (or these, if given again)."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
    device: EncodingDevice = None,
) -> None:
    """Find the images in an index that are most like the given ones."""
    from hashlens.catalogue import Catalogue

    catalogue = Catalogue.open(index)
    sources = [_open(image) for image in images]
    model = catalogue.model()

    from hashlens.sources.reading import tell_skipped

    answers: list[dict[str, Any]] = []
    skipped: list[Skipped] = []
    with model.encoder(device) as encoder:
        for source in sources:
            for batch in encoder.batches(source):
                skipped += batch.skipped
                hits = catalogue.search(batch.codes, k, labels or ()) if len(batch.items) else []
                for item, found in zip(batch.items, hits, strict=True):
                    answers.append({"query": source.location(int(item)), "results": [vars(hit) for hit in found]})
    if as_json:
        print(json.dumps(answers, indent=2, ensure_ascii=False))
    else:
        for answer in answers:
            print_results(answer)
    tell_skipped(skipped)
    if not answers:
        raise BadInput("None of the given images can be read.")


@app.command()
def evaluate(
    model: ModelFolder,
    database: Annotated[str, typer.Option(metavar="SOURCE", help="Labelled images to search in.")],
    queries: Annotated[str, typer.Option(metavar="SOURCE", help="Labelled images to search with.")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="REPORT", help="Folder for the report.")],
    at: Annotated[
        str | None,
        typer.Option(
            help="Ranking depths, separated by commas; by default 100,1000,all, and 250 with a taxonomy.",
            show_default=False,
        ),
    ] = None,
    taxonomy: Taxonomy = None,
    device: EncodingDevice = None,
) -> None:
    """Measure how good a search is: metrics.json, plots, and one page with results to look at."""
    depths = _depths(at) if at else None
    searched, asked = _open(database), _open(queries)

    from hashlens.models import HashModel
    from hashlens.reports import write_report

    report = write_report(HashModel.load(model), searched, asked, output, depths, device, taxonomy)
    print_metrics(report)
    for note in report["notes"]:
        log.warning("%s", note)
    for one in [*report["skipped"]["queries"], *report["skipped"]["database"]]:
        log.info("  %s", one)
    log.info(f"Wrote {output / 'metrics.json'} and {output / 'report.html'}.")


@app.command()
def taxonomy(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE|FILE",
            help="Images with classes, or a file that is a taxonomy: edges, or a table with a column parent.",
            show_default=False,
        ),
    ],
    split: Split = None,
    relations: Annotated[
        str | None,
        typer.Option(
            "--taxonomy",
            metavar="wordnet|folders|FILE",
            help="What relates the classes of a source; by default folders where class folders are nested, else "
            "wordnet.",
        ),
    ] = None,
    sense: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=SYNSET", help="What a class means in WordNet: crane=crane.n.05. Repeatable."),
    ] = None,
    whole: Annotated[bool, typer.Option("--whole", help="Show the whole tree, however long it is.")] = False,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="TREE.csv", help="File for its edges, beside a plot.")
    ] = None,
) -> None:
    """Show how classes are related: a tree from WordNet, nested folders or a file."""
    from hashlens.classes import (
        are_nested,
        is_taxonomy_file,
        open_taxonomy,
        read_taxonomy,
        senses_taxonomy,
        wordnet_senses,
        write_taxonomy,
    )

    given = _senses(sense or [])
    found = []
    if relations is None and not given and is_taxonomy_file(source):
        tree = read_taxonomy(source)
        classes = tree.leaves
    else:
        classes = _class_names(source, split)
        relations = relations or ("folders" if are_nested(classes) and not given else "wordnet")
        if relations == "wordnet":
            found = wordnet_senses(classes, given)
            tree = senses_taxonomy(found)
        else:
            tree = open_taxonomy(relations, classes, given)
    # A WordNet id says nothing to a reader.
    captions = {one.class_name: one.synset.partition(".")[0] for one in found if one.is_identifier}
    print(tree.to_text(None if whole else SHOWN_NODES, captions))
    several = [one for one in found if one.others or one.is_kind or one.class_name in given]
    if several:
        print_senses(several)
    joined = sum(len(tree.parents(node)) > 1 for node in tree.nodes)
    print_facts(
        {
            "classes": f"{len(classes):,}",
            "nodes": f"{len(tree):,}",
            "height": tree.height,
            "shape": f"DAG, {joined:,} with several parents" if joined else "tree",
        }
    )
    if output is not None:
        from hashlens.reports.taxonomy_plot import draw_taxonomy

        output.parent.mkdir(parents=True, exist_ok=True)
        output = output.with_suffix(".csv")
        write_taxonomy(tree, output)
        draw_taxonomy(tree, output.with_suffix(".png"), captions)
        log.info("Wrote %s and %s.", output, output.with_suffix(".png"))


@app.command()
def centres(
    bits: Annotated[int, typer.Option(help="Code length, 8 to 1024.")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="H.npy", help="File for the codebook.")],
    classes: Annotated[
        int | None, typer.Option(help="Number of classes, where nothing else given says it.")
    ] = None,
    source: Annotated[
        str | None, typer.Option(metavar="SOURCE", help="Images whose classes, in their order, get the centres.")
    ] = None,
    generator: Annotated[
        str | None,
        typer.Option(
            help="bernoulli, hadamard, maximum-distance or semantic; by default semantic with a similarity or "
            "taxonomy, else maximum-distance."
        ),
    ] = None,
    similarity: Annotated[
        Path | None, typer.Option(help="A .npy or .csv file of a (C, C) class similarity that centres follow.")
    ] = None,
    taxonomy: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|wordnet|folders",
            help="A taxonomy that centres follow: a file, whose leaves are the classes unless there is a source, "
            "or what relates the classes of the source.",
        ),
    ] = None,
    min_distance: Annotated[int | None, typer.Option(help="The least distance of two semantic centres.")] = None,
    seed: int = 0,
) -> None:
    """Make hash centres for classes, save them with a picture, and show how good they are."""
    import numpy as np

    from hashlens.centres import quality
    from hashlens.files import replacing
    from hashlens.methods import SEMANTIC, OrthoHash
    from hashlens.reports.plots import draw_codebook

    names = _class_names(source) if source else None
    matrix = _similarity(similarity, taxonomy, names)
    known = len(matrix) if matrix is not None else len(names) if names else None
    if known is not None and classes not in (None, known):
        raise BadInput(f"--classes is {classes}, but there are {known} classes; leave it out.")
    classes = known or classes
    if classes is None:
        raise BadInput("Say how many classes there are with --classes, or give a similarity, taxonomy or source.")
    chosen = generator or ("maximum-distance" if matrix is None else SEMANTIC)
    codebook = OrthoHash(centres=chosen, min_distance=min_distance).codebook(classes, bits, seed, matrix)
    output.parent.mkdir(parents=True, exist_ok=True)
    output = output.with_suffix(".npy")
    with replacing(output) as temporary:
        np.save(temporary, codebook)
    draw_codebook(codebook, matrix, output.with_suffix(".png"))
    if classes > 1:
        print_facts(quality(codebook, matrix))
    log.info("Wrote %s and %s.", output, output.with_suffix(".png"))


@app.command()
def export(
    model: ModelFolder,
    output: Annotated[Path, typer.Option("-o", "--output", metavar="MODEL.onnx", help="File to write.")],
) -> None:
    """Write a model as an ONNX file, which gives the same packed codes without PyTorch."""
    from hashlens.models import HashModel, export_onnx

    output.parent.mkdir(parents=True, exist_ok=True)
    agreement = export_onnx(HashModel.load(model), output)
    print_facts(
        {
            "compared with PyTorch on": f"{agreement.items} items",
            "equal bits": f"{agreement.equal_bits:.4%}",
            "largest difference of continuous codes": agreement.largest_difference,
        }
    )
    log.info("Wrote %s.", output)


@app.command()
def info(
    path: Annotated[Path, typer.Argument(metavar="MODEL|INDEX", help="A folder written by fit or index.")],
) -> None:
    """Show what a model or an index is."""
    from hashlens.catalogue import Catalogue
    from hashlens.catalogue.catalogue import DATABASE_FILE
    from hashlens.models import CONFIG_FILE, read_config

    if (path / DATABASE_FILE).is_file():
        _print_index(Catalogue.open(path))
        return
    if not (path / CONFIG_FILE).is_file():
        raise BadInput(f"{path} is neither a model nor an index.")
    config = read_config(path)
    training, backbone = config["training"], config["backbone"]
    print_facts(
        {
            "method": config["method"]["name"],
            "parameters": ", ".join(f"{name} {value}" for name, value in config["method"]["parameters"].items()),
            "bits": config["bits"],
            "backbone": f"{backbone['name']} at {backbone['preprocessing']['image_size']} pixels, "
            + ("trained too" if config["finetuned"] else "frozen")
            if backbone
            else f"none: {config['feature_dimension']} given features",
            "hidden layers": ", ".join(map(str, config["hidden_layers"])) or "none",
            "classes": f"{len(config['class_names'])}: {', '.join(config['class_names'][:8])}"
            + (" …" if len(config["class_names"]) > 8 else ""),
            "trained on": f"{training['images']:,} images of {training['source']}, seed {training['seed']}",
            "best epoch": f"{training['best_epoch']} of {training['settings']['epochs']}",
            "validation": ", ".join(f"{name} {value:.4f}" for name, value in _validation(training).items())
            + (f" on {training['held_out']:,} images" if training["held_out"] else "nothing held out"),
            "adapted to": f"{training['adapted_to']:,} images" if "adapted_to" in training else "no",
        }
    )


def _validation(training: dict[str, Any]) -> dict[str, float]:
    """The score of the epoch that was kept, by its name; nothing where no image was held out."""
    kept = next(entry for entry in training["history"] if entry["epoch"] == training["best_epoch"])
    prefix = "validation_"
    return {name.removeprefix(prefix): value for name, value in kept.items() if name.startswith(prefix)}


def _print_index(catalogue: Catalogue) -> None:
    facts = {
        "images": f"{len(catalogue):,}",
        "bits": catalogue.bits,
        "adapted": "yes" if catalogue.adapted else "no",
        "model": catalogue.folder / "model",
    }
    print_facts(facts | {f"from {name}": f"{count:,}" for name, count in catalogue.sources().items()})
    for path, reason in catalogue.skipped():
        log.info("not indexed: %s: %s", path, reason)


def _open(source: str, split: str | None = None) -> OpenedSource:
    from hashlens.sources import open_source

    return open_source(source, split)


def _class_names(source: str, split: str | None = None) -> tuple[str, ...]:
    names = _open(source, split).class_names
    if not names:
        raise BadInput(f"{source} has no labels, so there are no classes; put the images in folders, one a class.")
    return names


def _similarity(
    similarity: Path | None, taxonomy: str | None, names: tuple[str, ...] | None
) -> NDArray[np.float64] | None:
    """(C, C) from a file or a taxonomy, in the order of the class names or, without them, of the file."""
    from hashlens.classes import (
        check_similarity,
        read_similarity,
        read_taxonomy,
        similarity_class_names,
        taxonomy_similarity,
    )

    if similarity and taxonomy:
        raise BadInput("Centres follow either a similarity or a taxonomy; leave one of them out.")
    if similarity and similarity.suffix == ".csv":
        return read_similarity(similarity, names or similarity_class_names(similarity))
    if similarity:
        return check_similarity(read_array(similarity, "a class similarity"), len(names) if names else None)
    if not taxonomy:
        return None
    if names is None and taxonomy in ("wordnet", "folders"):
        raise BadInput(f"Say whose classes {taxonomy} is to relate with --source, or give a file of a taxonomy.")
    if names is not None:
        return taxonomy_similarity(taxonomy, names)
    tree = read_taxonomy(taxonomy)
    return taxonomy_similarity(tree, tree.leaves)


def _senses(words: list[str]) -> dict[str, str]:
    senses = {}
    for word in words:
        name, mark, synset = word.rpartition("=")
        if not (mark and name and synset):
            raise BadInput(f"The sense '{word}' is not of the form NAME=SYNSET, like crane=crane.n.05.")
        senses[name] = synset
    return senses


def _method(
    source: OpenedSource,
    name: str | None,
    taxonomy: str | None,
    no_labels: bool,
    centres: str | None,
    similarity: str | None,
    min_distance: int | None,
    margin: float | None,
    scale: str | None,
) -> Method:
    """The method of that name with the parameters that are given."""
    from hashlens.classes import read_similarity
    from hashlens.methods import SHREWD, default_method, get_method

    chosen = get_method(name or default_method(taxonomy is not None))
    if no_labels and not isinstance(chosen, SHREWD):
        raise BadInput(
            "Only the method shrewd trains without labels; add --method shrewd, or leave --no-labels out."
        )
    given: dict[str, Any] = {
        "centres": read_array(centres, "a codebook") if centres and centres.endswith(".npy") else centres,
        "similarity": similarity,
        "min_distance": min_distance,
        "margin": margin,
        "scale": scale,
        "classification_weight": 0.0 if no_labels else None,
    }
    if similarity and similarity.endswith((".npy", ".csv")):
        given["similarity"] = read_similarity(similarity, source.class_names)
    if scale is not None and scale not in ("sqrt", "auto"):
        try:
            given["scale"] = float(scale)
        except ValueError:
            raise BadInput(f"The scale is '{scale}'; use sqrt, auto or a number.") from None
    given = {parameter: value for parameter, value in given.items() if value is not None}
    for parameter in given:
        if not hasattr(chosen, parameter):
            raise BadInput(f"The method {name} has no {parameter.replace('_', ' ')}.")
    return replace(chosen, **given)


def _sizes(text: str | None) -> list[int] | None:
    if text is None or text == "none":
        return None if text is None else []
    words = [word.strip() for word in text.split(",")]
    if not all(word.isdecimal() and int(word) > 0 for word in words):
        raise BadInput(f"'{text}' are no hidden layers; give their units, as in 1024,512, or none.")
    return [int(word) for word in words]


def _depths(text: str) -> list[int | None]:
    depths: list[int | None] = []
    for word in text.split(","):
        if word.strip() == "all":
            depths.append(None)
        elif word.strip().isdecimal() and int(word) > 0:
            depths.append(int(word))
        else:
            raise BadInput(f"'{word}' is not a ranking depth; use numbers from 1, or all, as in 100,1000,all.")
    return depths


class _PlainHandler(logging.Handler):
    """Messages as they are, to wherever standard error points now (a progress bar redirects it)."""

    def emit(self, record: logging.LogRecord) -> None:
        before = "warning: " if record.levelno >= logging.WARNING else ""
        print(before + self.format(record), file=sys.stderr)


def _speak_plainly() -> None:
    """Show our messages and warnings as plain sentences; of several training processes, only the first's."""
    first = os.environ.get("LOCAL_RANK", "0") == "0"
    log.setLevel(logging.INFO if first else logging.ERROR)
    log.handlers = [_PlainHandler()]
    log.propagate = False
    warnings.showwarning = lambda message, *_args, **_kwargs: log.warning("%s", message)
