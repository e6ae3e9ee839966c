"""Files and folders that a user names for something new, and what stands there already, which is not to be lost."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hashlens.errors import BadInput


def _never(_: Path) -> bool:
    return False


def check_file(path: Path, endings: tuple[str, ...], what: str, ours: Callable[[Path], bool] = _never) -> None:
    """Refuse a file to write that cannot be, or must not be, written, before any work is done for it.

    Args:
        endings: that its name may have, the usual one first.
        what: is to be written.
        ours: whether a file that is there was written by us and can be made again, so that it may be replaced.

    Raises:
        BadInput: it has another ending, is a folder, or is there and not to be replaced.

    Example:
        >>> check_file(Path("photo.jpg"), (".html", ".htm"), "The page")
        Traceback (most recent call last):
        ...
        hashlens.errors.BadInput: The page cannot be written to photo.jpg; give a name that ends in .html.
    """
    if path.is_dir():
        raise BadInput(f"{path} is a folder; give a file that ends in {endings[0]}.")
    if path.suffix.lower() not in endings:
        raise BadInput(f"{what} cannot be written to {path}; give a name that ends in {endings[0]}.")
    if path.exists() and not ours(path):
        raise BadInput(f"{path} is there already; choose another name, or remove it.")


def check_folder(path: Path, what: str, ours: Callable[[Path], bool], may_hold: tuple[str, ...] = ()) -> None:
    """Refuse a folder to write to that holds something else, before any work is done for it.

    Files whose names begin with a dot count for nothing, as killed processes and file managers leave them.

    Args:
        what: is to be written, with its article.
        ours: whether there is such a thing in the folder.
        may_hold: names that may be there without.

    Raises:
        BadInput: it is a file, or holds something and not that.

    Example:
        >>> check_folder(Path("a/new/folder"), "a model", lambda folder: (folder / "config.json").is_file())
    """
    if path.exists() and not path.is_dir():
        raise BadInput(f"{path} is a file; give a folder for {what}.")
    if not path.is_dir() or ours(path):
        return
    if any(not one.name.startswith(".") and one.name not in may_hold for one in path.iterdir()):
        raise BadInput(f"{path} holds something else than {what}; choose a new folder.")


def object_in(path: Path) -> dict[str, Any]:
    """The object in a JSON file, by which we know what we wrote; an empty one where there is none.

    Example:
        >>> object_in(Path("nowhere.json"))
        {}
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def contains(path: Path, mark: bytes) -> bool:
    """Whether bytes stand anywhere in a file.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = Path(folder, "a.html").write_bytes(b"<title>")
        ...     contains(Path(folder, "a.html"), b"title"), contains(Path(folder, "b.html"), b"title")
        (True, False)
    """
    if not path.is_file():  # opening a pipe would wait for someone who writes to it
        return False
    before = b""
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            if mark in before + block:
                return True
            before = block[-len(mark) :]
    return False
