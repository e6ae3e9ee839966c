"""What a request can do wrong, as ``application/problem+json`` (RFC 9457): one sentence and the right status."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field, ValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from hashlens.errors import BadInput, NotFound
from hashlens.files import as_shown

log = logging.getLogger("hashlens")

PROBLEM_TYPE = "application/problem+json"
LONGEST_VALUE = 60  # characters of a refused value that are repeated


class Problem(Exception):
    """A request that is refused.

    Args:
        status: of the answer.
        detail: one sentence that says what is wrong and what to do.
        headers: to answer with, such as Retry-After.

    Example:
        >>> problem_response(Problem(404, "There is no image 7.")).body
        b'{"title":"Not Found","status":404,"detail":"There is no image 7."}'
    """

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = dict(headers or {})


class ProblemBody(BaseModel):
    """How a refusal reads."""

    title: str = Field(examples=["Not Found"])
    status: int = Field(examples=[404])
    detail: str = Field(
        description="One sentence that says what is wrong and what to do.",
        examples=["There is no image with the id 99 in the index photos-index."],
    )


def problem_response(problem: Problem) -> Response:
    """A refusal as it goes out."""
    body = {"title": HTTPStatus(problem.status).phrase, "status": problem.status, "detail": problem.detail}
    content = json.dumps(body, ensure_ascii=True, separators=(",", ":")).encode()
    return Response(content, problem.status, problem.headers, PROBLEM_TYPE)


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Refusals of a route, for its documentation."""
    meaning = {
        400: "The request cannot be read.",
        401: "The token is missing or wrong.",
        404: "There is no such image or label.",
        413: "The image has too many bytes or pixels.",
        415: "The body is of a type that is not taken.",
        422: "A value, or the image, cannot be used.",
        503: "Too many images wait already, or the index cannot be used; try again.",
    }
    schema = {"schema": {"$ref": "#/components/schemas/ProblemBody"}}
    return {
        status: {"description": meaning[status], "content": {PROBLEM_TYPE: schema}}
        for status in sorted({400, 401, 503, *statuses})
    }


def sentence_of(error: ValidationError | RequestValidationError) -> str:
    """What the first of some refused values is, and what it should be.

    Example:
        >>> class Page(BaseModel):
        ...     k: int = Field(ge=1)
        >>> try:
        ...     Page(k=0)
        ... except ValidationError as error:
        ...     print(sentence_of(error))
        k is 0: input should be greater than or equal to 1.
    """
    first = error.errors()[0]
    name = ".".join(str(part) for part in first["loc"] if part not in ("query", "path", "body")) or "The request"
    message = first["msg"].removeprefix("Value error, ").rstrip(".")
    message = message[:1].lower() + message[1:]
    if first["type"] in ("missing", "extra_forbidden") or isinstance(first.get("input"), dict):
        return f"{name}: {message}."
    value = " ".join(as_shown(first.get("input")).split())
    value = value if len(value) <= LONGEST_VALUE else value[:LONGEST_VALUE] + "…"
    return f"{name} is {value or 'empty'}: {message}."


def answer_problems(app: FastAPI) -> None:
    """Make an application answer every refusal, its own and those of the catalogue, in this form."""

    async def refused(_request: Request, error: Exception) -> Response:
        assert isinstance(error, Problem)
        return problem_response(error)

    async def invalid(_request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return problem_response(Problem(422, sentence_of(error)))

    async def not_found(_request: Request, error: Exception) -> Response:
        return problem_response(Problem(404, str(error)))

    async def unusable(_request: Request, error: Exception) -> Response:
        log.error(str(error))  # which names paths of this machine, and of engines
        told = "The index cannot be used; the log of the service says why."
        return problem_response(Problem(503, told, {"Retry-After": "5"}))

    async def http(_request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        detail = {
            404: "There is nothing at this address; /openapi.json says what there is.",
            405: "This address does not take this method; /openapi.json says which it takes.",
        }.get(error.status_code, f"{str(error.detail).rstrip('.')}.")
        return problem_response(Problem(error.status_code, detail, error.headers))

    async def defect(_request: Request, _error: Exception) -> Response:
        return problem_response(Problem(500, "This is a defect of ours; the log of the service says more."))

    app.add_exception_handler(Problem, refused)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(NotFound, not_found)
    app.add_exception_handler(BadInput, unusable)  # what a caller gave is checked before the index is asked
    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(Exception, defect)
