"""The graph of a taxonomy: numbered nodes, each with its parents, its children, its depth and its height."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from graphlib import CycleError, TopologicalSorter
from typing import Any

import numpy as np

from hashlens.errors import BadInput

IMPLICIT_ROOT = "(root)"


class Cycle(BadInput):
    """Edges that lead in a circle; ``nodes`` are those on it, each the parent of the next."""

    def __init__(self, nodes: Sequence[str]) -> None:
        self.nodes = tuple(nodes)
        way = [*nodes] if len(nodes) <= 8 else [*nodes[:4], "…", *nodes[-3:]]
        super().__init__(f"The taxonomy has a cycle, {' → '.join([*way, nodes[0]])}; leave one of its edges out.")


class Graph:
    """Nodes joined by edges from parent to child, without cycles, all below one root. It does not change.

    Args:
        edges: pairs (parent, child) of names or ids; the same pair may come again.
        nodes: further nodes, which need no edge. Several roots are joined under one that is added.

    Attributes:
        names: V names of the nodes, in the order in which the edges named them.
        numbers: from a name to its position among them, by which a node is known below.
        edges: all pairs (parent, child) of names, in their order.
        parents, children: V lists of numbers.
        order: V numbers, parents before their children; so the first is the root.
        depths: (V,) int64, nodes on the longest way from the root: 1 for the root.
        heights: (V,) int64, edges on the longest way down to a leaf: 0 for a leaf.
        roots: names of the nodes without a parent, before they were joined.

    Raises:
        BadInput: there is no node, a name is empty, or the edges lead in a circle (:class:`Cycle`).

    Example:
        >>> graph = Graph([("animal", "cat"), ("animal", "dog"), ("dog", "poodle")])
        >>> [(name, int(graph.depths[node]), int(graph.heights[node])) for name, node in graph.numbers.items()]
        [('animal', 1, 2), ('cat', 2, 0), ('dog', 2, 1), ('poodle', 3, 0)]
    """

    def __init__(self, edges: Iterable[tuple[Any, Any]], nodes: Iterable[Any] = ()) -> None:
        pairs = list(dict.fromkeys((str(parent), str(child)) for parent, child in edges))
        names = list(dict.fromkeys([*(name for pair in pairs for name in pair), *map(str, nodes)]))
        if not names:
            raise BadInput("A taxonomy needs at least one node.")
        if "" in names:
            raise BadInput("A node of the taxonomy has an empty name; give every parent and child a name.")
        below = {child for _, child in pairs}
        self.roots = tuple(name for name in names if name not in below)
        if len(self.roots) > 1:
            pairs = _joined(pairs, self.roots, names)
            names = list(dict.fromkeys(name for pair in pairs for name in pair))
        self.edges = tuple(pairs)
        self.names = tuple(names)
        self.numbers = {name: number for number, name in enumerate(names)}
        self.parents: list[list[int]] = [[] for _ in names]
        self.children: list[list[int]] = [[] for _ in names]
        for parent, child in pairs:
            self.parents[self.numbers[child]].append(self.numbers[parent])
            self.children[self.numbers[parent]].append(self.numbers[child])
        try:
            self.order = tuple(TopologicalSorter(dict(enumerate(self.parents))).static_order())
        except CycleError as error:
            raise Cycle([names[node] for node in error.args[1][:-1]]) from None
        self.depths = np.ones(len(names), np.int64)
        for node in self.order:
            self.depths[node] = 1 + max((self.depths[parent] for parent in self.parents[node]), default=0)
        self.heights = np.zeros(len(names), np.int64)
        for node in reversed(self.order):
            self.heights[node] = 1 + max((self.heights[child] for child in self.children[node]), default=-1)

    @property
    def is_tree(self) -> bool:
        """Whether no node has several parents."""
        return all(len(parents) <= 1 for parents in self.parents)

    def ancestors(self, nodes: Iterable[int]) -> set[int]:
        """The nodes and all that lie above them."""
        return _reached(nodes, self.parents)

    def descendants(self, nodes: Iterable[int]) -> set[int]:
        """The nodes and all that lie below them."""
        return _reached(nodes, self.children)


def _reached(nodes: Iterable[int], neighbours: Sequence[Sequence[int]]) -> set[int]:
    found = set(nodes)
    waiting = list(found)
    while waiting:
        for node in neighbours[waiting.pop()]:
            if node not in found:
                found.add(node)
                waiting.append(node)
    return found


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
