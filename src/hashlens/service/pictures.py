"""Images of the index and their thumbnails, read again from wherever they were indexed."""

from __future__ import annotations

import asyncio
import hashlib
import io
from concurrent.futures import ThreadPoolExecutor
from html import escape

from PIL import Image
from starlette.responses import Response

from hashlens.catalogue import Catalogue, Entry
from hashlens.compute.threads import available_threads
from hashlens.errors import NotFound
from hashlens.service.problems import Problem
from hashlens.sources import UnreadableImage, decode
from hashlens.sources.decoding import Raw, check_size, opened
from hashlens.sources.locations import Locations

# What browsers show as it is; everything else goes out as PNG.
SHOWN_AS_THEY_ARE = {
    "JPEG": "image/jpeg",
    "PNG": "image/png",
    "GIF": "image/gif",
    "WEBP": "image/webp",
    "BMP": "image/bmp",
}
# Short, as an image that is indexed again keeps its id; after that, ETags save work.
CACHED = "private, max-age=300"
LOSSLESS_SIDE = 96  # pixels, up to which a thumbnail is a PNG, which is then smaller or as small
QUALITY = 84
TILE = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 320 320" width="{size}" height="{size}">
<rect width="320" height="320" fill="#8a8f98" fill-opacity=".22"/>
<g fill="none" stroke="#8a8f98" stroke-width="6" stroke-linecap="round"
stroke-linejoin="round">
<rect x="106" y="84" width="108" height="84" rx="10"/>
<path d="m112 156 30-32 22 20 20-16 26 28M92 188 228 64"/></g>
<text x="160" y="222" fill="#8a8f98"
font-family="system-ui,sans-serif" font-size="20" text-anchor="middle">{text}</text>
</svg>
"""


class Pictures:
    """Images of a catalogue by their ids, made ready for a browser by a few threads of their own.

    Args:
        catalogue: knows where each image is, and what it was like when it was indexed.
    """

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._locations = Locations()
        self._threads = ThreadPoolExecutor(available_threads() + 2, thread_name_prefix="hashlens-picture")

    def close(self) -> None:
        """Let go of the threads."""
        self._threads.shutdown(cancel_futures=True)

    async def image(self, image: int, known: str = "") -> Response:
        """An image as it was indexed.

        Args:
            image: its id.
            known: If-None-Match of the request.

        Raises:
            Problem: it is not in the index, or gone or changed since it was indexed.
        """
        return await self._run(self._image, image, known)

    async def thumbnail(self, image: int, size: int, known: str = "") -> Response:
        """An image that is no longer than ``size`` on its longer side; never enlarged.

        Where the image is gone, or changed since it was indexed, this is a grey tile that says so.

        Args:
            image, known: as for :meth:`image`.

        Raises:
            Problem: it is not in the index.
        """
        return await self._run(self._thumbnail, image, size, known)

    async def _run(self, function, *arguments) -> Response:  # type: ignore[no-untyped-def]
        return await asyncio.get_running_loop().run_in_executor(self._threads, function, *arguments)

    def _image(self, image: int, known: str) -> Response:
        entry = entry_of(self._catalogue, image)
        tag = _tag(entry, "image")
        try:
            raw = self._read(entry)
        except UnreadableImage as error:
            raise Problem(404, f"The image {image} cannot be shown: {error}.") from None
        if tag in known:
            return _unchanged(tag)
        try:
            content, kind = _for_browsers(raw)
        except UnreadableImage as error:
            raise Problem(404, f"The image {image} cannot be shown: {error}.") from None
        return Response(content, media_type=kind, headers={"ETag": tag, "Cache-Control": CACHED})

    def _thumbnail(self, image: int, size: int, known: str) -> Response:
        entry = entry_of(self._catalogue, image)
        tag = _tag(entry, f"thumbnail {size}")
        try:
            raw = self._read(entry)
            if tag in known:
                return _unchanged(tag)
            content, kind = shrunk(raw, size)
        except UnreadableImage as error:
            return Response(tile(str(error), size), media_type="image/svg+xml")  # not kept: it may come back
        return Response(content, media_type=kind, headers={"ETag": tag, "Cache-Control": CACHED})

    def _read(self, entry: Entry) -> Raw:
        """The item that was indexed.

        Raises:
            UnreadableImage: it is gone, or there is something else now.
        """
        source, item = self._locations.find(entry.path)
        if source.feature_dimension is not None:
            raise UnreadableImage("a feature, not an image")
        if source.fingerprint(item) != entry.fingerprint:
            raise UnreadableImage("changed since indexing")
        return source.read(item)


def entry_of(catalogue: Catalogue, image: int) -> Entry:
    """What an index knows of an image.

    Raises:
        NotFound: there is no such image, or not any more.
    """
    entries = catalogue.entries([image])
    if not entries:
        raise NotFound(f"There is no image with the id {image} in the index {catalogue.name}.")
    return entries[0]


def shrunk(raw: Raw, size: int) -> tuple[bytes, str]:
    """An image that is at most ``size`` pixels on its longer side, encoded, and its media type.

    Raises:
        UnreadableImage: it cannot be decoded.

    Example:
        >>> import numpy as np
        >>> content, kind = shrunk(np.zeros((10, 400, 3), np.uint8), 200)
        >>> Image.open(io.BytesIO(content)).size, kind
        ((200, 5), 'image/jpeg')
    """
    image = decode(raw, size)
    image.thumbnail((size, size), Image.Resampling.LANCZOS)
    content = io.BytesIO()
    if max(image.size) <= LOSSLESS_SIDE:
        image.save(content, "PNG")
        return content.getvalue(), "image/png"
    image.save(content, "JPEG", quality=QUALITY)
    return content.getvalue(), "image/jpeg"


def tile(text: str, size: int) -> bytes:
    """A grey picture that says in a few words why there is none.

    Example:
        >>> b"it is gone" in tile("it is gone", 200)
        True
    """
    return TILE.format(text=escape(text[:34]), size=size).encode()


def _for_browsers(raw: Raw) -> tuple[bytes, str]:
    if isinstance(raw, bytes):
        try:
            with opened(raw) as image:
                check_size(*image.size)
                if image.format in SHOWN_AS_THEY_ARE:
                    return raw, SHOWN_AS_THEY_ARE[image.format]
        except UnreadableImage:
            raise
        except Exception:
            raise UnreadableImage("not an image any more") from None
    content = io.BytesIO()
    decode(raw).save(content, "PNG")
    return content.getvalue(), "image/png"


def _tag(entry: Entry, form: str) -> str:
    told = f"{entry.id} {entry.fingerprint} {entry.path} {form}".encode("utf-8", "surrogateescape")
    return f'"{hashlib.blake2b(told, digest_size=12).hexdigest()}"'


def _unchanged(tag: str) -> Response:
    return Response(status_code=304, headers={"ETag": tag, "Cache-Control": CACHED})
