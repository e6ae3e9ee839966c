"""Evaluate a model on images and write down what was found."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from numpy.typing import ArrayLike

from hashlens.classes import Taxonomy, class_distances, open_relations
from hashlens.counting import counted
from hashlens.engines import HammingIndex
from hashlens.errors import BadInput
from hashlens.metrics import Report, evaluate
from hashlens.metrics.code_statistics import quantization_error
from hashlens.metrics.rankings import FloatRanking, check_distance
from hashlens.models import Encoded, HashModel
from hashlens.progress import Progress
from hashlens.reports.baselines import FEATURE_BYTES, compare_with_baselines
from hashlens.reports.by_class import confusions, most_confused, scores_by_class, shares_of, write_classes
from hashlens.reports.files import check_report_folder, write_figures
from hashlens.reports.page import Side, result_rows, write_page
from hashlens.reports.pictures import made_by
from hashlens.reports.plots import MOST_NAMED, draw_plots
from hashlens.reports.rescoring import SHOWN, rescored_scores, shown_items
from hashlens.reports.unlabelled import write_neighbours
from hashlens.sources import Source, as_source
from hashlens.sources.labels import common_names, share_numbering

PAGE_FILE = "report.html"
CLASS_FIGURES = ("precision@10", "mAP@all")  # that are given class by class


def write_report(
    model: HashModel,
    *,
    database: Source | str | os.PathLike[str],
    queries: Source | str | os.PathLike[str] | None,
    folder: str | os.PathLike[str],
    at: Sequence[int | None] | None = None,
    device: str | None = None,
    taxonomy: Taxonomy | ArrayLike | str | os.PathLike[str] | None = None,
    seed: int = 0,
    command: str = "",
    progress: Progress | None = None,
    distance: str = "hamming",
) -> Report:
    """Encode queries and database, evaluate, and write metrics, plots and a page to a folder.

    Args:
        queries, database: sources, or what :func:`hashlens.open_source` takes. If neither has labels, codes are
            judged by the neighbours that features find, and there is no page. Without queries, every image of the
            database is one, and is left out of what it searches.
        folder: is made if need be; gets ``metrics.json``; the figures as ``metrics.csv`` and those of every query
            as ``queries.csv``, of every class as ``classes.csv``; plots as PNG files; and ``report.html``, which
            needs no other file.
        at: ranking depths, see :func:`hashlens.metrics.evaluate`; 10 besides its own by default.
        taxonomy: of the classes of both sources, see :func:`hashlens.classes.class_distances`; an array of
            distances is in the order of the database's classes, and the queries may have no others.
        seed: of the queries that the page shows, and that are drawn for :func:`compare_with_baselines`.
        command: that the page tells to have made it.
        progress: tells how far the encoding is, such as :func:`hashlens.progress_bar`; silent by default.
        distance: see :func:`hashlens.metrics.evaluate`; by another than "hamming" the continuous codes rank, from
            which the value that parts the bits has been subtracted.

    Returns:
        What :func:`hashlens.metrics.evaluate` returns, and: ``precision@10/rescored`` and ``mAP@10/rescored`` of
        the order in which an index shows results, see :func:`rescored_scores`, where codes rank; ``skipped``, items
        that could not be read, for ``queries`` and ``database``; ``baselines``, figures of chance, signs of
        principal components and the features, and what they mean; ``classes``, scores by class, and ``confusions``,
        the classes most often taken for each other among the first ten results; ``queries_in_database``, the number
        of queries whose very image stands in the database too; ``notes``, sentences on both; ``query_digest`` and
        ``database_digest`` of images, for :func:`hashlens.reports.write_differences`; ``model`` and ``sources``.

    Raises:
        BadInput: the folder holds something else than a report, only one of the sources has labels, nothing in it
            can be read, a class is not in the taxonomy, or there is no such distance.

    Example:
        >>> import tempfile, numpy as np, hashlens as hl
        >>> x = np.random.default_rng(0).normal(size=(60, 8)).astype(np.float32)
        >>> source = hl.sources.FeatureArray("mine", x, np.arange(60) % 2, ["cat", "dog"])
        >>> model = hl.fit(source, bits=16, epochs=1, device="cpu")
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     queries, database = source.select(range(20)), source.select(range(20, 60))
        ...     report = write_report(model, queries=queries, database=database, folder=folder, at=(10, None))
        ...     sorted(path.name for path in Path(folder).glob("[mqr]*"))
        ['metrics.csv', 'metrics.json', 'queries.csv', 'report.html']
        >>> report["queries"], report["notes"]
        (20, [])
    """
    check_distance(distance)
    folder = Path(folder)
    check_report_folder(folder)
    folder.mkdir(parents=True, exist_ok=True)
    searched = as_source(database)
    leave_one_out = queries is None
    asked = searched if queries is None else as_source(queries)
    if (asked.labels is None) != (searched.labels is None):
        unlabelled = asked if asked.labels is None else searched
        raise BadInput(f"{unlabelled.name} has no labels, so there is nothing to judge results by.")
    classes = common_names(searched.class_names, asked.class_names)
    relations = None if taxonomy is None else open_relations(taxonomy, classes)  # fails before images are read
    if leave_one_out and searched.labels is None:
        raise BadInput(f"{searched.name} has no labels; give queries that are not in it, to compare with features.")
    compared = 4 * model.network.last_dimension * len(searched) <= FEATURE_BYTES
    with model.encoder(device, progress=progress) as encoder:
        encoded_database = encoder.all(searched, "Encoding the database", features=compared)
        encoded_queries = encoded_database
        if not leave_one_out:
            encoded_queries = encoder.all(asked, "Encoding queries", features=compared)
    if asked.labels is None or searched.labels is None:
        sides = (asked, encoded_queries), (searched, encoded_database)
        return write_neighbours(model, *sides, folder, at, device, progress)
    database_labels, query_labels, names = share_numbering(
        searched.labels[encoded_database.items], searched.class_names,
        asked.labels[encoded_queries.items], asked.class_names,
    )  # fmt: skip
    if at is None:
        at = (10, 100, 1000, None) if relations is None else (10, 100, 250, 1000, None)
    threshold = model.network.hash_layer.threshold
    by_codes = distance == "hamming"
    ranked_queries, ranked_database = (
        one.codes if by_codes else one.continuous - threshold for one in (encoded_queries, encoded_database)
    )
    found = evaluate(
        ranked_queries, query_labels, ranked_database, database_labels, at,
        relations, classes, model.bits if by_codes else None, leave_one_out, distance,
    )  # fmt: skip
    rescored = {}
    if by_codes:
        index = HammingIndex.build(encoded_database.codes, model.bits)
        shown = shown_items(encoded_queries, encoded_database, index, leave_one_out)
        rescored = rescored_scores(shown, query_labels, database_labels)
    else:
        shown = FloatRanking(ranked_queries, ranked_database, distance, leave_one_out).nearest(SHOWN)
    baselines = compare_with_baselines(
        encoded_queries,
        query_labels,
        encoded_database,
        database_labels,
        model.bits,
        at,
        seed,
        leave_one_out,
    )
    by_class = scores_by_class(
        {name: found.per_query[name] for name in CLASS_FIGURES if name in found.per_query} or rescored,
        query_labels, database_labels, names,
    )  # fmt: skip
    pairs = None
    if query_labels.ndim == 1:
        pairs = confusions(shown, query_labels, database_labels, len(names))
    known = Counter(encoded_database.digests)
    sources = {
        "queries": f"{asked.name}, each left out of what it searches" if leave_one_out else asked.name,
        "database": searched.name,
    }
    if relations is not None:
        sources["taxonomy"] = str(relations) if isinstance(relations, Taxonomy) else "given distances"
    content = {
        **found,
        **{name: float(scores.mean()) for name, scores in rescored.items()},
        "codes": found.get("codes", {})
        | {"quantization_error": quantization_error(encoded_database.continuous - threshold)},
        "baselines": baselines.to_dict(),
        "classes": by_class,
        "confusions": [] if pairs is None else most_confused(pairs, names),
        "queries_in_database": sum(known[digest] > leave_one_out for digest in encoded_queries.digests),
        "skipped": {
            "queries": [] if leave_one_out else [str(one) for one in encoded_queries.skipped],
            "database": [str(one) for one in encoded_database.skipped],
        },
        **_digests(asked, encoded_queries, searched, encoded_database),
        "model": {"method": model.method, "bits": model.bits, "fingerprint": model.fingerprint()},
        "sources": sources,
    }
    report = Report(content | {"notes": _notes(content)}, found.per_query | rescored)
    write_figures(report, folder)
    if by_class:
        write_classes(by_class, folder)
    heat = None
    if pairs is not None and len(names) <= MOST_NAMED:
        heat = shares_of(pairs, len(names)), names
    plots = draw_plots(report, folder, heat)
    rows = None
    if asked.feature_dimension is None and searched.feature_dimension is None:
        rows = result_rows(
            Side(asked, encoded_queries.items, encoded_queries.codes, query_labels),
            Side(searched, encoded_database.items, encoded_database.codes, database_labels),
            shown,
            None if relations is None else class_distances(relations, classes),
            seed,
        )
    made = made_by(command, seed)
    write_page(folder / PAGE_FILE, _facts(model, report), report, plots, rows, made)
    return report


def _digests(
    asked: Source, encoded_queries: Encoded, searched: Source, encoded_database: Encoded
) -> dict[str, str]:
    """By which two reports can tell whether they are of the same images; those of features need not be."""
    sides = {"query_digest": (asked, encoded_queries), "database_digest": (searched, encoded_database)}
    return {
        key: hashlib.blake2b(b"".join(encoded.digests), digest_size=16).hexdigest()
        for key, (source, encoded) in sides.items()
        if source.feature_dimension is None
    }


def _notes(report: dict[str, Any]) -> list[str]:
    notes = []
    if report["distance"] != "hamming":
        notes.append(
            f"Continuous codes rank by {report['distance']}, so what counts in bits, such as precision within a "
            "Hamming radius, is left out."
        )
    if report["queries_in_database"]:
        of_all = f"of {counted(report['queries'], 'query image', 'query images')}"
        notes.append(
            counted(
                report["queries_in_database"],
                f"{of_all} stands in the database too and finds itself",
                f"{of_all} stand in the database too and find themselves",
            )
            + ", so the figures are too good; evaluate with images that are not in the database."
        )
    for side, skipped in report["skipped"].items():
        if skipped:
            could_not = f"of the {side} could not be read and"
            notes.append(
                counted(len(skipped), f"image {could_not} was left out.", f"images {could_not} were left out.")
            )
    if report["queries_without_relevant"]:
        notes.append(
            counted(
                report["queries_without_relevant"],
                "query has nothing relevant in the database and counts as 0.",
                "queries have nothing relevant in the database and count as 0.",
            )
        )
    return notes


def _facts(model: HashModel, report: dict[str, Any]) -> dict[str, str]:
    backbone = model.backbone
    return {
        "Method": f"{model.method['name']}, {model.bits} bits",
        "Features": f"{backbone.name} at {backbone.preprocessing.image_size} pixels"
        + (", trained too" if model.finetuned else ", frozen")
        if backbone
        else "given",
        "Queries": f"{report['queries']:,} from {report['sources']['queries']}",
        "Database": f"{report['database']:,} from {report['sources']['database']}",
        "Ranked by": "Hamming distance of codes"
        if report["distance"] == "hamming"
        else f"{report['distance']} of continuous codes",
    } | ({"Taxonomy": report["sources"]["taxonomy"]} if "taxonomy" in report["sources"] else {})
