"""``hashlens info``"""

from __future__ import annotations

from typing import Annotated

import typer

from hashlens.cli.messages import log
from hashlens.cli.tables import print_facts
from hashlens.cli.verbs import VERBS


@VERBS.register("info")
def info(
    path: Annotated[
        str, typer.Argument(metavar="MODEL|INDEX", help="A folder written by fit or index, or hf://user/name.")
    ],
) -> None:
    """Show what a model or an index is."""
    from hashlens.reports.facts import facts_of

    facts, remarks = facts_of(path)
    print_facts(facts)
    for remark in remarks:
        log.info("%s", remark)
