"""Images and questions from the bodies of requests, which come in several forms."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import Request
from pydantic import ValidationError
from starlette.datastructures import FormData, UploadFile

from hashlens.service.bodies import Page, Question
from hashlens.service.problems import Problem, sentence_of

FORM = "multipart/form-data"
JSON = "application/json"
BYTES = "application/octet-stream"
MOST_IMAGES = 64  # in one request
MOST_FIELDS = 200

PICTURE = {"type": "string", "format": "binary"}
PAGE_FIELDS = Page.model_json_schema()["properties"]
SEARCH_BODY: dict[str, Any] = {
    "required": True,
    "description": "An image, as a form with the part image or as the body itself; or JSON that names one.",
    "content": {
        FORM: {
            "schema": {"type": "object", "properties": {"image": PICTURE, **PAGE_FIELDS}, "required": ["image"]}
        },
        "image/*": {"schema": PICTURE},
        BYTES: {"schema": PICTURE},
        JSON: {
            "schema": Question.model_json_schema(),
            "examples": {
                "by id": {"value": {"id": 7, "k": 24}},
                "more of the same": {"value": {"code": "9f3c00a1b2c3d4e5", "k": 24, "offset": 24}},
                "only near boots": {"value": {"id": 7, "labels": ["boots"], "radius": 12}},
            },
        },
    },
}
BATCH_BODY: dict[str, Any] = {
    "required": True,
    "description": f"A form with 1 to {MOST_IMAGES} parts called image.",
    "content": {
        FORM: {
            "schema": {
                "type": "object",
                "properties": {
                    "image": {"type": "array", "items": PICTURE, "minItems": 1, "maxItems": MOST_IMAGES},
                    **PAGE_FIELDS,
                },
                "required": ["image"],
            }
        }
    },
}


async def search_request(request: Request, page: Page) -> tuple[bytes | None, Question]:
    """The image in a request, or ``None`` where it names one, and everything else that it says.

    Args:
        page: what the address says, which the body may say otherwise.

    Raises:
        Problem: the body is of another type, cannot be read, or does not say what to search with.
    """
    kind = _kind(request)
    if kind == FORM:
        async with form_of(request) as form:
            images, asked = await _images_and_fields(form, page)
        if len(images) != 1:
            raise Problem(422, f"The form has {len(images)} images; send one, as the part image.")
        return images[0][1], asked
    if kind == JSON:
        asked = _checked({**page.model_dump(exclude_unset=True), **await _json_object(request)})
        if (asked.id is None) == (asked.code is None):
            raise Problem(422, "Say what to search with: an id or a code, and not both.")
        return None, asked
    if kind.startswith("image/") or kind == BYTES:
        return await request.body(), _checked(page.model_dump(exclude_unset=True))
    raise Problem(415, f"The body is {kind or 'of no type'}; send {FORM}, an image (image/… or {BYTES}) or {JSON}.")


async def batch_request(request: Request, page: Page) -> tuple[list[tuple[str, bytes]], Question]:
    """The images in a form, each with its name, and what else it says; arguments and errors as above."""
    if _kind(request) != FORM:
        raise Problem(415, f"The body is {_kind(request) or 'of no type'}; send {FORM} with parts called image.")
    async with form_of(request) as form:
        images, asked = await _images_and_fields(form, page)
    if not images:
        raise Problem(422, "The form has no images; send them as parts called image.")
    return images, asked


@asynccontextmanager
async def form_of(request: Request) -> AsyncIterator[FormData]:
    """The form in a request, whose files are let go of at the end.

    Raises:
        Problem: it is not one, or has too many parts.
    """
    async with request.form(max_files=MOST_IMAGES, max_fields=MOST_FIELDS) as form:
        yield form


def _kind(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def _json_object(request: Request) -> dict[str, Any]:
    try:
        content = await request.json()
    except (ValueError, RecursionError):  # no UTF-8, no JSON, or nested without end
        raise Problem(400, "The body is not JSON.") from None
    if not isinstance(content, dict):
        raise Problem(422, 'The body is JSON, but not an object such as {"id": 7}.')
    return content


async def _images_and_fields(form: FormData, page: Page) -> tuple[list[tuple[str, bytes]], Question]:
    images: list[tuple[str, bytes]] = []
    fields: dict[str, Any] = {}
    for name, value in form.multi_items():
        if isinstance(value, UploadFile):
            if name != "image":
                raise Problem(422, f"The form has a file called {name[:60]!r}; call it image.")
            images.append((value.filename or "The image", await value.read()))
        elif name == "labels":
            fields.setdefault(name, []).append(value)
        elif name == "image":
            raise Problem(422, "The part image of the form is a text; send it as a file.")
        else:
            fields[name] = value
    return images, _checked({**page.model_dump(exclude_unset=True), **fields})


def _checked(content: dict[str, Any]) -> Question:
    try:
        return Question.model_validate(content)
    except ValidationError as error:
        raise Problem(422, sentence_of(error)) from None
