"""What kinds of files lie beside images, by their endings, and what reads the rarer kinds of images."""

from __future__ import annotations

import functools
import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

log = logging.getLogger("hashlens")

# Notes and settings, films, sounds, archives and documents.
_BESIDE_IMAGES = """
aae bak bib cfg conf csv dat db doc docx dop htm html ini json jsonl lnk log md npy npz odt on1 parquet pdf pp3
ppt pptx psb py rtf sql sqlite sum thm toml tsv txt url vtt xls xlsx xml xmp yaml yml
3gp avi flv insv lrv m2ts m4v mkv mov mp4 mpeg mpg mts ogv webm wmv aac flac m4a mp3 ogg wav
7z bz2 gz rar tar tgz xz zip svg ai eps ps
"""
_RAW = """
3fr ari arw bay cr2 cr3 crw dcr dng erf fff gpr iiq k25 kdc mef mos mrw nef nrw orf pef ptx raf raw rw2 rwl rwz
sr2 srf srw x3f
"""
BESIDE_IMAGES, RAW = frozenset(_BESIDE_IMAGES.split()), frozenset(_RAW.split())
HEIF = frozenset(("heic", "heics", "heif", "heifs", "hif"))
HEIF_BRANDS = frozenset((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"))
PIP_LINE = "pip install 'hashlens[heif]'"
NO_RAW = "raw photographs are not supported; export them as JPEG, PNG or TIFF"


def ending_of(name: str) -> str:
    """The ending of a file's name in small letters.

    Example:
        >>> ending_of("IMG_7.HEIC"), ending_of("Makefile")
        ('heic', '')
    """
    return Path(name).suffix[1:].lower()


def is_heif(raw: bytes) -> bool:
    """Whether these are the bytes of a HEIC or AVIF image.

    Example:
        >>> is_heif(bytes(4) + b"ftypheic"), is_heif(b"GIF89a")
        (True, False)
    """
    return raw[4:8] == b"ftyp" and (raw[8:12] in HEIF_BRANDS or raw[8:12] in (b"avif", b"avis"))


@functools.cache
def reads_heif() -> bool:
    """Whether HEIC images can be read; where it is installed, what reads them is made known to Pillow."""
    try:
        import pillow_heif
    except ImportError:
        return False
    pillow_heif.register_heif_opener()
    return True


@functools.cache
def reads_avif() -> bool:
    """Whether AVIF images can be read: most builds of Pillow do, for the others there is pillow-avif-plugin."""
    from PIL import features

    return bool(features.check("avif"))


def without_others(names: Iterable[Path]) -> tuple[list[Path], Counter[str]]:
    """Files that may be images, by their endings, and how many of the others have which ending.

    What has no ending, or one that is not known, may be an image.

    Example:
        >>> files, others = without_others([Path("1.jpg"), Path("1.xmp"), Path("2"), Path("2.CR2"), Path("2.xmp")])
        >>> [file.name for file in files], dict(others)
        (['1.jpg', '2'], {'xmp': 2, 'cr2': 1})
    """
    unread = BESIDE_IMAGES | RAW | (frozenset() if reads_heif() else HEIF)
    files, others = [], Counter[str]()
    for path in names:
        ending = ending_of(path.name)
        if ending in unread:
            others[ending] += 1
        else:
            files.append(path)
    return files, others


def tell_left_out(where: object, others: Counter[str]) -> None:
    """Log how many files of which kinds are left out; images that something more would read, as a warning."""
    for kinds, advice in ((RAW, NO_RAW), (HEIF, f"to read them: {PIP_LINE}")):
        if counted := _counted(others, [kind for kind in others if kind in kinds]):
            log.warning("%s: %s left out: %s", where, counted, advice)
    if counted := _counted(others, [kind for kind in others if kind not in RAW | HEIF]):
        log.info("%s: %s left out, as they are no images", where, counted)


def _counted(others: Counter[str], kinds: Sequence[str]) -> str:
    """Such as "3 .xmp, 1 .txt and 4 files of 2 other kinds"."""
    most = sorted(kinds, key=lambda kind: (-others[kind], kind))
    told = [f"{others[kind]:,} .{kind}" for kind in most[:4]]
    if rest := most[4:]:
        told.append(f"{sum(others[kind] for kind in rest):,} files of {len(rest)} other kinds")
    return " and ".join([", ".join(told[:-1]), told[-1]] if told[1:] else told)
