"""From what a user says of how classes are related to a taxonomy."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from hashlens.classes.taxonomy import Taxonomy
from hashlens.classes.taxonomy_files import read_taxonomy
from hashlens.classes.wordnet import wordnet_taxonomy
from hashlens.errors import BadInput


def open_taxonomy(
    what: str | os.PathLike[str], class_names: Sequence[str], senses: Mapping[str, str] | None = None
) -> Taxonomy:
    """The taxonomy of given classes.

    Args:
        what: ``"wordnet"``, ``"folders"`` (the class names are paths, such as ``animals/dog``), or a file for
            :func:`hashlens.classes.read_taxonomy`, whose roots above none of the classes are left out.
        class_names: C names; every one is in the taxonomy.
        senses: for WordNet, see :func:`hashlens.classes.wordnet_taxonomy`.

    Raises:
        BadInput: it cannot be read, or a class is not in it.

    Example:
        >>> open_taxonomy("folders", ["animals/cat", "animals/dog", "car"])
        Taxonomy(5 nodes, 3 leaves, height 2, tree)
    """
    if what == "wordnet":
        return wordnet_taxonomy(class_names, senses)
    if senses:
        raise BadInput(f"Senses belong to WordNet, but the taxonomy is '{what}'; leave them out, or use wordnet.")
    if what == "folders":
        if not are_nested(class_names):
            raise BadInput(
                "The classes do not lie in nested folders, so they make no taxonomy; use wordnet or a file."
            )
        return Taxonomy.from_paths(class_names)
    taxonomy = read_taxonomy(what)
    for name in class_names:
        try:
            taxonomy.node_of(name)
        except BadInput as error:
            raise BadInput(str(error).replace("the taxonomy", f"the taxonomy {Path(what)}", 1)) from None
    return taxonomy.without_stray_roots(class_names)


def are_nested(class_names: Sequence[str]) -> bool:
    """Whether class names are paths of nested folders: at least two of them lie in the same folder at the top.

    Example:
        >>> are_nested(["animals/cat", "animals/dog", "car"]), are_nested(["T-shirt/top", "shoe"])
        (True, False)
    """
    tops = [name.partition("/")[0] for name in class_names if "/" in name]
    return len(set(tops)) < len(tops)
