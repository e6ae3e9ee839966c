"""``hashlens taxonomy``"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hashlens.cli.arguments import Split, pairs
from hashlens.cli.messages import log
from hashlens.cli.tables import print_facts, print_senses
from hashlens.cli.verbs import VERBS

SHOWN_NODES = 60


@VERBS.register("taxonomy")
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
    from hashlens.reports.relations import related, write_relations

    found = related(source, split, relations, pairs(sense, "NAME=SYNSET", "crane=crane.n.05"))
    print(found.tree.to_text(None if whole else SHOWN_NODES, found.captions))
    if found.doubtful:
        print_senses(found.doubtful)
    print_facts(found.facts)
    if output is not None:
        log.info("Wrote %s and %s.", *write_relations(found, output))
