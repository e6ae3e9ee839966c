"""From what a user says of how classes are related to a taxonomy."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from hashlens.classes.sense_files import read_senses
from hashlens.classes.taxonomy import Taxonomy
from hashlens.classes.taxonomy_files import read_taxonomy
from hashlens.classes.wordnet import wordnet_taxonomy
from hashlens.errors import BadInput

log = logging.getLogger("hashlens")

WORDNET = "wordnet"
NAMES_FILE = "class_names.txt"


def open_taxonomy(
    what: str | os.PathLike[str], class_names: Sequence[str], senses: Mapping[str, str] | None = None
) -> Taxonomy:
    """The taxonomy of given classes.

    Args:
        what: ``"wordnet"``, or ``"wordnet:FILE"`` with what classes mean in a file for
            :func:`hashlens.classes.read_senses`; ``"folders"`` (the class names are paths, such as
            ``animals/dog``), or a file for :func:`hashlens.classes.read_taxonomy`, whose roots above none of the
            classes are left out. Where its nodes are numbers and classes are not among them, a ``class_names.txt``
            beside it, as Barz and Denzler give it, tells the names: a number and a name in every line.
        class_names: C names; every one is in the taxonomy.
        senses: for WordNet, see :func:`hashlens.classes.wordnet_taxonomy`.

    Raises:
        BadInput: it cannot be read, or a class is not in it.

    Example:
        >>> open_taxonomy("folders", ["animals/cat", "animals/dog", "car"])
        Taxonomy(5 nodes, 3 leaves, height 2, tree)
    """
    if is_wordnet(what):
        return wordnet_taxonomy(class_names, given_senses(what, class_names, senses))
    if senses:
        raise BadInput(f"Senses belong to WordNet, but the taxonomy is '{what}'; leave them out, or use wordnet.")
    if what == "folders":
        if not are_nested(class_names):
            raise BadInput(
                "The classes do not lie in nested folders, so they make no taxonomy; use wordnet or a file."
            )
        return Taxonomy.from_paths(class_names)
    taxonomy = _by_names(read_taxonomy(what), Path(what).with_name(NAMES_FILE), class_names)
    for name in class_names:
        try:
            taxonomy.node_of(name)
        except BadInput as error:
            raise BadInput(str(error).replace("the taxonomy", f"the taxonomy {Path(what)}", 1)) from None
    return taxonomy.without_stray_roots(class_names)


def is_wordnet(what: str | os.PathLike[str]) -> bool:
    """Whether it is WordNet that relates classes, with a file of senses or without.

    Example:
        >>> is_wordnet("wordnet"), is_wordnet("wordnet:senses.csv"), is_wordnet("wordnet.csv")
        (True, True, False)
    """
    return str(what).partition(":")[0] == WORDNET


def given_senses(
    what: str | os.PathLike[str], class_names: Sequence[str], senses: Mapping[str, str] | None = None
) -> dict[str, str]:
    """What classes mean by the file in ``"wordnet:FILE"``, overruled by ``senses``.

    A file may know more classes than there are, as one file serves several sources; a log line tells of them.

    Raises:
        BadInput: the file cannot be read.

    Example:
        >>> given_senses("wordnet", ["crane"], {"crane": "crane.n.05"})
        {'crane': 'crane.n.05'}
    """
    path = str(what).partition(":")[2]
    listed = read_senses(path) if path else {}
    known = {name: meaning for name, meaning in listed.items() if name in class_names}
    if len(known) < len(listed):
        first = next(name for name in listed if name not in known)
        log.warning(f"{path} has {len(listed) - len(known)} names of no class here, such as '{first}'.")
    return known | dict(senses or {})


def _by_names(taxonomy: Taxonomy, path: Path, class_names: Sequence[str]) -> Taxonomy:
    """The same with the names of classes in place of the numbers that a file of names gives them."""
    nodes = set(taxonomy.nodes)
    missing = set(class_names) - nodes
    if not missing or not path.is_file():
        return taxonomy
    try:
        rows = [line.split(maxsplit=1) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{path} cannot be read as names of classes ({error}).") from None
    numbers: dict[str, str] = {}
    for row in rows:
        if len(row) == 2 and row[1].strip() in missing and row[0] in nodes:
            name = row[1].strip()
            if name in numbers:
                raise BadInput(f"{path} gives the name '{name}' to both {numbers[name]} and {row[0]}.")
            numbers[name] = row[0]
    names = {number: name for name, number in numbers.items()}
    return Taxonomy.from_edges(
        [(names.get(parent, parent), names.get(child, child)) for parent, child in taxonomy.edges]
    )


def are_nested(class_names: Sequence[str]) -> bool:
    """Whether class names are paths of nested folders: at least two of them lie in the same folder at the top.

    Example:
        >>> are_nested(["animals/cat", "animals/dog", "car"]), are_nested(["T-shirt/top", "shoe"])
        (True, False)
    """
    tops = [name.partition("/")[0] for name in class_names if "/" in name]
    return len(set(tops)) < len(tops)
