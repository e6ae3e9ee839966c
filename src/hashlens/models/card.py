"""What a model says of itself where others find it: a README with a YAML head, as the Hugging Face Hub reads it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Any

from hashlens.errors import BadInput
from hashlens.hub import is_address, parse_address
from hashlens.metrics.report import Report
from hashlens.metrics.tables import FigureTable, figure_tables

TASK = "image-feature-extraction"  # as the Hub calls what encodes images
TAGS = ["image-retrieval", "hashing", "binary-codes"]
SHOWN_CLASSES = 20

TEXT = """\
# {title}

Turns {what} into {bits} bits, so that the most alike are found by Hamming distance. Trained by HashLens
(`pip install hashlens`); `config.json` and `model.safetensors` are all of it, and no code is run to load them.

## Use

```python
import hashlens as hl

model = hl.HashModel.load("hf://{name}")
codes = model.encode({example})  # (N, {code_bytes}) uint8
```

    hashlens index hf://{name} photos/ -o index
    hashlens search index query.jpg --open

## What it is

| | |
| --- | --- |
{facts}

## How good it is

{figures}
"""
NOT_MEASURED = "Not measured. `hashlens evaluate` measures it on images of your own.\n"


def model_card(
    config: Mapping[str, Any],
    name: str,
    report: Mapping[str, Any] | None = None,
    data: str = "",
    license: str | None = None,
) -> str:
    """The card of a model, with the figures that were measured as the Hub's ``model-index``.

    Args:
        config: the model's ``config.json``.
        name: ``user/name`` on the Hub.
        report: what :func:`hashlens.reports.write_report` returned, or its ``metrics.json`` holds.
        data: what it was trained on, in words, or a data set's ``hf://datasets/user/name``.
        license: of the model, as the Hub names licences, such as ``mit``; none is claimed by default.

    Example:
        >>> config = {
        ...     "bits": 16, "feature_dimension": 8, "backbone": None, "finetuned": False, "class_names": ["cat"],
        ...     "method": {"name": "itq", "parameters": {}}, "training": {"images": 40, "seed": 0},
        ... }
        >>> card = model_card(config, "me/pets", {"mAP@10": 0.5}, license="cc0-1.0")
        >>> "license: cc0-1.0" in card.splitlines(), "| 10 | 0.5000 |" in card
        (True, True)
    """
    from huggingface_hub import ModelCardData

    title = name.partition("/")[2]
    told = {} if report is None else dict(report)
    head = ModelCardData(
        license=license,
        library_name="hashlens",
        pipeline_tag=TASK,
        tags=TAGS,
        datasets=[parse_address(data).repository] if is_address(data) else None,
        model_name=title,
        eval_results=_results(told) or None,
    )
    backbone, training = config["backbone"], config["training"]
    names = [_in_a_cell(one) for one in config["class_names"]]
    facts = {
        "method": config["method"]["name"],
        "bits": config["bits"],
        "backbone": f"{backbone['name']} at {backbone['preprocessing']['image_size']} pixels, "
        + ("trained too" if config["finetuned"] else "frozen")
        if backbone
        else f"none: {config['feature_dimension']} given features",
        "trained on": _in_a_cell(data or shown_name(training.get("source", "")))
        + f", {training['images']:,} items, seed {training['seed']}",
        "classes": f"{len(names)}: {', '.join(names[:SHOWN_CLASSES])}" + (", …" if names[SHOWN_CLASSES:] else "")
        if names
        else "none known in training",
        "licence": license or "not stated",
    }
    text = TEXT.format(
        title=title,
        name=name,
        what="images" if backbone else f"features of {config['feature_dimension']} numbers",
        example='["photo.jpg"]' if backbone else "features",
        bits=config["bits"],
        code_bytes=-(-config["bits"] // 8),
        facts="\n".join(f"| {fact} | {value} |" for fact, value in facts.items()),
        figures=_figures(told) if told else NOT_MEASURED,
    )
    return f"---\n{head.to_yaml()}\n---\n\n{text}"


def read_report(report: Mapping[str, Any] | str | os.PathLike[str]) -> dict[str, Any]:
    """A report, from the folder that ``hashlens evaluate`` wrote or its ``metrics.json``, or as it is.

    Raises:
        BadInput: there is none.

    Example:
        >>> read_report({"mAP@10": 0.5})
        {'mAP@10': 0.5}
    """
    if isinstance(report, Mapping):
        return dict(report)
    content = dict(Report.read(report))
    if not figure_tables(content):
        raise BadInput(f"{Path(report)} is no report of hashlens evaluate: it holds no figures.")
    return content


def shown_name(source: str) -> str:
    """What strangers may know of where something was: no folders of this machine.

    Example:
        >>> shown_name("/home/me/photos:train"), shown_name("hf://datasets/me/shoes:train"), shown_name("")
        ('photos:train', 'hf://datasets/me/shoes:train', 'not told')
    """
    return source if is_address(source) else PurePath(source).name or "not told"


def _results(report: Mapping[str, Any]) -> list[Any]:
    """The figures with a depth, without those of the worst and the best order of ties, as the Hub knows them."""
    from huggingface_hub import EvalResult

    sources = report.get("sources", {})
    database, queries = str(sources.get("database", "")), str(sources.get("queries", ""))
    # Of an address the repository is the id of the data set; other data has none on the Hub.
    stem, _, split = database.partition("://")[2].partition(":") if is_address(database) else ("", "", "")
    found = []
    for name, value in report.items():
        if "@" in name and "/" not in name and isinstance(value, int | float):
            found.append(
                EvalResult(
                    task_type=TASK,
                    task_name="Image retrieval by Hamming distance",
                    dataset_type=parse_address(f"hf://{stem}").repository if stem else "custom",
                    dataset_name=f"queries {shown_name(queries)}, database {shown_name(database)}",
                    dataset_split=split or None,
                    metric_type=name.partition("@")[0].lower(),
                    metric_name=name,
                    metric_value=round(float(value), 6),
                )
            )
    return found


def _figures(report: Mapping[str, Any]) -> str:
    sources = report.get("sources", {})
    where = ""
    if "queries" in report and "database" in report:
        queries, database = (_in_a_cell(shown_name(str(sources.get(side, "")))) for side in ("queries", "database"))
        where = f"{report['queries']:,} queries ({queries}) in {report['database']:,} items ({database}). "
    tables = "\n".join(_table(table) for table in figure_tables(report))
    note = "Orders of equal distances are averaged over; `worst` and `best` are their bounds."
    return f"{where}{note}\n\n{tables}"


def _table(table: FigureTable) -> str:
    lines = [table.columns, ["---"] * len(table.columns), *table.rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _in_a_cell(text: str) -> str:
    """Text that stays in its cell of a table, and is no markup."""
    return "".join(f"\\{one}" if one in r"\|<>[]*_`" else " " if one in "\r\n" else one for one in text)
