"""Arguments that several verbs have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hashlens.errors import BadInput

SourceName = Annotated[
    str,
    typer.Argument(
        metavar="SOURCE",
        help="A folder of class folders, a .parquet, .csv or .npz file, or digits, fashion-mnist, cifar10 or "
        "cifar100; with :train, :test or another split at its end.",
        show_default=False,
    ),
]
Split = Annotated[str | None, typer.Option(help="Split of the source to use, as :SPLIT at its end.")]
ModelFolder = Annotated[Path, typer.Argument(metavar="MODEL", help="A folder written by hashlens fit.")]
Relations = Annotated[
    str | None,
    typer.Option(
        "--taxonomy",
        metavar="wordnet|folders|FILE",
        help="How classes are related: WordNet, nested folders, an edge file, or a .npy of class distances.",
    ),
]
TrainingDevice = Annotated[
    str | None, typer.Option("--device", help="cpu, cuda or cuda:N; by default a GPU where there is one.")
]
EncodingDevice = Annotated[
    str | None,
    typer.Option(
        "--device",
        help="cpu, cuda or cuda:N; by default a GPU where there is one. onnx is the CPU by way of ONNX Runtime, "
        "which is faster.",
    ),
]


def pairs(words: list[str] | None, form: str, example: str) -> dict[str, str]:
    """Words of a form like NAME=VALUE as a dictionary.

    Raises:
        BadInput: a word has another form.
    """
    found = {}
    for word in words or []:
        name, mark, value = word.rpartition("=")
        if not (mark and name and value):
            raise BadInput(f"'{word}' is not of the form {form}, like {example}.")
        found[name] = value
    return found
