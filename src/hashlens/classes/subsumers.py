"""How near nodes of a taxonomy are, by what lies above both: the subsumers that two nodes have in common.

The definitions are those of Barz and Denzler (WACV 2019, section 3) and of their program.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashlens.classes.graph import Graph

CELLS = 1 << 22  # of a matrix that are worked on at once

Below = Mapping[int, NDArray[np.int32]]


def lowest_subsumer(graph: Graph, a: int, b: int) -> int:
    """Of the nodes that are, or lie above, both nodes the one of least height.

    In a tree there is one. In a DAG, of several of equal height the deepest is taken, and of those the first.
    """
    common = graph.ancestors([a]) & graph.ancestors([b])
    return min(common, key=lambda node: (graph.heights[node], -graph.depths[node], node))


def subsumer_heights(graph: Graph, nodes: Sequence[int]) -> NDArray[np.signedinteger[Any]]:
    """Height of the lowest common subsumer of every pair of nodes.

    Args:
        nodes: n different ones.

    Returns:
        (n, n) of a narrow integer type, symmetric; 0 for a node and itself, also where that node is not a leaf.

    Example:
        >>> graph = Graph([("thing", "animal"), ("animal", "cat"), ("animal", "dog"), ("thing", "car")])
        >>> subsumer_heights(graph, [graph.numbers[name] for name in ("cat", "dog", "car")]).tolist()
        [[0, 1, 2], [1, 0, 2], [2, 2, 0]]
    """
    below = _nodes_below(graph, nodes)
    lowest = np.zeros((len(nodes), len(nodes)), _integers(int(graph.heights.max())))
    # A lower subsumer overwrites what a higher one wrote.
    for node in sorted(below, key=lambda node: (-graph.heights[node], node)):
        for rows, columns in _parted(graph, node, below):
            lowest[rows[:, None], columns] = graph.heights[node]
    np.fill_diagonal(lowest, 0)
    return lowest


def wu_palmer_similarities(graph: Graph, nodes: Sequence[int]) -> NDArray[np.float64]:
    """Wu–Palmer similarity 2·s/(2·s + l_a + l_b) of every pair of nodes a and b.

    s is the depth of their deepest common subsumer, l_a and l_b the edges on the shortest ways from it to a and b,
    up and down; so in a tree it is 2·s/(depth(a) + depth(b)). Of several subsumers of equal depth the one with the
    shortest ways counts.

    Args:
        nodes: n different ones.

    Returns:
        (n, n) float64 in (0, 1], symmetric, 1 on the diagonal.

    Example:
        >>> graph = Graph([("thing", "animal"), ("animal", "cat"), ("animal", "dog"), ("thing", "car")])
        >>> wu_palmer_similarities(graph, [graph.numbers[name] for name in ("cat", "dog", "car")]).round(2).tolist()
        [[1.0, 0.67, 0.4], [0.67, 1.0, 0.4], [0.4, 0.4, 1.0]]
    """
    below = _nodes_below(graph, nodes)
    steps = _steps(graph, below, nodes)
    kept = _integers(4 * int(graph.depths.max()))
    deepest, ways = (np.zeros((len(nodes), len(nodes)), kept) for _ in range(2))
    # A deeper subsumer overwrites what a shallower one wrote; of two at one depth the shorter ways stay.
    for node in sorted(below, key=lambda node: (graph.depths[node], node)):
        depth, way = graph.depths[node], np.zeros(len(nodes), kept)
        way[below[node]] = steps[node]
        for rows, columns in _parted(graph, node, below):
            block = rows[:, None], columns
            both = way[rows][:, None] + way[columns]
            ways[block] = np.where(deepest[block] == depth, np.minimum(ways[block], both), both)
            deepest[block] = depth
    similarity = np.empty(deepest.shape)
    np.divide(2 * deepest, 2 * deepest + ways, out=similarity, where=deepest > 0)
    np.fill_diagonal(similarity, 1)
    return similarity


def _nodes_below(graph: Graph, nodes: Sequence[int]) -> dict[int, NDArray[np.int32]]:
    """For every node that is or lies above one of ``nodes``: the sorted positions of those of them that do."""
    relevant = graph.ancestors(nodes)
    position = {node: np.array([index], np.int32) for index, node in enumerate(nodes)}
    below: dict[int, NDArray[np.int32]] = {}
    for node in reversed(graph.order):
        if node in relevant:
            parts = [below[child] for child in graph.children[node] if child in below]
            parts += [position[node]] if node in position else []
            below[node] = parts[0] if len(parts) == 1 else np.unique(np.concatenate(parts))
    return below


def _parted(graph: Graph, node: int, below: Below) -> Iterator[tuple[NDArray[np.int32], NDArray[np.int32]]]:
    """Blocks (rows, columns) that hold all pairs below a node but those below its largest child.

    Pairs below a child have a subsumer that is lower and deeper, so they may be left out; leaving out the
    largest part makes the work small for chains and for balanced trees alike.
    """
    whole = below[node]
    largest = max((below[child] for child in graph.children[node] if child in below), key=len, default=None)
    if largest is None or len(largest) == len(whole):
        return
    others = np.setdiff1d(whole, largest, assume_unique=True)
    for rows, columns in ((others, whole), (largest, others)):
        step = max(1, CELLS // len(columns))
        for start in range(0, len(rows), step):
            yield rows[start : start + step], columns


def _steps(graph: Graph, below: Below, nodes: Sequence[int]) -> dict[int, NDArray[np.int64]]:
    """For every node, edges on the shortest way up and then down from each of ``nodes`` below it to the node."""
    position = {node: index for index, node in enumerate(nodes)}
    fewest = np.empty(len(nodes), np.int64)
    steps: dict[int, NDArray[np.int64]] = {}
    for node in reversed(graph.order):
        if node in below:
            fewest[below[node]] = len(graph.names)
            for child in graph.children[node]:
                if child in below:
                    fewest[below[child]] = np.minimum(fewest[below[child]], steps[child] + 1)
            if node in position:
                fewest[position[node]] = 0
            steps[node] = fewest[below[node]]
    if not graph.is_tree:
        # One of the nodes may have a short way to a node above this one; from there it is some steps down.
        for node in graph.order:
            if node in below:
                for parent in graph.parents[node]:
                    over = steps[parent][np.searchsorted(below[parent], below[node])] + 1
                    steps[node] = np.minimum(steps[node], over)
    return steps


def _integers(largest: int) -> type[np.signedinteger[Any]]:
    """The narrower of two types, since matrices of 10,000 classes have 100 million entries."""
    return np.int16 if largest < 1 << 15 else np.int32
