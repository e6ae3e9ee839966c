"""Arguments that several verbs have."""

from __future__ import annotations

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
MODEL_HELP = "A folder written by hashlens fit, or hf://user/name."
ModelName = Annotated[str, typer.Argument(metavar="MODEL", help=MODEL_HELP)]
Relations = Annotated[
    str | None,
    typer.Option(
        "--taxonomy",
        metavar="wordnet|folders|FILE",
        help="How classes are related: WordNet, nested folders, an edge file, or a .npy of class distances.",
    ),
]
Senses = Annotated[
    str | None,
    typer.Option(
        metavar="FILE.csv",
        help="What classes mean in WordNet, a table with the columns class and meaning, as hashlens taxonomy -o "
        "writes it; those that it leaves out are chosen.",
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


def with_senses(relations: str | None, senses: str | None) -> str | None:
    """What relates classes, with a file of senses, which are WordNet's.

    Raises:
        BadInput: something else than WordNet relates them.
    """
    if senses is None:
        return relations
    if relations not in (None, "wordnet"):
        raise BadInput(f"--senses belong to WordNet, but the taxonomy is '{relations}'; leave one of them out.")
    return f"wordnet:{senses}"


def depths(text: str) -> list[int | None]:
    """Ranking depths parted by commas, ``None`` for all.

    Raises:
        BadInput: one is neither a number from 1 nor "all".
    """
    found: list[int | None] = []
    for word in text.split(","):
        if word.strip() == "all":
            found.append(None)
        elif word.strip().isdecimal() and int(word) > 0:
            found.append(int(word))
        else:
            raise BadInput(f"'{word}' is not a ranking depth; use numbers from 1, or all, as in 100,1000,all.")
    return found


def layer_sizes(text: str | None) -> tuple[int, ...] | None:
    """Units of hidden layers parted by commas; () for none.

    Raises:
        BadInput: one is not a number from 1.
    """
    if text is None or text == "none":
        return None if text is None else ()
    words = [word.strip() for word in text.split(",")]
    if not all(word.isdecimal() and int(word) > 0 for word in words):
        raise BadInput(f"'{text}' are no hidden layers; give their units, as in 1024,512, or none.")
    return tuple(int(word) for word in words)
