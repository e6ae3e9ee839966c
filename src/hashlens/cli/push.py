"""``hashlens push``"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hashlens.cli.arguments import ModelName
from hashlens.cli.messages import log
from hashlens.cli.verbs import VERBS


@VERBS.register("push")
def push(
    model: ModelName,
    name: Annotated[str, typer.Argument(metavar="USER/NAME", help="Repository on the Hub; made if need be.")],
    report: Annotated[
        Path | None,
        typer.Option(metavar="REPORT", help="Folder that hashlens evaluate wrote; its figures go into the card."),
    ] = None,
    data: Annotated[
        str,
        typer.Option(help="What it was trained on, in words or as hf://datasets/user/name.", show_default=False),
    ] = "",
    license: Annotated[
        str | None,
        typer.Option(metavar="ID", help="Licence of the model, such as mit; none is claimed by default."),
    ] = None,
    private: Annotated[bool, typer.Option("--private", help="A new repository is for its owner alone.")] = False,
) -> None:
    """Send a model to the Hugging Face Hub, with a card that says what it is and how good."""
    from hashlens.models import HashModel

    log.info(
        "Sent to %s.", HashModel.load(model).push(name, report=report, data=data, license=license, private=private)
    )
