"""Rooms import only rooms above them, and no two files import each other, not even inside functions."""

from __future__ import annotations

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import hashlens

PACKAGE = Path(hashlens.__file__).parent
GROUND = (
    *(
        "errors",
        "files",
        "counting",
        "outputs",
        "write_ahead",
        "hub",
        "tokens",
        "cache",
        "progress",
        "registry",
        "plugins",
    ),
    "compute",
)
ROOMS = (
    *("codes", "sources", "classes", "centres", "objectives", "metrics", "backbones", "methods", "models"),
    *("training", "engines", "catalogue", "reports", "service"),
)
TOP = ("terminal", "demo", "cli", "__main__")
LEVELS = (
    dict.fromkeys(GROUND, 0) | {room: 1 + n for n, room in enumerate(ROOMS)} | dict.fromkeys(TOP, 1 + len(ROOMS))
)
FRONT = "hashlens"  # the front door, which names what lies in the rooms and opens none of them when it is imported

# Arrows that run back up, (from, to), with the reason why each is still there; to become empty.
NOT_YET: dict[tuple[str, str], str] = {}


def module_of(path: Path, package: Path = PACKAGE) -> str:
    parts = ("hashlens", *path.relative_to(package).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(path: Path, modules: set[str], package: Path = PACKAGE) -> set[str]:
    """The modules of the package that a file imports, wherever in it and whatever for."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name in modules}
        elif isinstance(node, ast.ImportFrom):
            name = node.module or ""
            if node.level:  # relative: counted from the folder that the file lies in
                folder = module_of(path, package).split(".")
                folder = folder if path.name == "__init__.py" else folder[:-1]
                name = ".".join([*folder[: len(folder) - node.level + 1], *([node.module] if node.module else [])])
            if name in modules:
                found |= {f"{name}.{alias.name}" for alias in node.names} & modules
                found |= {name} if any(f"{name}.{alias.name}" not in modules for alias in node.names) else set()
    return found


def graph_of(package: Path) -> dict[str, set[str]]:
    paths = {module_of(path, package): path for path in package.rglob("*.py")}
    return {module: imports_of(path, set(paths), package) for module, path in paths.items()}


GRAPH = graph_of(PACKAGE)


def room_of(module: str) -> str:
    return module.split(".")[1]


def circle_in(graph: dict[str, set[str]]) -> list[str]:
    """The modules on a circle of imports, if there is one.

    A room's ``__init__`` gathers what its files offer, so a file that imports a neighbour directly, or the room of
    another, is no circle with it; a file that imports its own room is.
    """
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return error.args[1]
    return []


def test_every_room_has_its_place() -> None:
    assert {room_of(module) for module in GRAPH if module != FRONT} <= set(LEVELS)


def test_no_two_files_import_each_other() -> None:
    assert circle_in(GRAPH) == []


@pytest.mark.parametrize("room", LEVELS)
def test_a_room_imports_only_rooms_above_it(room: str) -> None:
    back = {
        (module, other)
        for module, others in GRAPH.items()
        if module != FRONT and room_of(module) == room
        for other in others
        if other == FRONT or LEVELS[room_of(other)] > LEVELS[room]
    }
    assert back == {arrow for arrow in NOT_YET if room_of(arrow[0]) == room}


def test_hidden_imports_are_found(tmp_path: Path) -> None:
    package = tmp_path / "hashlens"
    files = {
        "__init__.py": "",
        "a/__init__.py": "from hashlens.a.one import x",
        "a/one.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from hashlens.b import two\n",
        "b/__init__.py": "",
        "b/two.py": "def later():\n    from ..a import one\n",
        "b/three.py": "import hashlens.b.two\nfrom . import two\nfrom .two import later\n",
    }
    for name, text in files.items():
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).write_text(text)
    graph = graph_of(package)
    assert graph["hashlens.a"] == {"hashlens.a.one"}
    assert graph["hashlens.a.one"] == {"hashlens.b.two"}
    assert graph["hashlens.b.two"] == {"hashlens.a.one"}
    assert graph["hashlens.b.three"] == {"hashlens.b.two"}
    assert set(circle_in(graph)) == {"hashlens.a.one", "hashlens.b.two"}
