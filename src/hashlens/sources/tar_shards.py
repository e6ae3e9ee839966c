"""Images in .tar files, in the convention of WebDataset: files with one name but for its endings are one item."""

from __future__ import annotations

import glob
import itertools
import json
import logging
import os
import re
import tarfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from hashlens.errors import BadInput
from hashlens.sources.column_labels import labels_of_values
from hashlens.sources.decoding import UnreadableImage
from hashlens.sources.file_types import BESIDE_IMAGES, RAW
from hashlens.sources.image_files import fingerprint_of
from hashlens.sources.labels import Labels
from hashlens.sources.opener import Opener
from hashlens.sources.source import NO_FINGERPRINT, Source

SUFFIX = ".tar"
COMPRESSED = (".tar.gz", ".tgz", ".tar.xz", ".tar.bz2", ".tar.zst")
CLASS_NAMES_FILE = "classnames.txt"  # beside the shards, a name a line
JSON_LABELS = ("label", "labels", "class", "cls")
LARGEST_IMAGE = 1 << 29  # bytes
LARGEST_LABEL = 1 << 20
MOST_SHARDS = 100_000
LARGEST_HEADER = 1 << 20  # of names and attributes before a file
_BRACES = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"(\d+)\.\.(\d+)")

log = logging.getLogger("hashlens")


@dataclass
class _Item:
    """One key of a shard: where its image lies in the file, and its label."""

    shard: int
    key: str
    start: int = -1
    size: int = 0
    ending: str = ""
    label: Any = None
    taken: set[str] = field(default_factory=set)


class TarImages(Source):
    """Images that lie in uncompressed .tar files, and are read from there; nothing is unpacked.

    Args:
        shards: the files.
        items: which of them each image is in, its key, and where its bytes begin and how many they are.
        labels, class_names, identity: see :class:`hashlens.sources.Source`.
        location: what opens a single file, where that is not its path.
    """

    def __init__(
        self,
        name: str,
        shards: Sequence[Path],
        items: Sequence[tuple[int, str, int, int]],
        labels: Labels | None = None,
        class_names: Sequence[str] = (),
        identity: str | None = None,
        location: str | None = None,
    ) -> None:
        super().__init__(name, labels, class_names, identity)
        self._shards = shards
        self._location = location
        self._items = items
        self._states = [fingerprint_of(shard) for shard in shards]

    def __len__(self) -> int:
        return len(self._items)

    def read(self, item: int) -> bytes:
        shard, _, start, size = self._items[item]
        try:
            with self._shards[shard].open("rb") as file:
                file.seek(start)
                content = file.read(size)
        except OSError as error:
            raise UnreadableImage(error.strerror or "cannot be read") from None
        if len(content) < size or fingerprint_of(self._shards[shard]) != self._states[shard]:
            raise UnreadableImage("the .tar file has changed since it was opened")
        return content

    def key(self, item: int) -> str:
        shard, key, *_ = self._items[item]
        return f"{self._shards[shard].name}/{key}"

    def location(self, item: int) -> str:
        shard, key, *_ = self._items[item]
        quoted = key.replace("%", "%25").replace("#", "%23")  # as # parts the table from the item
        return f"{self._location or self._shards[shard].resolve()}#{quoted}"

    def fingerprint(self, item: int) -> tuple[int, int]:
        return self._states[self._items[item][0]] if self._items else NO_FINGERPRINT


