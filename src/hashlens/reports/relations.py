"""How classes are related, to look at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hashlens.classes import (
    Sense,
    Taxonomy,
    are_nested,
    given_senses,
    is_taxonomy_file,
    is_wordnet,
    open_taxonomy,
    read_taxonomy,
    senses_taxonomy,
    wordnet_senses,
    write_senses,
    write_taxonomy,
)
from hashlens.errors import BadInput
from hashlens.reports.taxonomy_plot import draw_taxonomy
from hashlens.sources import open_source


@dataclass(frozen=True)
class RelatedClasses:
    """A taxonomy and what it was made from.

    Attributes:
        tree: the taxonomy.
        classes: names of the classes in it.
        senses: what they were taken to mean, where WordNet said it.
        given: those of the senses that were given.
    """

    tree: Taxonomy
    classes: Sequence[str]
    senses: Sequence[Sense] = ()
    given: Mapping[str, str] | None = None

    @property
    def captions(self) -> dict[str, str]:
        """Words to show behind WordNet ids, which say nothing to a reader."""
        return {one.class_name: one.synset.partition(".")[0] for one in self.senses if one.is_identifier}

    @property
    def doubtful(self) -> list[Sense]:
        """Senses that a person may want to overrule, or has."""
        return [one for one in self.senses if one.others or one.is_kind or one.class_name in (self.given or {})]

    @property
    def facts(self) -> dict[str, str | int]:
        """What the taxonomy looks like, in numbers."""
        joined = sum(len(self.tree.parents(node)) > 1 for node in self.tree.nodes)
        return {
            "classes": f"{len(self.classes):,}",
            "nodes": f"{len(self.tree):,}",
            "height": self.tree.height,
            "shape": f"DAG, {joined:,} with several parents" if joined else "tree",
        }


def related(
    source: str, split: str | None = None, relations: str | None = None, senses: Mapping[str, str] | None = None
) -> RelatedClasses:
    """How the classes of a source are related, or what a file of a taxonomy says.

    Args:
        source: images with classes, or a file that is a taxonomy.
        split: of the source.
        relations: what relates the classes, see :func:`hashlens.classes.open_taxonomy`; by default "folders" where
            class folders are nested and no senses are given, else "wordnet".
        senses: what classes mean in WordNet, by class name.

    Raises:
        BadInput: the source has no labels, or what relates its classes is not to be had.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     tree = Taxonomy.from_edges([("animal", "cat"), ("animal", "dog")])
        ...     write_taxonomy(tree, Path(folder, "tree.csv"))
        ...     found = related(f"{folder}/tree.csv")
        >>> found.classes, found.facts["shape"]
        (('cat', 'dog'), 'tree')
    """
    given = dict(senses or {})
    if relations is None and not given and is_taxonomy_file(source):
        tree = read_taxonomy(source)
        return RelatedClasses(tree, tree.leaves)
    classes = open_source(source, split).class_names
    if not classes:
        raise BadInput(f"{source} has no labels, so there are no classes; put the images in folders, one a class.")
    relations = relations or ("folders" if are_nested(classes) and not given else "wordnet")
    if not is_wordnet(relations):
        return RelatedClasses(open_taxonomy(relations, classes, given), classes)
    given = given_senses(relations, classes, given)
    found = wordnet_senses(classes, given)
    return RelatedClasses(senses_taxonomy(found), classes, found, given)


def write_relations(found: RelatedClasses, path: Path) -> list[Path]:
    """Write a taxonomy and what it was made from; the files.

    Its edges go into a ``.csv``, a picture of it into a ``.png``, and what classes were taken to mean in WordNet,
    where it is from there, into a ``.senses.csv``.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    edges, picture = path.with_suffix(".csv"), path.with_suffix(".png")
    write_taxonomy(found.tree, edges)
    draw_taxonomy(found.tree, picture, found.captions)
    if not found.senses:
        return [edges, picture]
    senses = path.with_suffix(".senses.csv")
    write_senses(found.senses, senses)
    return [edges, picture, senses]
