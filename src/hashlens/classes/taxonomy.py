"""Taxonomies of classes: trees and directed acyclic graphs, and how far apart classes lie in them."""

from __future__ import annotations

import csv
import difflib
import logging
import os
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from hashlens.errors import BadInput
from hashlens.files import replacing

log = logging.getLogger("hashlens")

Kind = Literal["lcs", "wu-palmer"]

IMPLICIT_ROOT = "(root)"
CELLS = 1 << 22  # of a matrix that are worked on at once


class Taxonomy:
    """Nodes joined by edges from parent to child, without cycles, all below one root. It does not change.

    Classes are nodes; most often leaves, but a class may have others below it. A node may have several parents.
    The definitions are those of Barz and Denzler (WACV 2019) and of their program:

    - height of a node: edges on the longest way down to a leaf; height of the taxonomy: that of its root;
    - depth of a node: nodes on the longest way from the root, so the root has depth 1;
    - lowest common subsumer of two nodes: see :meth:`lcs`.

    Where a class name that is asked for is no node, the part behind its last ``/`` is tried, so the class
    ``animals/dog`` of a nested folder finds the node ``dog``.

    Args:
        edges: pairs (parent, child) of names or ids; the same pair may come again.
        nodes: further nodes, which need no edge.

    Raises:
        BadInput: there is no node, a name is empty, or the edges lead in a circle.
    """

    def __init__(self, edges: Iterable[tuple[Any, Any]], nodes: Iterable[Any] = ()) -> None:
        pairs = list(dict.fromkeys((str(parent), str(child)) for parent, child in edges))
        names = list(dict.fromkeys([*(name for pair in pairs for name in pair), *map(str, nodes)]))
        if not names:
            raise BadInput("A taxonomy needs at least one node.")
        if "" in names:
            raise BadInput("A node of the taxonomy has an empty name; give every parent and child a name.")
        children = {child for _, child in pairs}
        roots = [name for name in names if name not in children]
        if len(roots) > 1:
            pairs = _joined(pairs, roots, names)
            names = list(dict.fromkeys(name for pair in pairs for name in pair))
        self._edges = tuple(pairs)
        self._names = tuple(names)
        self._number = {name: number for number, name in enumerate(names)}
        self._parents: list[list[int]] = [[] for _ in names]
        self._children: list[list[int]] = [[] for _ in names]
        for parent, child in pairs:
            self._parents[self._number[child]].append(self._number[parent])
            self._children[self._number[parent]].append(self._number[child])
        self._order = self._from_root_to_leaves()
        self._roots = tuple(roots)
        self._depths = np.ones(len(names), np.int64)
        for node in self._order:
            self._depths[node] = 1 + max((self._depths[parent] for parent in self._parents[node]), default=0)
        self._heights = np.zeros(len(names), np.int64)
        for node in reversed(self._order):
            self._heights[node] = 1 + max((self._heights[child] for child in self._children[node]), default=-1)

    @classmethod
    def from_edges(cls, edges: Iterable[tuple[Any, Any]]) -> Taxonomy:
        """A taxonomy from pairs (parent, child) of names or ids.

        Several roots are joined under one that is added, and a log line tells so.

        Raises:
            BadInput: there is no edge, a name is empty, or the edges lead in a circle.
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
        """
        edges: dict[tuple[str, str], None] = {}
        for name in class_names:
            way = [name]
            while above := way[-1].rpartition("/")[0].rstrip("/"):
                way.append(above)
            edges.update(dict.fromkeys(zip(way[:0:-1], way[-2::-1], strict=True)))
        return cls(edges, class_names)

    @property
    def root(self) -> str:
        return self._names[self._order[0]]

    @property
    def nodes(self) -> tuple[str, ...]:
        """All nodes, in the order in which the edges named them."""
        return self._names

    @property
    def edges(self) -> tuple[tuple[str, str], ...]:
        """All pairs (parent, child)."""
        return self._edges

    @property
    def leaves(self) -> tuple[str, ...]:
        """The nodes without children, in the order of :attr:`nodes`."""
        return tuple(name for name, below in zip(self._names, self._children, strict=True) if not below)

    @property
    def height(self) -> int:
        """Edges on the longest way from the root to a leaf; 0 for a single node."""
        return int(self._heights[self._order[0]])

    @property
    def is_tree(self) -> bool:
        """Whether no node has several parents."""
        return all(len(parents) <= 1 for parents in self._parents)

    def __len__(self) -> int:
        return len(self._names)

    def __contains__(self, name: object) -> bool:
        return name in self._number

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Taxonomy):
            return NotImplemented
        return set(self._edges) == set(other._edges) and set(self._names) == set(other._names)

    def __hash__(self) -> int:
        return hash((frozenset(self._edges), frozenset(self._names)))

    def __repr__(self) -> str:
        shape = "tree" if self.is_tree else "DAG"
        return f"Taxonomy({len(self)} nodes, {len(self.leaves)} leaves, height {self.height}, {shape})"

    def node_of(self, class_name: str) -> str:
        """The node of a class: that of its name, or else of what stands behind the last ``/`` of its name.

        Raises:
            BadInput: there is neither.
        """
        return self._names[self._find(class_name)]

    def parents(self, node: str) -> tuple[str, ...]:
        """Raises BadInput where there is no such node."""
        return tuple(self._names[number] for number in self._parents[self._find(node)])

    def children(self, node: str) -> tuple[str, ...]:
        """Raises BadInput where there is no such node."""
        return tuple(self._names[number] for number in self._children[self._find(node)])

    def depth(self, node: str) -> int:
        """Nodes on the longest way from the root to ``node``, both counted: 1 for the root.

        Raises:
            BadInput: there is no such node.
        """
        return int(self._depths[self._find(node)])

    def height_of(self, node: str) -> int:
        """Edges on the longest way from ``node`` down to a leaf: 0 for a leaf.

        Raises:
            BadInput: there is no such node.
        """
        return int(self._heights[self._find(node)])

    def lcs(self, a: str, b: str) -> str:
        """The lowest common subsumer: of the nodes that are, or lie above, both ``a`` and ``b``, the one of least
        height.

        In a tree there is one. In a DAG, of several of equal height the deepest is taken, and of those the first
        in :attr:`nodes`.

        Raises:
            BadInput: there is no such node.
        """
        common = self._ancestors([self._find(a)]) & self._ancestors([self._find(b)])
        lowest = min(common, key=lambda node: (self._heights[node], -self._depths[node], node))
        return self._names[lowest]

    def lcs_height(self, a: str, b: str) -> float:
        """Height of the lowest common subsumer, divided by the height of the taxonomy (Barz and Denzler, 2019).

        Returns:
            A distance in [0, 1]: 1 for classes that have only the root in common, 0 for a node and itself, also
            where that node is not a leaf.

        Raises:
            BadInput: there is no such node.
        """
        return float(self.distance_matrix([a, b])[0, 1])

    def wu_palmer(self, a: str, b: str) -> float:
        """Wu–Palmer similarity, 2·s/(2·s + l_a + l_b), in (0, 1].

        s is the depth of the deepest common subsumer, l_a and l_b the edges on the shortest ways from it to ``a``
        and ``b``, up and down; so in a tree it is 2·s/(depth(a) + depth(b)). Of several subsumers of equal depth
        the one with the shortest ways counts.

        Raises:
            BadInput: there is no such node.
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
        numbers, places = self._places(classes)
        below = self._classes_below(numbers)
        lowest = np.zeros((len(numbers), len(numbers)), _integers(self.height))
        # A lower subsumer overwrites what a higher one wrote.
        for node in sorted(below, key=lambda node: (-self._heights[node], node)):
            for rows, columns in self._parted(node, below, numbers):
                lowest[rows[:, None], columns] = self._heights[node]
        np.fill_diagonal(lowest, 0)
        distances = np.arange(self.height + 1) / max(self.height, 1)
        return distances[_spread(lowest, places)]

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
        numbers, places = self._places(classes)
        below = self._classes_below(numbers)
        steps = self._steps(below, numbers)
        kept = _integers(4 * int(self._depths.max()))
        deepest, ways = (np.zeros((len(numbers), len(numbers)), kept) for _ in range(2))
        # A deeper subsumer overwrites what a shallower one wrote; of two at one depth the shorter ways stay.
        for node in sorted(below, key=lambda node: (self._depths[node], node)):
            depth, way = self._depths[node], np.zeros(len(numbers), kept)
            way[below[node]] = steps[node]
            for rows, columns in self._parted(node, below, numbers):
                block = rows[:, None], columns
                both = way[rows][:, None] + way[columns]
                ways[block] = np.where(deepest[block] == depth, np.minimum(ways[block], both), both)
                deepest[block] = depth
        similarity = np.empty(deepest.shape)
        np.divide(2 * deepest, 2 * deepest + ways, out=similarity, where=deepest > 0)
        np.fill_diagonal(similarity, 1)
        return _spread(similarity, places)

    def to_text(self, limit: int | None = None, captions: Mapping[str, str] | None = None) -> str:
        """The taxonomy as lines of text, children indented below their parent; see :meth:`outline`."""
        return "\n".join("  " * level + words for level, words in self.outline(limit, captions))

    def outline(self, limit: int | None = None, captions: Mapping[str, str] | None = None) -> list[tuple[int, str]]:
        """The taxonomy as lines from the root on, every node before what lies below it.

        A node with several parents stands below each of them; where it stands again, an arrow ↑ points up to
        where it stood first, with all that lies below it.

        Args:
            limit: nodes to show at most, those near the root first; of the rest the number is told. All if
                ``None``.
            captions: words to show behind the name of a node.

        Returns:
            For every line its level, 0 for the root, and its words.
        """
        shown = self._nearest_to_root(len(self._edges) + 1 if limit is None else max(limit, 1))
        lines: list[tuple[int, str]] = []
        passed: set[int] = set()
        stack: list[tuple[int, str | int]] = [(0, self._order[0])]
        while stack:
            level, entry = stack.pop()
            if isinstance(entry, str):
                lines.append((level, entry))
                continue
            name, children = self._names[entry], self._children[entry]
            caption = captions.get(name) if captions else None
            words = f"{name} ({caption})" if caption else name
            if entry in passed:
                words += " ↑"
            elif children:
                count = shown.get(entry, 0)
                if not count:
                    words += f" … {self._count_below(entry):,} below"
                elif count < len(children):
                    stack.append((level + 1, f"… {len(children) - count:,} more"))
                stack += [(level + 1, child) for child in reversed(children[:count])]
            passed.add(entry)
            lines.append((level, words))
        return lines

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write a .csv of the edges, with the header ``parent,child``.

        :func:`read_taxonomy` reads it back. A taxonomy of a single node is a line without a parent.
        """
        # Unquoted, a line that begins with # would be read as a comment.
        comment_like = any(name.startswith("#") for name in self._names)
        with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(
                file, lineterminator="\n", quoting=csv.QUOTE_ALL if comment_like else csv.QUOTE_MINIMAL
            )
            writer.writerows([("parent", "child"), *(self._edges or [("", self.root)])])

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Taxonomy:
        """See :func:`read_taxonomy`."""
        from hashlens.classes.taxonomy_files import read_taxonomy

        return read_taxonomy(path)

    def _tell_roots(self) -> None:
        if len(self._roots) > 1:
            some = ", ".join(self._roots[:3]) + (", …" if len(self._roots) > 3 else "")
            log.info(f"The taxonomy has {len(self._roots):,} roots ({some}), joined under '{self.root}'.")

    def _from_root_to_leaves(self) -> list[int]:
        """All nodes, parents before children."""
        waiting = [len(parents) for parents in self._parents]
        order = [node for node, count in enumerate(waiting) if not count]
        for node in order:
            for child in self._children[node]:
                waiting[child] -= 1
                if not waiting[child]:
                    order.append(child)
        if len(order) < len(self._names):
            raise Cycle([self._names[node] for node in self._cycle(waiting)])
        return order

    def _cycle(self, waiting: Sequence[int]) -> list[int]:
        # Every node that still waits for a parent has one that waits too, so the way up never ends.
        node = next(node for node, count in enumerate(waiting) if count)
        passed: dict[int, None] = {}
        while node not in passed:
            passed[node] = None
            node = next(parent for parent in self._parents[node] if waiting[parent])
        way = list(passed)
        return way[way.index(node) :][::-1]

    def _find(self, name: str) -> int:
        for candidate in (name, name.rpartition("/")[2]):
            if candidate in self._number:
                return self._number[candidate]
        close = difflib.get_close_matches(name, self._names, n=3)
        hint = f"did you mean {' or '.join(close)}?" if close else "add it, or check that the names agree."
        raise BadInput(f"The class '{name}' is not in the taxonomy; {hint}")

    def _ancestors(self, nodes: Iterable[int]) -> set[int]:
        """The nodes and all that lie above them."""
        found = set(nodes)
        waiting = list(found)
        while waiting:
            for parent in self._parents[waiting.pop()]:
                if parent not in found:
                    found.add(parent)
                    waiting.append(parent)
        return found

    def _places(self, classes: Sequence[str]) -> tuple[list[int], NDArray[np.int64]]:
        """The distinct nodes of classes, and for each class its place among them."""
        found = [self._find(name) for name in classes]
        place = {node: number for number, node in enumerate(dict.fromkeys(found))}
        return list(place), np.array([place[node] for node in found], np.int64)

    def _classes_below(self, numbers: Sequence[int]) -> dict[int, NDArray[np.int32]]:
        """For every node that is or lies above one of the nodes ``numbers``: the sorted places of those that do."""
        relevant = self._ancestors(numbers)
        place = {node: np.array([index], np.int32) for index, node in enumerate(numbers)}
        below: dict[int, NDArray[np.int32]] = {}
        for node in reversed(self._order):
            if node in relevant:
                parts = [below[child] for child in self._children[node] if child in below]
                parts += [place[node]] if node in place else []
                below[node] = parts[0] if len(parts) == 1 else np.unique(np.concatenate(parts))
        return below

    def _parted(
        self, node: int, below: Mapping[int, NDArray[np.int32]], numbers: Sequence[int]
    ) -> Iterator[tuple[NDArray[np.int32], NDArray[np.int32]]]:
        """Blocks (rows, columns) that hold all pairs below a node but those below its largest child.

        Pairs below a child have a subsumer that is lower and deeper, so they may be left out; leaving out the
        largest part makes the work small for chains and for balanced trees alike.
        """
        whole = below[node]
        largest = max((below[child] for child in self._children[node] if child in below), key=len, default=None)
        if largest is None or len(largest) == len(whole):
            return
        others = np.setdiff1d(whole, largest, assume_unique=True)
        for rows, columns in ((others, whole), (largest, others)):
            step = max(1, CELLS // len(columns))
            for start in range(0, len(rows), step):
                yield rows[start : start + step], columns

    def _steps(
        self, below: Mapping[int, NDArray[np.int32]], numbers: Sequence[int]
    ) -> dict[int, NDArray[np.int64]]:
        """For every node, edges on the shortest way up and then down from each class below it to the node."""
        place = {node: index for index, node in enumerate(numbers)}
        fewest = np.empty(len(numbers), np.int64)
        steps: dict[int, NDArray[np.int64]] = {}
        for node in reversed(self._order):
            if node in below:
                fewest[below[node]] = len(self._names)
                for child in self._children[node]:
                    if child in below:
                        fewest[below[child]] = np.minimum(fewest[below[child]], steps[child] + 1)
                if node in place:
                    fewest[place[node]] = 0
                steps[node] = fewest[below[node]]
        if not self.is_tree:
            # A class may have a short way to a node above ``node``; from there it is some steps down.
            for node in self._order:
                if node in below:
                    for parent in self._parents[node]:
                        over = steps[parent][np.searchsorted(below[parent], below[node])] + 1
                        steps[node] = np.minimum(steps[node], over)
        return steps

    def _nearest_to_root(self, limit: int) -> dict[int, int]:
        """How many children of each node to show, so that there are ``limit`` lines at most."""
        left = limit - 1
        shown: dict[int, int] = {}
        queue = deque([self._order[0]])
        while queue and left:
            node = queue.popleft()
            if node not in shown:
                shown[node] = min(left, len(self._children[node]))
                left -= shown[node]
                queue.extend(self._children[node][: shown[node]])
        return shown

    def _count_below(self, node: int) -> int:
        found: set[int] = set()
        waiting = [node]
        while waiting:
            new = [child for child in self._children[waiting.pop()] if child not in found]
            found.update(new)
            waiting += new
        return len(found)


def _joined(pairs: Sequence[tuple[str, str]], roots: Sequence[str], names: Sequence[str]) -> list[tuple[str, str]]:
    """The edges with one root above all roots, each root joined to it where its own edges begin."""
    taken = set(names)
    top = IMPLICIT_ROOT
    while top in taken:
        top = f"({top})"
    waiting = dict.fromkeys(roots)
    joined = []
    for parent, child in pairs:
        if parent in waiting:
            del waiting[parent]
            joined.append((top, parent))
        joined.append((parent, child))
    return joined + [(top, root) for root in waiting]


class Cycle(BadInput):
    """Edges that lead in a circle; ``nodes`` are those on it, each the parent of the next."""

    def __init__(self, nodes: Sequence[str]) -> None:
        self.nodes = tuple(nodes)
        way = [*nodes] if len(nodes) <= 8 else [*nodes[:4], "…", *nodes[-3:]]
        super().__init__(f"The taxonomy has a cycle, {' → '.join([*way, nodes[0]])}; leave one of its edges out.")


def are_nested(class_names: Sequence[str]) -> bool:
    """Whether class names are paths of nested folders: at least two of them lie in the same folder at the top."""
    tops = [name.partition("/")[0] for name in class_names if "/" in name]
    return len(set(tops)) < len(tops)


def open_taxonomy(
    what: str | os.PathLike[str], class_names: Sequence[str], senses: Mapping[str, str] | None = None
) -> Taxonomy:
    """The taxonomy of given classes.

    Args:
        what: ``"wordnet"``, ``"folders"`` (the class names are paths, such as ``animals/dog``), or a file for
            :func:`read_taxonomy`.
        class_names: C names; every one is in the taxonomy.
        senses: for WordNet, see :func:`wordnet_taxonomy`.

    Raises:
        BadInput: it cannot be read, or a class is not in it.
    """
    if what == "wordnet":
        from hashlens.classes.wordnet import wordnet_taxonomy

        return wordnet_taxonomy(class_names, senses)
    if senses:
        raise BadInput(f"Senses belong to WordNet, but the taxonomy is '{what}'; leave them out, or use wordnet.")
    if what == "folders":
        if not are_nested(class_names):
            raise BadInput(
                "The classes do not lie in nested folders, so they make no taxonomy; use wordnet or a file."
            )
        return Taxonomy.from_paths(class_names)
    from hashlens.classes.taxonomy_files import read_taxonomy

    taxonomy = read_taxonomy(what)
    for name in class_names:
        try:
            taxonomy.node_of(name)
        except BadInput as error:
            raise BadInput(str(error).replace("the taxonomy", f"the taxonomy {Path(what)}", 1)) from None
    return taxonomy


def _integers(largest: int) -> type[np.signedinteger[Any]]:
    """The narrower of two types, since matrices of 10,000 classes have 100 million entries."""
    return np.int16 if largest < 1 << 15 else np.int32


def _spread(matrix: NDArray[Any], places: NDArray[np.int64]) -> NDArray[Any]:
    """Rows and columns of distinct nodes for the classes that were asked for."""
    if np.array_equal(places, np.arange(len(matrix))):
        return matrix
    return matrix[places[:, None], places]
