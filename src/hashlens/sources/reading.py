"""Images that cannot be read: finding them, and telling of them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from hashlens.cache import cache_folder
from hashlens.compute.threads import available_threads
from hashlens.counting import counted
from hashlens.files import replacing
from hashlens.progress import Progress, silence
from hashlens.sources.decoding import UnreadableImage
from hashlens.sources.source import Skipped, Source

LISTED = 5  # lines of a listing

log = logging.getLogger("hashlens")


def find_unreadable(source: Source, progress: Progress | None = None) -> list[Skipped]:
    """Try to decode every image; return those that fail, in their order.

    Args:
        progress: told of every image; silent by default.

    Example:
        >>> from hashlens.sources import as_source
        >>> [str(skipped) for skipped in find_unreadable(as_source([b"", b"words"]))]
        ['image #0: the file is empty', 'image #1: not an image in a format that can be read']
    """

    def check(item: int) -> Skipped | None:
        try:
            source.image(item, shortest_side=32)
        except UnreadableImage as error:
            return Skipped(item, source.key(item), str(error))
        return None

    found = []
    watch = (progress or silence)("Checking images", len(source))
    with ThreadPoolExecutor(available_threads()) as pool, watch as advance:
        for result in pool.map(check, range(len(source))):
            advance()
            if result:
                found.append(result)
    return found


def tell_skipped(skipped: Sequence[Skipped]) -> None:
    """Log how many images were left out, and the first five with the reasons; of more, all go to a file."""
    if not skipped:
        return
    listed = "".join(f"\n  {one}" for one in skipped[:LISTED])
    if len(skipped) > LISTED:
        listed += f"\n  and {len(skipped) - LISTED:,} more{_whole_list(skipped)}"
    of_them = "of the images cannot be read and"
    log.warning("%s:%s", counted(len(skipped), f"{of_them} is left out", f"{of_them} are left out"), listed)


def _whole_list(skipped: Sequence[Skipped]) -> str:
    """Where all of them are listed; empty if the disk refuses it."""
    file = cache_folder() / "skipped.txt"
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with replacing(file) as temporary:
            temporary.write_text("".join(f"{one}\n" for one in skipped), encoding="utf-8", errors="surrogateescape")
    except OSError:
        return ""
    return f"; all of them are listed in {file}"
