"""``hashlens taxonomy``"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hashlens.cli.arguments import Senses, Split, pairs, with_senses
from hashlens.cli.messages import log
from hashlens.cli.tables import print_facts, print_senses
from hashlens.cli.verbs import VERBS
from hashlens.outputs import check_file

SHOWN_NODES = 60
SHOWN_SENSES = 30


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
    senses: Senses = None,
    whole: Annotated[
        bool, typer.Option("--whole", help="Show the whole tree and all meanings, however long.")
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", metavar="TREE.csv", help="File for its edges; a plot and meanings go beside it."
        ),
    ] = None,
) -> None:
    """Show how classes are related: a tree from WordNet, nested folders or a file."""
    if output is not None:
        check_file(output, (".csv",), "Edges")
        for beside in (".png", ".senses.csv"):  # meanings may have been put right by hand
            check_file(output.with_suffix(beside), (".png", ".csv"), "What goes beside them")
    from hashlens.reports.relations import related, write_relations

    given = pairs(sense, "NAME=SYNSET", "crane=crane.n.05")
    found = related(source, split, with_senses(relations, senses), given)
    print(found.tree.to_text(None if whole else SHOWN_NODES, found.captions))
    shown = found.senses if whole or len(found.senses) <= SHOWN_SENSES else found.doubtful
    if shown:
        print_senses(shown)
    if len(shown) < len(found.senses):
        log.info("%s more classes are not in doubt; --whole shows them.", f"{len(found.senses) - len(shown):,}")
    print_facts(found.facts)
    if output is not None:
        *others, last = map(str, write_relations(found, output))
        log.info("Wrote %s and %s.", ", ".join(others), last)
