"""Taxonomies of classes: trees and directed acyclic graphs, and how far apart classes lie in them."""

from __future__ import annotations

import difflib
import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from hashlens.classes.graph import Graph
from hashlens.classes.outline import Line, outline
from hashlens.classes.subsumers import lowest_subsumer, subsumer_heights, wu_palmer_similarities
from hashlens.errors import BadInput

log = logging.getLogger("hashlens")

Kind = Literal["lcs", "wu-palmer"]


class Taxonomy:
    """Nodes joined by edges from parent to child, without cycles, all below one root. It does not change.

    Classes are nodes; most often leaves, but a class may have others below it. A node may have several parents.
    The definitions are those of Barz and Denzler (WACV 2019, section 3) and of their program:

    - height of a node: edges on the longest way down to a leaf; height of the taxonomy: that of its root;
    - depth of a node: nodes on the longest way from the root, so the root has depth 1;
    - lowest common subsumer of two nodes: see :meth:`lcs`.

    Where a class name that is asked for is no node, the part behind its last ``/`` is tried, so the class
    ``animals/dog`` of a nested folder finds the node ``dog``. Where there is neither, methods raise ``BadInput``.

    Args:
        edges: pairs (parent, child) of names or ids; the same pair may come again.
        nodes: further nodes, which need no edge. Several roots are joined under one that is added.

    Raises:
        BadInput: there is no node, a name is empty, or the edges lead in a circle.

    Example:
        >>> taxonomy = Taxonomy([("thing", "animal"), ("animal", "cat"), ("animal", "dog"), ("thing", "car")])
        >>> taxonomy
        Taxonomy(5 nodes, 3 leaves, height 2, tree)
        >>> taxonomy.distance_matrix(["cat", "dog", "car"]).tolist()
        [[0.0, 0.5, 1.0], [0.5, 0.0, 1.0], [1.0, 1.0, 0.0]]
        >>> print(taxonomy.to_text())
        thing
          animal
            cat
            dog
          car
    """

    def __init__(self, edges: Iterable[tuple[Any, Any]], nodes: Iterable[Any] = ()) -> None:
        self._graph = Graph(edges, nodes)

    @classmethod
    def from_edges(cls, edges: Iterable[tuple[Any, Any]]) -> Taxonomy:
        """A taxonomy from pairs (parent, child) of names or ids.

        Several roots are joined under one that is added, and a log line tells so.

        Raises:
            BadInput: there is no edge, a name is empty, or the edges lead in a circle.

        Example:
            >>> Taxonomy.from_edges([(1, 2), (1, 3), (2, 4), (3, 4)])
            Taxonomy(4 nodes, 1 leaves, height 2, DAG)
        """
        taxonomy = cls(edges)
        taxonomy._tell_roots()
        return taxonomy

    @classmethod
    def from_parents(cls, classes: Sequence[Any], parents: Sequence[Any]) -> Taxonomy:
        """A taxonomy from a column of classes and a column of their parents.

        Args:
            classes: (N,) names; a name that comes again with another parent has both.
            parents: (N,) names, which may stand among the classes too; ``None``, NaN or "" where there is none.

        Raises:
            BadInput: the columns differ in length or are empty, or the edges lead in a circle.

        Example:
            >>> Taxonomy.from_parents(["cat", "dog", "pet"], ["pet", "pet", None]).root
            'pet'
        """
        if len(classes) != len(parents):
            raise BadInput(f"There are {len(classes)} classes, but {len(parents)} parents; give one for each.")
        # A missing value of a data frame is a NaN, which differs from itself.
        known = [parent is not None and parent != "" and parent == parent for parent in parents]
        rows = zip(parents, classes, known, strict=True)
        taxonomy = cls([(parent, child) for parent, child, there in rows if there], classes)
        taxonomy._tell_roots()
        return taxonomy

    @classmethod
    def from_paths(cls, class_names: Sequence[str]) -> Taxonomy:
        """A taxonomy from class names that are paths, as nested folders give them.

        ``animals/dog`` lies below ``animals``; classes of several folders at the top lie below one root that is
        added. The nodes above a class are named by the whole path to them.

        Args:
            class_names: such as ``animals/dog``.

        Raises:
            BadInput: there is no name, or one is empty.

        Example:
            >>> Taxonomy.from_paths(["animals/cat", "animals/dog", "car"]).edges
            (('(root)', 'animals'), ('animals', 'animals/cat'), ('animals', 'animals/dog'), ('(root)', 'car'))
        """
        edges: dict[tuple[str, str], None] = {}
        for name in class_names:
            way = [name]
            while above := way[-1].rpartition("/")[0].rstrip("/"):
                way.append(above)
            edges.update(dict.fromkeys(zip(way[:0:-1], way[-2::-1], strict=True)))
        return cls(edges, class_names)

    def without_stray_roots(self, classes: Sequence[str]) -> Taxonomy:
        """The taxonomy without the roots that no class lies below, and without what is below only those.

        WordNet's hierarchies, as they are published for sets of images, hold many such roots. Joined with the rest
        they would lift the root by one, while all classes still meet below it, so that no two were quite unrelated.

        Args:
            classes: C names of nodes.

        Returns:
            This taxonomy, where it has no such root.

        Raises:
            BadInput: a class is not in the taxonomy.

        Example:
            >>> taxonomy = Taxonomy([("animal", "cat"), ("animal", "dog"), ("idea", "theory")])
            >>> taxonomy.root, taxonomy.without_stray_roots(["cat", "dog"]).root
            ('(root)', 'animal')
        """
        graph = self._graph
        above = graph.ancestors(self._find(name) for name in classes)
        kept = [graph.numbers[root] for root in graph.roots if graph.numbers[root] in above]
        if not 0 < len(kept) < len(graph.roots):
            return self
        stray = [root for root in graph.roots if graph.numbers[root] not in above]
        log.info(
            f"None of the classes lies below {len(stray):,} of the taxonomy's roots ({_some(stray)}): left out."
        )
        below = {self.nodes[node] for node in graph.descendants(kept)}
        return Taxonomy(
            [(parent, child) for parent, child in self.edges if parent in below],
            [node for node in self.nodes if node in below],
        )

    @property
    def root(self) -> str:
        """The node above all others."""
        return self._graph.names[self._graph.order[0]]

    @property
    def nodes(self) -> tuple[str, ...]:
        """All nodes, in the order in which the edges named them."""
        return self._graph.names

    @property
    def edges(self) -> tuple[tuple[str, str], ...]:
        """All pairs (parent, child)."""
        return self._graph.edges

    @property
    def leaves(self) -> tuple[str, ...]:
        """The nodes without children, in the order of :attr:`nodes`."""
        return tuple(name for name, below in zip(self.nodes, self._graph.children, strict=True) if not below)

    @property
    def height(self) -> int:
        """Edges on the longest way from the root to a leaf; 0 for a single node."""
        return self.height_of(self.root)

    @property
    def is_tree(self) -> bool:
        """Whether no node has several parents."""
        return self._graph.is_tree

    def __len__(self) -> int:
        return len(self.nodes)

    def __contains__(self, name: object) -> bool:
        return name in self._graph.numbers

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Taxonomy):
            return NotImplemented
        return set(self.edges) == set(other.edges) and set(self.nodes) == set(other.nodes)

    def __hash__(self) -> int:
        return hash((frozenset(self.edges), frozenset(self.nodes)))

    def __repr__(self) -> str:
        shape = "tree" if self.is_tree else "DAG"
        return f"Taxonomy({len(self)} nodes, {len(self.leaves)} leaves, height {self.height}, {shape})"

    def node_of(self, class_name: str) -> str:
        """The node of a class: that of its name, or else of what stands behind the last ``/`` of its name.

        Raises:
            BadInput: there is neither.
        """
        return self.nodes[self._find(class_name)]

    def parents(self, node: str) -> tuple[str, ...]:
        """The nodes right above a node."""
        return tuple(self.nodes[number] for number in self._graph.parents[self._find(node)])

    def children(self, node: str) -> tuple[str, ...]:
        """The nodes right below a node."""
        return tuple(self.nodes[number] for number in self._graph.children[self._find(node)])

    def depth(self, node: str) -> int:
        """Nodes on the longest way from the root to ``node``, both counted: 1 for the root."""
        return int(self._graph.depths[self._find(node)])

    def height_of(self, node: str) -> int:
        """Edges on the longest way from ``node`` down to a leaf: 0 for a leaf."""
        return int(self._graph.heights[self._find(node)])

    def lcs(self, a: str, b: str) -> str:
        """The lowest common subsumer: of the nodes that are, or lie above, both ``a`` and ``b``, the one of least
        height.

        In a tree there is one. In a DAG, of several of equal height the deepest is taken, and of those the first
        in :attr:`nodes`.
        """
        return self.nodes[lowest_subsumer(self._graph, self._find(a), self._find(b))]

    def lcs_height(self, a: str, b: str) -> float:
        """Height of the lowest common subsumer, divided by the height of the taxonomy (Barz and Denzler, 2019).

        Returns:
            A distance in [0, 1]: 1 for classes that have only the root in common, 0 for a node and itself, also
            where that node is not a leaf.
        """
        return float(self.distance_matrix([a, b])[0, 1])

    def wu_palmer(self, a: str, b: str) -> float:
        """Wu–Palmer similarity, 2·s/(2·s + l_a + l_b), in (0, 1].

        s is the depth of the deepest common subsumer, l_a and l_b the edges on the shortest ways from it to ``a``
        and ``b``; see :func:`hashlens.classes.subsumers.wu_palmer_similarities`.
        """
        return float(self.similarity_matrix([a, b], "wu-palmer")[0, 1])

    def distance_matrix(self, classes: Sequence[str]) -> NDArray[np.float64]:
        """:meth:`lcs_height` of every pair of classes.

        Args:
            classes: C names of nodes, leaves or not.

        Returns:
            (C, C) float64 in [0, 1], symmetric, 0 on the diagonal. Two names of the same node have distance 0.

        Raises:
            BadInput: a class is not in the taxonomy.
        """
        nodes, positions = self._distinct(classes)
        distances = np.arange(self.height + 1) / max(self.height, 1)
        return distances[_spread(subsumer_heights(self._graph, nodes), positions)]

    def similarity_matrix(self, classes: Sequence[str], kind: Kind = "lcs") -> NDArray[np.float64]:
        """Similarities of every pair of classes.

        Args:
            classes: C names of nodes, leaves or not.
            kind: ``"lcs"`` for 1 − :meth:`lcs_height`, or ``"wu-palmer"`` for :meth:`wu_palmer`.

        Returns:
            (C, C) float64 in [0, 1], symmetric, 1 on the diagonal.

        Raises:
            BadInput: a class is not in the taxonomy, or there is no such kind.
        """
        if kind == "lcs":
            return 1 - self.distance_matrix(classes)
        if kind != "wu-palmer":
            raise BadInput(f"There is no similarity '{kind}' of classes in a taxonomy; use lcs or wu-palmer.")
        nodes, positions = self._distinct(classes)
        return _spread(wu_palmer_similarities(self._graph, nodes), positions)

    def outline(self, limit: int | None = None, captions: Mapping[str, str] | None = None) -> list[Line]:
        """The taxonomy as lines, each its level and its words; see :func:`hashlens.classes.outline.outline`."""
        return outline(self._graph, limit, captions)

    def to_text(self, limit: int | None = None, captions: Mapping[str, str] | None = None) -> str:
        """The taxonomy as lines of text, children indented below their parent.

        Args:
            limit: nodes to show at most, those near the root first; of the rest the number is told.
            captions: words to show behind the name of a node.
        """
        return "\n".join("  " * level + words for level, words in self.outline(limit, captions))

    def _tell_roots(self) -> None:
        roots = self._graph.roots
        if len(roots) > 1:
            log.info(f"The taxonomy has {len(roots):,} roots ({_some(roots)}), joined under '{self.root}'.")

    def _find(self, name: str) -> int:
        for candidate in (name, name.rpartition("/")[2]):
            if candidate in self._graph.numbers:
                return self._graph.numbers[candidate]
        close = difflib.get_close_matches(name, self.nodes, n=3)
        hint = f"did you mean {' or '.join(close)}?" if close else "add it, or check that the names agree."
        raise BadInput(f"The class '{name}' is not in the taxonomy; {hint}")

    def _distinct(self, classes: Sequence[str]) -> tuple[list[int], NDArray[np.int64]]:
        """The distinct nodes of classes, and for each class its position among them."""
        found = [self._find(name) for name in classes]
        position = {node: number for number, node in enumerate(dict.fromkeys(found))}
        return list(position), np.array([position[node] for node in found], np.int64)


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (", …" if len(names) > 3 else "")


def _spread(matrix: NDArray[Any], positions: NDArray[np.int64]) -> NDArray[Any]:
    """Rows and columns of distinct nodes for the classes that were asked for."""
    if np.array_equal(positions, np.arange(len(matrix))):
        return matrix
    return matrix[positions[:, None], positions]