def open_tar(pattern: str | os.PathLike[str], split: str | None = None, location: str | None = None) -> TarImages:
    """Open a .tar file of images, or several, as WebDataset lays them out.

    The key of a file is its name up to the first dot after the last slash; files with the same key are one item: an
    image, and its label in ``cls`` (a class number or a name) or ``json`` (there ``label``, ``labels``, ``class``
    or ``cls``: a number, a name, or a list of either). Of several images of one key the one whose ending has the
    fewest dots is used. Class numbers are named by the lines of ``classnames.txt`` beside the files or one folder
    above, where that is.

    Nothing is written to the disk, and no name in an archive is ever used as a path. Links, devices, sparse files,
    absolute names, names that lead upwards and files over 512 MB are passed over and counted.

    Args:
        pattern: the file, or a pattern of several: ``photos-{000..011}.tar``, ``photos-{train,val}.tar``,
            ``photos-*.tar``.
        split: there is none in such files; each split is files of its own.
        location: what opens a single file, where that is not its path; its name then, too.

    Raises:
        BadInput: a file is missing, compressed, damaged, cut off, or no .tar file; there is no image in it; labels
            are of different kinds; or a split is asked for.
    """
    text = os.fspath(pattern)
    if split is not None:
        raise BadInput(f"{text} has no split '{split}'; each split is .tar files of its own.")
    shards = _shards(text)
    if not shards:
        raise BadInput(f"There is no file {text}.")
    if len(shards) > MOST_SHARDS:
        raise BadInput(f"{text} means more than {MOST_SHARDS:,} files.")
    for shard in shards:
        if shard.name.lower().endswith(COMPRESSED):
            raise BadInput(f"{shard} is compressed, so that images cannot be found in it quickly; decompress it.")
        if not shard.is_file():
            raise BadInput(f"There is no file {shard}, which {text} asks for.")
    left_out = Counter[str]()
    found: list[_Item] = []
    for number, shard in enumerate(shards):
        found += _items_of(shard, number, left_out)
    with_image = [item for item in found if item.start >= 0]
    left_out["items without an image"] = len(found) - len(with_image)
    if told := ", ".join(f"{count:,} {what}" for what, count in left_out.items() if count):
        log.warning("%s: passed over %s", text, told)
    if not with_image:
        raise BadInput(f"{text} holds no images, which are named such as 0001.jpg in such files.")
    labels, names = labels_of_values([item.label for item in with_image], _class_names(shards), text)
    items = [(item.shard, item.key, item.start, item.size) for item in with_image]
    identity = location or str(Path(text).absolute())
    return TarImages(location or text, shards, items, labels, names, identity, location)


def _recognises(text: str) -> bool:
    small = text.lower()
    return small.endswith((SUFFIX, *COMPRESSED)) and (
        Path(text).is_file() or any(Path(one).is_file() for one in _shards(text))
    )


OPENER = Opener(".tar files of images, such as photos-{000..011}.tar", _recognises, open_tar)


def _shards(text: str) -> list[Path]:
    """The files that a pattern means, those in braces in their order, whether they are there or not."""
    if Path(text).is_file():
        return [Path(text)]
    shards: list[Path] = []
    for one in itertools.islice(_expanded(text), MOST_SHARDS + 1):
        if glob.has_magic(one) and not Path(one).is_file():
            shards += [Path(path) for path in sorted(glob.glob(one))]  # noqa: PTH207 (Path's takes no whole paths)
        else:
            shards.append(Path(one))
    return shards


def _expanded(text: str) -> Iterator[str]:
    """The texts that braces with a range or with alternatives in them stand for."""
    found = _BRACES.search(text)
    if found is None:
        yield text
        return
    bounds = _RANGE.fullmatch(found[1])
    if bounds:
        width = len(bounds[1]) if bounds[1].startswith("0") else 0
        first, last = int(bounds[1]), int(bounds[2])
        numbers = range(first, last + 1) if first <= last else range(first, last - 1, -1)
        inner: Iterator[str] = (f"{number:0{width}}" for number in numbers)
    else:
        inner = iter(found[1].split(","))
    for one in inner:
        for rest in _expanded(text[found.end() :]):
            yield text[: found.start()] + one + rest


