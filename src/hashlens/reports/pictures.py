"""Thumbnails, links and names, as pages show them."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from PIL import Image

from hashlens.files import as_shown, replacing
from hashlens.sources import UnreadableImage
from hashlens.sources.locations import Locations, file_of

if TYPE_CHECKING:
    from jinja2 import Environment

AFTER_SEPARATORS = re.compile(r"(?<=[/\\_.#·-])(?=[^\s/\\_.#·-])")  # where a long name may be broken


@dataclass(frozen=True)
class Picture:
    """One picture of a page.

    Attributes:
        data: the image, as an address that holds it; empty where it cannot be read.
        caption: distance and labels, in a line.
        path: where it is.
        link: the address of its file; empty where there is none.
        missing: why there is no image.
        relevant: of a result, whether it is relevant, if that is known.
        apart: of a result that is not, how far its class is from the query's, in [0, 1], if that is known.

    Example:
        >>> Picture("", "3 · cat", "/photos/cat/7.jpg", missing="it is gone").alt
        '3 · cat, 7.jpg (it is gone)'
    """

    data: str
    caption: str
    path: str
    link: str = ""
    missing: str = ""
    relevant: bool | None = None
    apart: float | None = None

    @property
    def name(self) -> str:
        """The last part of the path."""
        return PurePath(self.path).name

    @property
    def alt(self) -> str:
        """What it is, in words."""
        said = {True: "relevant: ", False: "not relevant: ", None: ""}[self.relevant]
        return f"{said}{self.caption}, {self.name}" + (f" ({self.missing})" if self.missing else "")


def picture_at(
    locations: Locations, path: str, caption: str, fingerprint: tuple[int, int] | None = None, side: int = 192
) -> Picture:
    """The picture of what a source said is at a path.

    Args:
        fingerprint: of it when it was indexed; another one now is told.
        side: most pixels of the thumbnail.
    """
    try:
        source, item = locations.find(path)
        changed = fingerprint is not None and source.fingerprint(item) != fingerprint
        data = thumbnail(source.image(item, side), side) if source.feature_dimension is None else ""
    except UnreadableImage as error:
        return Picture("", caption, path, link_to(path), str(error))
    caption += " · changed since it was indexed" if changed else ""
    return Picture(data, caption, path, link_to(path), "" if data else "a feature")


def thumbnail(image: Image.Image, side: int) -> str:
    """An image made small, as an address that holds it.

    Example:
        >>> thumbnail(Image.new("RGB", (300, 200)), 96)[:22]
        'data:image/jpeg;base64'
    """
    image.thumbnail((side, side))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=85)
    return embedded(buffer.getvalue(), "jpeg")


def embedded(content: bytes, kind: str) -> str:
    """An address that holds an image."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"


def link_to(path: str) -> str:
    """The address of the file that something is in, if that is there.

    Example:
        >>> link_to("/nowhere/7.jpg"), link_to("digits:test#7")
        ('', '')
    """
    file = file_of(path)
    return file.absolute().as_uri() if file is not None and file.exists() else ""


def made_by(command: str = "", seed: int | None = None) -> dict[str, Any]:
    """What a page tells of how it came about: version, time, seed and command."""
    told: dict[str, Any] = {
        "HashLens": version("hashlens"),
        "written": datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z"),
    }
    if seed is not None:
        told["seed"] = seed
    return told | ({"command": command} if command else {})


def write_html(path: Path, template: str, content: Mapping[str, Any]) -> None:
    """Fill in a template of this room; the folder is made if need be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        temporary.write_text(_environment().get_template(template).render(content), encoding="utf-8")


def _environment() -> Environment:
    import jinja2
    from markupsafe import Markup, escape

    environment = jinja2.Environment(loader=jinja2.PackageLoader("hashlens.reports", "."), autoescape=True)
    environment.filters["shown"] = as_shown
    environment.filters["breakable"] = lambda text: Markup("<wbr>").join(
        escape(part) for part in AFTER_SEPARATORS.split(as_shown(text))
    )
    return environment
