"""Methods beside each other on the same data, run by run, so that what was interrupted goes on."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hashlens.backbones import load_backbone
from hashlens.classes import Taxonomy, class_distances, open_relations
from hashlens.errors import BadInput
from hashlens.files import replacing, write_json
from hashlens.methods import Method, Projection, configure, get_method
from hashlens.metrics import Report, evaluate
from hashlens.metrics.rankings import check_distance
from hashlens.models import HashModel
from hashlens.outputs import check_folder
from hashlens.progress import Progress, silence
from hashlens.reports.compared import Compared, Run, check_figures
from hashlens.reports.compared_plots import draw_comparison
from hashlens.reports.compared_sides import Division, Items, OnceComputed, Sides, digest_of
from hashlens.sources import Source
from hashlens.sources.protocols import published_depth
from hashlens.training import FitOptions, fit_with

log = logging.getLogger("hashlens")

FEATURES = "features"  # the method that ranks by cosines of float features
DEFINITION_FILE, RUNS_FOLDER = "comparison.json", "runs"
BITS, SEEDS = (16, 32, 64), (0, 1, 2)
VERSION = 1
FEW = 50

Layers = tuple[int, ...] | None


@dataclass(frozen=True)
class _Job:
    """One run that is to be there."""

    label: str
    bits: int | None
    layers: Layers
    seed: int

    @property
    def file(self) -> str:
        layers = "" if self.layers is None else "-" + ("x".join(map(str, self.layers)) or "linear")
        words = f"{self.label}-{self.bits or 'floats'}{layers}-seed{self.seed}"
        plain = "".join(letter if letter.isalnum() and letter.isascii() else "-" for letter in words)[:80]
        return f"{plain}-{hashlib.blake2b(repr(self).encode(), digest_size=4).hexdigest()}.npz"


def compare(
    source: Items,
    methods: Sequence[str] | Mapping[str, str | Method | Projection],
    folder: str | os.PathLike[str],
    *,
    bits: Sequence[int] = BITS,
    seeds: Sequence[int] = SEEDS,
    hidden_layers: Sequence[Sequence[int] | None] = (None,),
    queries: Items | None = None,
    database: Items | None = None,
    queries_per_class: int | None = None,
    train_per_class: int | None = None,
    exclude_training: bool = False,
    unseen_classes: int = 0,
    leave_one_out: bool = False,
    at: Sequence[int | None] | None = None,
    taxonomy: Taxonomy | ArrayLike | str | os.PathLike[str] | None = None,
    distance: str = "hamming",
    figures: Sequence[str] | None = None,
    baseline: str | None = None,
    options: FitOptions | None = None,
    progress: Progress | None = None,
) -> Compared:
    """Train and evaluate methods at several code lengths, with several seeds, on the same data.

    Features are computed once. Each run is a file, which is there whole or not at all: the same call again does
    what is missing, and one with more methods, code lengths or seeds does only these.

    Args:
        source: what is trained on, and searched unless there is a ``database``: what
            :func:`hashlens.sources.as_source` takes, or the name of a protocol (``cifar10-i``, ``cifar10-ii``,
            ``coco=FOLDER``, …), which says all of it. Without queries, its splits ``train`` and ``test`` are taken.
        methods: names in :data:`hashlens.methods.METHODS` or :data:`hashlens.methods.PROJECTIONS`, with parameters
            after colons where others are wanted, as in ``orthohash:margin=0.3:centres=hadamard``; or a name of your
            own → such a name or a method. ``features`` are the float features, ranked by cosine, or by ``distance``
            where that is of numbers.
        folder: is made if need be; gets the runs, tables (``table.csv``, ``table.md``, ``table.tex``) and plots.
        bits: code lengths.
        seeds: of everything random in a run: what is drawn, initial weights, batches.
        hidden_layers: of each network to compare; ``None`` for the method's own, () for none.
        queries, database: sources of their own for what is asked and searched.
        queries_per_class: instead: draw so many queries of each class from the source; the rest is searched and
            trained on. With 100 and ``train_per_class=500`` this is the protocol ``cifar10-i`` on any images.
        train_per_class: train on so many of each class alone, drawn from the source; of label sets on as many in
            all as that makes.
        exclude_training: leave what is trained on out of the database.
        unseen_classes: draw so many classes, search among these, and train on the others.
        leave_one_out: every item of the database is a query, and is left out of what it searches.
        at: ranking depths, see :func:`hashlens.evaluate`; by default that of the protocol's papers too.
        taxonomy: of the classes, for hierarchical figures and methods that use one; see
            :func:`hashlens.classes.class_distances`. An array is in the order of the database's classes, then of
            others that only the training images or the queries have.
        distance: "hamming"; or "cosine", "l1" or "l2", by which codes rank before they are rounded.
        figures: those to show, such as ``mAP@all``; by default mAP at all depths, and mAHP. All others are kept.
        baseline: of ``methods``; the one that the others are compared with. The first by default.
        options: how to train, and with what backbone, see :class:`hashlens.training.FitOptions`; but for bits, seed
            and hidden layers.
        progress: tells how far it is, such as :func:`hashlens.progress_bar`; silent by default.

    Returns:
        What was found. It makes the tables, and holds every run with the scores of every query.

    Raises:
        BadInput: the folder holds a comparison of something else, or a damaged run; a method cannot be had or asks
            for something that is not there; what :func:`hashlens.fit` and :func:`hashlens.evaluate` refuse.

    Example:
        >>> import tempfile, hashlens as hl
        >>> from hashlens.training import FitOptions
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     found = hl.compare(
        ...         "digits", ["pca-signs", "itq", "features"], folder, bits=[8, 16], seeds=[0],
        ...         options=FitOptions(image_size=32, device="cpu"),
        ...     )
        ...     sorted(path.name for path in Path(folder).glob("table.*"))
        ['table.csv', 'table.md', 'table.tex']
        >>> [len(found.runs), found.mean("features", 8, "mAP@all") > found.mean("pca-signs", 8, "mAP@all")]
        [5, True]
    """
    options = replace(options or FitOptions(), finetune=bool(options and options.finetune))
    if (options.bits, options.seed, options.hidden_layers) != (None, 0, None):
        raise BadInput("Bits, seed and hidden layers are given for all runs at once, not among the options.")
    chosen = _methods(methods, options)
    if baseline is not None and baseline not in chosen:
        raise BadInput(f"The baseline '{baseline}' is not among the methods: {', '.join(chosen)}.")
    layers = [None if one is None else tuple(one) for one in hidden_layers]
    for values, what in ((bits, "code length"), (seeds, "seed"), (layers, "choice of hidden layers")):
        if not values or len(set(values)) < len(values):
            raise BadInput(f"Give at least one {what}, and none of them twice.")
    for job_bits in bits:  # fails before any image is read
        for one in layers:
            replace(options, bits=job_bits, hidden_layers=one, seed=min(seeds))
    check_distance(distance)
    jobs = _jobs(chosen, bits, layers, seeds)

    division = Division(
        queries_per_class=queries_per_class,
        train_per_class=train_per_class,
        exclude_training=exclude_training,
        unseen_classes=unseen_classes,
        leave_one_out=leave_one_out,
    )
    sides = division.sides_of(source, queries, database, seeds)
    names = next(iter(sides.values())).database.class_names
    relations = None if taxonomy is None else open_relations(taxonomy, names)
    if relations is None:
        for label, method in chosen.items():
            if isinstance(method, Method) and method.needs_distance:
                raise BadInput(f"The method {label} needs to know how far classes are apart; give a taxonomy.")
    depths = tuple(at) if at is not None else _usual_depths(source, relations is not None)

    folder = Path(folder)
    definition = {
        "version": VERSION,
        "sides": {
            name: getattr(next(iter(sides.values())), name).name for name in ("train", "queries", "database")
        },
        "division": asdict(division),
        "depths": list(depths),
        "distance": distance,
        "relations": None if relations is None else _digest(class_distances(relations, names)),
        "options": asdict(replace(options, device=None, checkpoints=None)),
    }
    _begin(folder, definition)
    data = {seed: digest_of(sides[seed]) for seed in seeds}
    work = _Work(sides, chosen, relations, names, depths, leave_one_out, distance, options, progress)
    if figures:  # tells a slip before anything is trained
        check_figures(figures, work.figures())
    runs = []
    missing = [job for job in jobs if not (folder / RUNS_FOLDER / job.file).is_file()]
    with (progress or silence)("Comparing", len(missing)) as advance:
        for job in jobs:
            path = folder / RUNS_FOLDER / job.file
            if path.is_file():
                run = _read(path)
                if run.content["parameters"] != _parameters(chosen[job.label]):
                    raise BadInput(f"{path} is of {job.label} with other parameters; give these another name.")
                if run.content["data"] != data[job.seed]:
                    raise BadInput(f"{path} is of other images or labels; compare in another folder.")
            else:
                run = work.run(job, data[job.seed])
                _write(path, run)
                shown = next(name for name in reversed(run.report.figures) if name.startswith("mAP@"))
                advance(1, note=f"{job.label}, seed {job.seed}: {shown} {run.report[shown]:.3f}")
            runs.append(run)
    compared = Compared(runs, list(chosen), list(bits), layers, figures, baseline)
    compared.write(folder)
    draw_comparison(compared, folder)
    return compared


def _usual_depths(source: Items, related: bool) -> tuple[int | None, ...]:
    """With the depth of the protocol's papers, and where classes are related that of mAHP's."""
    published = published_depth(source) if isinstance(source, str) else None
    depths = {100, 1000, *([250] if related else []), *([published] if published else [])}
    return (*sorted(depths), None)


def _methods(
    methods: Sequence[str] | Mapping[str, str | Method | Projection], options: FitOptions
) -> dict[str, Method | Projection | None]:
    """By the names that tables give them; ``None`` are the float features."""
    if isinstance(methods, str):
        raise BadInput(f"The methods are '{methods}'; give a list of them.")
    given = dict(methods) if isinstance(methods, Mapping) else {one: one for one in methods}
    if not given or len(given) < len(methods):
        raise BadInput("Give at least one method, and none of them twice.")
    chosen = {label: _method(one) for label, one in given.items()}
    for method in chosen.values():
        if isinstance(method, Method):
            method.settings(bool(options.finetune), options.paper)  # refuses what has no settings of a paper
    return chosen


def _method(given: str | Method | Projection) -> Method | Projection | None:
    if not isinstance(given, str):
        return given
    name, *settings = given.split(":")
    if name == FEATURES and not settings:
        return None
    pairs = [setting.partition("=") for setting in settings]
    for setting, (parameter, mark, value) in zip(settings, pairs, strict=True):
        if not (parameter and mark and value):
            raise BadInput(f"'{setting}' in {given} is no parameter; write it as in orthohash:margin=0.3.")
    return configure(get_method(name), {parameter: value for parameter, _, value in pairs})


def _parameters(method: Method | Projection | None) -> dict[str, Any]:
    return {} if method is None else {"name": type(method).__name__, **method.describe()}


def _jobs(
    methods: Mapping[str, Method | Projection | None],
    bits: Sequence[int],
    layers: Sequence[Layers],
    seeds: Sequence[int],
) -> list[_Job]:
    """All runs, one seed after the other, so that early ones tell something of all methods."""
    return [
        _Job(label, length, sizes, seed)
        for seed in seeds
        for label, method in methods.items()
        for length in (bits if method is not None else (None,))
        for sizes in (layers if isinstance(method, Method) else (None,))
    ]


class _Work:
    """What runs have in common; features are computed when the first of them needs any."""

    def __init__(
        self,
        sides: Mapping[int, Sides],
        methods: Mapping[str, Method | Projection | None],
        relations: Taxonomy | NDArray[np.float64] | None,
        names: tuple[str, ...],
        depths: tuple[int | None, ...],
        leave_one_out: bool,
        distance: str,
        options: FitOptions,
        progress: Progress | None,
    ) -> None:
        self._sides, self._methods, self._relations, self._names = sides, methods, relations, names
        self._depths, self._leave_one_out, self._distance = depths, leave_one_out, distance
        self._options, self._progress = options, progress
        self._features: OnceComputed | None = None
        self._ready: tuple[tuple[int, bool], Sides] | None = None

    def run(self, job: _Job, data: str) -> Run:
        """Train and evaluate."""
        method = self._methods[job.label]
        sides = self._as_features(job.seed, self._takes_stages(method))
        seconds = 0.0
        if method is None:
            report = self._rank(sides)
        else:
            used = self._sides[job.seed] if self._sees_images(method) else sides
            started = time.perf_counter()
            with _only_warnings():
                model = fit_with(
                    used.train, self._options_of(job, method), method, taxonomy=self._taxonomy(method, used)
                )
            seconds = time.perf_counter() - started
            database, kept = self._codes(model, used.database)
            queries, asked = database, kept
            if used.queries is not used.database:
                queries, asked = self._codes(model, used.queries)
            assert used.queries.labels is not None and used.database.labels is not None
            report = self._ranked(
                queries,
                used.queries.labels[asked],
                database,
                used.database.labels[kept],
                self._distance,
                model.bits,
            )
        content = {
            "version": VERSION,
            "method": job.label,
            "parameters": _parameters(method),
            "bits": job.bits,
            "hidden_layers": job.layers,
            "seed": job.seed,
            "data": data,
            "asked": digest_of([self._sides[job.seed].queries]),
            "train": len(sides.train),
            "queries": len(sides.queries),
            "database": len(sides.database),
            "seconds": seconds,
            "precision_recall": report.get("curves", {}).get("precision_recall_by_rank"),
        }
        return Run(content, Report(report.figures, report.per_query))

    def figures(self) -> list[str]:
        """Names of those that runs have, by ranking a few items that are all alike."""
        _, queries, database = next(iter(self._sides.values()))
        few = database if self._leave_one_out else queries
        assert few.labels is not None
        labels = few.labels[:FEW]
        codes = np.zeros((len(labels), 1), np.uint8 if self._distance == "hamming" else np.float32)
        return list(self._ranked(codes, labels, codes, labels, self._distance).figures)

    def _codes(self, model: HashModel, items: Source) -> tuple[NDArray[Any], NDArray[np.int64]]:
        """What is ranked, and of which items; bits lie on either side of 0."""
        if self._distance == "hamming":
            return model.encode(items, return_items=True)
        codes, kept = model.continuous_codes(items, return_items=True)
        return codes - model.network.hash_layer.threshold, kept

    def _rank(self, sides: Sides) -> Report:
        """By the features themselves."""
        _, queries, database = sides
        assert queries.labels is not None and database.labels is not None
        return self._ranked(
            queries.features(), queries.labels, database.features(), database.labels,
            "cosine" if self._distance == "hamming" else self._distance,
        )  # fmt: skip

    def _ranked(
        self,
        queries: NDArray[Any],
        query_labels: NDArray[Any],
        database: NDArray[Any],
        database_labels: NDArray[Any],
        distance: str,
        bits: int | None = None,
    ) -> Report:
        return evaluate(
            queries, query_labels, database, database_labels, self._depths, self._relations, self._names,
            bits if distance == "hamming" else None, self._leave_one_out, distance,
        )  # fmt: skip

    def _as_features(self, seed: int, stages: bool) -> Sides:
        """The sides of a seed, with features for images; those that were asked for last are held."""
        if self._ready is None or self._ready[0] != (seed, stages):
            if self._features is None:
                backbone = None
                if next(iter(self._sides.values())).train.feature_dimension is None:
                    given, any_stages = self._options, any(map(self._takes_stages, self._methods.values()))
                    backbone = load_backbone(given.backbone, given.weights, given.image_size, any_stages)
                sides = list(self._sides.values())
                self._features = OnceComputed(sides, backbone, self._options.device, self._progress)
            self._ready = (seed, stages), self._features.of(self._sides[seed], stages)
        return self._ready[1]

    def _takes_stages(self, method: Method | Projection | None) -> bool:
        options = self._options
        return isinstance(method, Method) and method.settings(bool(options.finetune), options.paper).stages

    def _sees_images(self, method: Method | Projection) -> bool:
        """Whether one feature of each image will not do."""
        options = self._options
        if isinstance(method, Projection):
            return options.mirror
        return bool(options.finetune) or options.mirror or options.views > 1

    def _options_of(self, job: _Job, method: Method | Projection) -> FitOptions:
        given, unset = self._options, FitOptions()
        own = replace(given, bits=job.bits, seed=job.seed, hidden_layers=job.layers)
        if isinstance(method, Projection):  # others have no effect
            own = FitOptions(
                bits=job.bits, seed=job.seed, device=given.device, mirror=given.mirror,
                backbone=given.backbone, weights=given.weights, image_size=given.image_size,
            )  # fmt: skip
        if self._sees_images(method):
            return own
        return replace(own, backbone=unset.backbone, weights=None, image_size=None)

    def _taxonomy(self, method: Method | Projection, sides: Sides) -> NDArray[np.float64] | None:
        """Distances of the classes that are trained on, for a method that asks for them."""
        if self._relations is None or not isinstance(method, Method) or not method.needs_distance:
            return None
        places = [self._names.index(name) for name in sides.train.class_names]
        return class_distances(self._relations, self._names)[np.ix_(places, places)]


@contextmanager
def _only_warnings() -> Iterator[None]:
    """What each training tells of itself would bury what the comparison tells."""
    level = log.level
    log.setLevel(max(level, logging.WARNING))
    try:
        yield
    finally:
        log.setLevel(level)


def _digest(matrix: NDArray[np.float64]) -> str:
    return hashlib.blake2b(matrix.tobytes(), digest_size=16).hexdigest()


def _begin(folder: Path, definition: dict[str, Any]) -> None:
    """Make the folder, or see that it is of the same comparison.

    Raises:
        BadInput: it is not.
    """
    path = folder / DEFINITION_FILE
    runs = folder / RUNS_FOLDER
    if not path.is_file():
        if runs.is_dir() and any(runs.iterdir()):
            raise BadInput(f"{folder} holds runs, but no {DEFINITION_FILE} that says of what; use another folder.")
        check_folder(folder, "a comparison", lambda _: False, (RUNS_FOLDER,))
        runs.mkdir(parents=True, exist_ok=True)
        write_json(path, definition)
        return
    try:
        there = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        there = None
    if not isinstance(there, dict):
        raise BadInput(f"{path} is damaged; compare in another folder.")
    differing = _differing(there, definition)
    if differing:
        raise BadInput(f"{folder} is of another comparison: {differing}; use another folder.")
    runs.mkdir(exist_ok=True)


def _differing(there: Mapping[str, Any], definition: Mapping[str, Any]) -> str:
    """What the definition of a comparison and that in the folder do not have in common, in words."""
    told = []
    for name, value in definition.items():
        before = there.get(name)
        pairs = {name: (before, value)}
        if isinstance(value, dict) and isinstance(before, dict):
            pairs = {key: (before.get(key), value.get(key)) for key in {**value, **before}}
        for key, (old, new) in pairs.items():
            if old == json.loads(json.dumps(new)):
                continue
            words = key.replace("_", " ")
            if key == "relations":  # digests, which say nothing to a reader
                old, new = ("none" if one is None else "another" for one in (old, new))
                words = "taxonomy"
            told.append(f"{words}: {_in_words(old)} there, {_in_words(new)} now")
    return ", ".join(told)


def _in_words(value: Any) -> str:
    if isinstance(value, list):
        return "/".join("all" if one is None else str(one) for one in value) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "not given" if value is None else str(value)


def _write(path: Path, run: Run) -> None:
    names = list(run.report.per_query)
    content = json.dumps(run.content | {"figures": names})
    scores = np.stack([run.report.per_query[name] for name in names], 1)
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, content=np.frombuffer(content.encode(), np.uint8), scores=scores)


def _read(path: Path) -> Run:
    """A run from its file.

    Raises:
        BadInput: it is damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            content = json.loads(arrays["content"].tobytes())
            scores = arrays["scores"]
        names = content.pop("figures")
        if content["version"] != VERSION or scores.shape != (content["queries"], len(names)):
            raise ValueError
        columns = {name: np.ascontiguousarray(scores[:, place], np.float64) for place, name in enumerate(names)}
    except Exception:  # damaged files raise BadZipFile, zlib.error, KeyError, …
        raise BadInput(f"{path} is damaged; remove it, and the run is done again.") from None
    content["hidden_layers"] = None if content["hidden_layers"] is None else tuple(content["hidden_layers"])
    return Run(content, Report({name: float(values.mean()) for name, values in columns.items()}, columns))
