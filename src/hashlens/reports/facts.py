"""What a model or an index is, in a few lines."""

from __future__ import annotations

import os
from typing import Any

from hashlens.catalogue import Catalogue
from hashlens.catalogue.catalogue import DATABASE_FILE
from hashlens.engines import HammingIndex
from hashlens.errors import BadInput
from hashlens.models import CONFIG_FILE, read_config
from hashlens.models.hash_model import kept_scores, model_folder

SHOWN_CLASSES = 8
SHOWN = 5  # sources, and images that are not indexed


def facts_of(folder: str | os.PathLike[str]) -> tuple[dict[str, Any], list[str]]:
    """Names and values to show of a model or an index, and remarks.

    Raises:
        BadInput: the folder is neither, or damaged.

    Example:
        >>> import tempfile, numpy as np, hashlens as hl
        >>> x = np.random.default_rng(0).normal(size=(60, 8)).astype(np.float32)
        >>> source = hl.sources.FeatureArray("mine", x, np.arange(60) % 2, ["cat", "dog"])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     hl.fit(source, bits=16, epochs=1, device="cpu").save(folder)
        ...     facts, remarks = facts_of(folder)
        >>> facts["bits"], facts["backbone"], facts["classes"], remarks
        (16, 'none: 8 given features', '2: cat, dog', [])
    """
    folder = model_folder(folder)
    if (folder / DATABASE_FILE).is_file():
        return _of_index(Catalogue.open(folder))
    if not (folder / CONFIG_FILE).is_file():
        raise BadInput(f"{folder} is neither a model nor an index.")
    config = read_config(folder)
    try:
        return _of_model(config), []
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise BadInput(f"{folder / CONFIG_FILE} is damaged ({error!r}).") from None


def _of_model(config: dict[str, Any]) -> dict[str, Any]:
    training, backbone = config["training"], config["backbone"]
    names = config["class_names"]
    scores = ", ".join(f"{name} {value:.4f}" for name, value in kept_scores(training).items())
    return {
        "method": config["method"]["name"],
        "parameters": ", ".join(f"{name} {value}" for name, value in config["method"]["parameters"].items()),
        "bits": config["bits"],
        "backbone": f"{backbone['name']} at {backbone['preprocessing']['image_size']} pixels, "
        + ("trained too" if config["finetuned"] else "frozen")
        if backbone
        else f"none: {config['feature_dimension']} given features",
        "hidden layers": ", ".join(map(str, config["hidden_layers"])) or "none",
        "classes": f"{len(names)}: {', '.join(names[:SHOWN_CLASSES])}" + (" …" if names[SHOWN_CLASSES:] else "")
        if names
        else "none",
        "trained on": f"{training['images']:,} images of {training['source']}, seed {training['seed']}",
        "best epoch": f"{training['best_epoch']} of {training['settings']['epochs']}"
        if training["history"]
        else "none: fitted at once, without labels",
        "validation": scores
        + (f" on {training['held_out']:,} images" if training["held_out"] else "nothing held out"),
        "adapted to": f"{training['adapted_to']:,} images" if "adapted_to" in training else "no",
    }


def _of_index(catalogue: Catalogue) -> tuple[dict[str, Any], list[str]]:
    engine = catalogue.engine()
    facts: dict[str, Any] = {
        "images": f"{len(catalogue):,}",
        "bits": catalogue.bits,
        "adapted": "yes" if catalogue.adapted else "no",
        "model": catalogue.folder / "model",
    }
    if isinstance(engine, HammingIndex):
        facts["searched"] = "; ".join(engine.plan) if len(engine) else "no codes"
    else:
        facts["engine"] = type(engine).__name__
    facts["details"] = f"of {catalogue.detailed():,} images"
    sources, skipped = catalogue.sources(), catalogue.skipped()
    facts |= {f"from {name}": f"{count:,}" for name, count in list(sources.items())[:SHOWN]}
    if len(sources) > SHOWN:
        facts[f"from {len(sources) - SHOWN:,} more sources"] = f"{sum(list(sources.values())[SHOWN:]):,}"
    remarks = [f"not indexed: {path}: {reason}" for path, reason in skipped[:SHOWN]]
    if len(skipped) > SHOWN:
        remarks.append(f"not indexed: {len(skipped) - SHOWN:,} more, as hashlens index tells when it is run again")
    return facts, remarks
