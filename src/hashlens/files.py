"""Reading arrays that others wrote without trusting them, and writing files so that a crash leaves no mixture."""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hashlens.errors import BadInput

try:
    import fcntl
except ImportError:  # Windows, where a file that is open cannot be replaced
    fcntl = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from numpy.typing import NDArray

REAL_NUMBERS = "biuf"  # kinds of numpy data types
LARGEST_GROWTH = 20  # times; images and features hardly compress at all
ALWAYS_ALLOWED = 1 << 28  # bytes


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


def check_growth(path: str | os.PathLike[str], grown: int) -> None:
    """Stop a small compressed file that would fill the memory, before it does.

    Args:
        path: of the file.
        grown: bytes that it says to hold.

    Raises:
        BadInput: they are over 20 times its size, and over 256 MiB.

    Example:
        >>> with tempfile.NamedTemporaryFile() as file:
        ...     check_growth(file.name, 1000)
    """
    if grown > LARGEST_GROWTH * Path(path).stat().st_size + ALWAYS_ALLOWED:
        raise BadInput(
            f"{path} would grow to {grown / 1e9:.1f} GB, over {LARGEST_GROWTH} times its size; save it without "
            "compression."
        )


def parquet_bytes(metadata: Any) -> int:
    """Bytes that a Parquet file says to hold, and 8 for each row, as rows that are all equal take none.

    Example:
        >>> import io, pyarrow as pa, pyarrow.parquet as pq
        >>> file = io.BytesIO()
        >>> pq.write_table(pa.table({"label": [7] * 1000}), file)
        >>> parquet_bytes(pq.read_metadata(file)) > 8000
        True
    """
    groups = range(metadata.num_row_groups)
    return 8 * metadata.num_rows + sum(metadata.row_group(group).total_byte_size for group in groups)


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; on success flush it to disk and rename it to ``path``.

    If the block raises, the temporary file is removed and ``path`` keeps what it had. What a killed process left of
    an earlier attempt is removed too.

    Example:
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with replacing(Path(folder, "answer.txt")) as temporary:
        ...         _ = temporary.write_text("42", encoding="utf-8")
        ...     os.listdir(folder)
        ['answer.txt']
    """
    path = Path(path)
    remove_abandoned(path.parent, temporary_names(re.escape(path.name), re.escape(path.suffix)))

    def make() -> Path:
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=path.suffix, dir=path.parent)
        os.close(descriptor)
        return Path(name)

    try:
        with claimed(make) as temporary:
            try:
                yield temporary
                with temporary.open("rb+") as file:
                    os.fsync(file.fileno())
                temporary.chmod(0o666 & ~_umask())
                temporary.replace(path)
                _sync_folder(path.parent)
            finally:
                temporary.unlink(missing_ok=True)
    except OSError as error:
        if isinstance(error.filename, str) and Path(error.filename).name.startswith(f".{path.name}."):
            error.filename = str(path)  # the name that somebody gave
        raise


def temporary_names(name: str, suffix: str) -> re.Pattern[str]:
    """What :func:`replacing` calls temporary files, for a pattern of the names that they replace, and their suffix.

    Example:
        >>> bool(temporary_names("a.txt", ".txt").fullmatch(".a.txt.k3_x9abc.txt"))
        True
    """
    return re.compile(rf"\.{name}\.[a-z0-9_]{{8}}{suffix}")


@contextmanager
def claimed(make: Callable[[], Path]) -> Iterator[Path]:
    """A new file or folder that no process takes for abandoned until the block ends, or this process does.

    Args:
        make: makes one under a name that was not in use.

    Example:
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with claimed(lambda: Path(tempfile.mkdtemp(dir=folder))) as made:
        ...         remove_abandoned(Path(folder), re.compile(".*"))
        ...         made.exists()
        True
    """
    if fcntl is None:
        yield make()
        return
    while True:
        path = make()
        try:
            descriptor = os.open(path, os.O_RDONLY)
        except FileNotFoundError:  # another process looked for abandoned ones before it was claimed
            continue
        with suppress(OSError):  # a disk without locks, where nothing is taken for abandoned either
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        if path.exists():
            break
        os.close(descriptor)
    try:
        yield path
    finally:
        os.close(descriptor)


def remove_abandoned(folder: Path, names: re.Pattern[str]) -> None:
    """Remove what killed processes left: files and folders of these names that nobody has :func:`claimed`.

    Example:
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     left = Path(folder, ".a.txt.k3_x9abc.txt")
        ...     left.touch()
        ...     remove_abandoned(Path(folder), temporary_names("a.txt", ".txt"))
        ...     left.exists()
        False
    """
    if fcntl is None:
        return
    with suppress(OSError):  # a folder that cannot be listed
        for path in folder.iterdir():
            if names.fullmatch(path.name):
                _remove_unless_claimed(path)


def _remove_unless_claimed(path: Path) -> None:
    assert fcntl is not None
    with suppress(OSError):  # it is claimed, gone, or of somebody else
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
        finally:
            os.close(descriptor)


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
