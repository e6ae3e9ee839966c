"""Reading arrays that others wrote without trusting them, and writing files so that a crash leaves no mixture."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hashlens.errors import BadInput

if TYPE_CHECKING:
    from numpy.typing import NDArray

REAL_NUMBERS = "biuf"  # kinds of numpy data types


def read_array(path: str | os.PathLike[str], what: str, kinds: str = REAL_NUMBERS) -> NDArray[Any]:
    """The array in a user's ``.npy`` file. Nothing in it is run, and no more memory taken than the file is long.

    Args:
        path: the file.
        what: it should hold, for the message, such as "a class similarity".
        kinds: of data types that are taken, by numpy's letters; booleans, integers and real numbers by default.

    Raises:
        BadInput: there is no such file, it is damaged or shorter than it claims, or it holds something else.

    Example:
        >>> read_array("nowhere.npy", "a codebook")
        Traceback (most recent call last):
        ...
        hashlens.errors.BadInput: nowhere.npy is not a .npy file of a codebook (there is no such file).
    """
    import numpy as np
    from numpy.lib.format import open_memmap

    path = Path(path)
    reason = "there is no such file"
    if path.is_file():  # opening a pipe would wait for someone who writes to it
        try:
            with np.errstate(all="ignore"):  # a size that overflows is refused all the same
                mapped = open_memmap(path, mode="r")  # takes no memory, and fails where the file is too short
            if mapped.dtype.kind in kinds:
                return np.array(mapped)
            reason = f"it holds {mapped.dtype}"
        except OSError as error:
            reason = error.strerror or "it cannot be read"
        except Exception:  # damaged headers raise ValueError, SyntaxError, OverflowError, …
            reason = "it is damaged, cut off, or holds Python objects"
    raise BadInput(f"{path} is not a .npy file of {what} ({reason}).")


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; on success flush it to disk and rename it to ``path``.

    If the block raises, the temporary file is removed and ``path`` keeps what it had.

    Example:
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with replacing(Path(folder, "answer.txt")) as temporary:
        ...         _ = temporary.write_text("42", encoding="utf-8")
        ...     os.listdir(folder)
        ['answer.txt']
    """
    path = Path(path)
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=path.suffix, dir=path.parent)
    os.close(descriptor)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
        _sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: str | os.PathLike[str], content: Any) -> None:
    """Write ``content`` as indented UTF-8 JSON, atomically.

    Example:
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_json(Path(folder, "bits.json"), {"bits": 64})
        ...     json.loads(Path(folder, "bits.json").read_text(encoding="utf-8"))
        {'bits': 64}
    """
    try:
        text = json.dumps(content, indent=2, ensure_ascii=False).encode()
    except UnicodeEncodeError:  # names of files may be no UTF-8
        text = json.dumps(content, indent=2).encode()
    with replacing(path) as temporary:
        temporary.write_bytes(text + b"\n")


def as_shown(text: object) -> str:
    """Text that can be written anywhere, for names of files may hold anything.

    Bytes that are no UTF-8 become �, and what would command a terminal is spelled out.

    Example:
        >>> as_shown(os.fsdecode(bytes([0x63, 0xE9]))), as_shown("a" + chr(27) + "[31mred")
        ('c�', 'a\\\\x1b[31mred')
    """
    text = str(text).encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return "".join(one if one.isprintable() or one in "\n\t" else ascii(one)[1:-1] for one in text)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _sync_folder(folder: Path) -> None:
    if os.name == "posix":  # Windows cannot open a folder, and does not need it
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