def _items_of(shard: Path, number: int, left_out: Counter[str]) -> list[_Item]:
    """The items of one file, in the order in which their keys first appear."""
    items: dict[str, _Item] = {}
    try:
        with shard.open("rb") as file:
            for member in _members(shard):
                reason = _reason_to_leave_out(member)
                if reason is not None:
                    left_out[reason] += 1
                    continue
                folder, _, name = member.name.rpartition("/")
                stem, _, ending = name.partition(".")
                kind = ending.lower().rpartition(".")[2]
                if not stem or not ending or kind in (BESIDE_IMAGES | RAW) - {"json", "txt"}:
                    continue  # hidden files, films, masks as arrays, …
                key = f"{folder}/{stem}".removeprefix("./").lstrip("/")
                item = items.setdefault(key, _Item(number, key))
                if ending.lower() in item.taken:
                    left_out["files whose name is there already"] += 1
                    continue
                item.taken.add(ending.lower())
                if kind in ("cls", "json"):
                    if member.size > LARGEST_LABEL:
                        left_out["labels over 1 MB"] += 1
                        continue
                    file.seek(member.offset_data)
                    try:
                        label = _label(file.read(member.size), kind)
                    except (ValueError, RecursionError):
                        left_out["labels that cannot be read"] += 1
                    else:
                        item.label = label if kind == "cls" or item.label is None else item.label
                elif kind != "txt" and (item.start < 0 or ending.count(".") < item.ending.count(".")):
                    item.start, item.size, item.ending = member.offset_data, member.size, ending
    except OSError as error:
        raise BadInput(f"{shard} cannot be read ({error.strerror or error}).") from None
    return list(items.values())


def _members(shard: Path) -> Iterator[tarfile.TarInfo]:
    """What an archive lists, up to its end.

    Raises:
        BadInput: it is damaged, cut off, or no .tar file.
    """
    end = shard.stat().st_size
    try:
        with tarfile.open(shard, "r:", errors="surrogateescape", tarinfo=_Header) as archive:
            while (member := archive.next()) is not None:
                archive.members.clear()  # type: ignore[attr-defined]  # which grow without end otherwise
                if member.offset_data + (member.size if member.isreg() else 0) > end:
                    raise BadInput(f"{shard} is cut off in {member.name}; fetch or write it again.")
                yield member
            stopped = archive.offset
    except (tarfile.TarError, EOFError, ValueError, RecursionError, OverflowError) as error:
        raise BadInput(f"{shard} is damaged, cut off or no .tar file ({error}).") from None
    with shard.open("rb") as file:
        file.seek(stopped)
        if any(file.read(tarfile.BLOCKSIZE)):  # tarfile itself passes over a damaged header as if it were the end
            raise BadInput(f"{shard} is damaged at byte {stopped:,}; fetch or write it again.")


class _Header(tarfile.TarInfo):
    """Names and attributes before a file are read into memory, so a lie about their length must not be believed."""

    def _proc_member(self, tarfile_: tarfile.TarFile) -> Any:
        special = (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)
        if self.type in (*special, tarfile.SOLARIS_XHDTYPE) and self.size > LARGEST_HEADER:
            raise tarfile.ReadError(f"a header of {self.size:,} bytes")
        return super()._proc_member(tarfile_)  # type: ignore[misc]


def _reason_to_leave_out(member: tarfile.TarInfo) -> str | None:
    """``None`` for a plain file, and for folders, which nobody counts as files."""
    if member.issym() or member.islnk():
        return "links"
    if member.isdir():
        return "folders"
    if member.type not in (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE) or member.sparse is not None:
        return "devices, pipes or sparse files"
    if member.name.startswith(("/", "\\")) or ".." in PurePosixPath(member.name).parts:
        return "files whose name leads out of the archive"
    if member.size > LARGEST_IMAGE:
        return "files over 512 MB"
    return None


def _label(content: bytes, kind: str) -> Any:
    """A number, a name, a list of either, or ``None``; raises ``ValueError`` or ``RecursionError`` for others."""
    text = content.decode("utf-8").strip()
    if kind == "cls":
        return int(text) if re.fullmatch(r"[+-]?\d{1,18}", text) else text or None
    told = json.loads(text)
    return next((told[name] for name in JSON_LABELS if name in told), None) if isinstance(told, dict) else told


def _class_names(shards: Sequence[Path]) -> list[str] | None:
    for folder in (shards[0].parent, shards[0].absolute().parent.parent):
        file = folder / CLASS_NAMES_FILE
        if file.is_file():
            try:
                return file.read_text(encoding="utf-8-sig").splitlines()
            except (OSError, UnicodeDecodeError) as error:
                raise BadInput(f"{file} cannot be read ({error}).") from None
    return None
