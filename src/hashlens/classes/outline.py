"""A taxonomy as indented lines."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

from hashlens.classes.graph import Graph

Line = tuple[int, str]  # level, 0 for the root, and words


def outline(graph: Graph, limit: int | None = None, captions: Mapping[str, str] | None = None) -> list[Line]:
    """A taxonomy as lines from the root on, every node before what lies below it.

    A node with several parents stands below each of them; where it stands again, an arrow ↑ points up to where it
    stood first, with all that lies below it.

    Args:
        limit: nodes to show at most, those near the root first; of the rest the number is told. All if ``None``.
        captions: words to show behind the name of a node.

    Returns:
        For every line its level, 0 for the root, and its words.

    Example:
        >>> outline(Graph([("pet", "cat"), ("pet", "dog"), ("dog", "poodle")]), captions={"cat": "of any kind"})
        [(0, 'pet'), (1, 'cat (of any kind)'), (1, 'dog'), (2, 'poodle')]
    """
    shown = _children_shown(graph, len(graph.edges) + 1 if limit is None else max(limit, 1))
    lines: list[Line] = []
    passed: set[int] = set()
    stack: list[tuple[int, str | int]] = [(0, graph.order[0])]
    while stack:
        level, entry = stack.pop()
        if isinstance(entry, str):
            lines.append((level, entry))
            continue
        name, children = graph.names[entry], graph.children[entry]
        caption = captions.get(name) if captions else None
        words = f"{name} ({caption})" if caption else name
        if entry in passed:
            words += " ↑"
        elif children:
            count = shown.get(entry, 0)
            if not count:
                words += f" … {len(graph.descendants([entry])) - 1:,} below"
            elif count < len(children):
                stack.append((level + 1, f"… {len(children) - count:,} more"))
            stack += [(level + 1, child) for child in reversed(children[:count])]
        passed.add(entry)
        lines.append((level, words))
    return lines


def _children_shown(graph: Graph, limit: int) -> dict[int, int]:
    """How many children of each node to show, so that there are ``limit`` nodes at most."""
    left = limit - 1
    shown: dict[int, int] = {}
    queue = deque([graph.order[0]])
    while queue and left:
        node = queue.popleft()
        if node not in shown:
            shown[node] = min(left, len(graph.children[node]))
            left -= shown[node]
            queue.extend(graph.children[node][: shown[node]])
    return shown
