"""What goes in and out of the service, as its documentation shows it."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from hashlens.catalogue import Hit
from hashlens.codes.packing import bytes_per_code
from hashlens.service.problems import Problem
from hashlens.service.searcher import Coded, shown

MOST_HITS = 1000  # in one answer
FARTHEST = 100_000  # place in a ranking
MOST_LABELS = 100
LARGEST_ID = 2**63 - 1
LONGEST_LABEL = 1000
LONGEST_CODE = 256  # hexadecimal digits of 1024 bits
LONGEST_DETAILS = 1366  # base64url digits of 1024 bytes

ImageId = Annotated[int, Field(ge=0, le=LARGEST_ID, examples=[7])]
Label = Annotated[str, Field(max_length=LONGEST_LABEL)]


class Page(BaseModel):
    """Which part of the ranking is asked for."""

    model_config = ConfigDict(extra="forbid")

    k: int = Field(10, ge=1, le=MOST_HITS, description="Most results in the answer.")
    offset: int = Field(0, ge=0, le=FARTHEST, description="Leave out so many of the nearest.")
    radius: int | None = Field(None, ge=0, le=1024, description="Largest distance in bits, inclusive.")
    labels: list[Label] = Field(
        default=[],
        max_length=MOST_LABELS,
        description="Find only images that have one of these labels.",
    )


class Question(Page):
    """A search without an image: by the id of an indexed one, or by a code that an earlier answer told."""

    id: ImageId | None = Field(None, description="Of an image in the index, which does not find itself.")
    code: str | None = Field(
        None, max_length=LONGEST_CODE, pattern="^[0-9a-f]*$", description="As an earlier answer told it."
    )
    details: str | None = Field(
        None,
        max_length=LONGEST_DETAILS,
        pattern="^[A-Za-z0-9_-]*$",
        description="Of the code, as the same answer told them; without them, distances alone decide.",
    )


class Result(BaseModel):
    """One image that was found."""

    rank: int = Field(description="From 1.", examples=[1])
    distance: int = Field(description="In bits that differ.", examples=[3])
    id: int = Field(examples=[7])
    path: str = Field(description="Of the file, or of the table and the row.", examples=["/photos/boots/12.jpg"])
    labels: list[str] = Field(examples=[["boots"]])


class Query(BaseModel):
    """What was searched with."""

    code: str = Field(
        description="Packed code in hexadecimal digits; search with it for more, without the image.",
        examples=["9f3c00a1b2c3d4e5"],
    )
    details: str | None = Field(
        None,
        description="What orders results that the code cannot tell apart; send it with the code.",
        examples=["fwDBA38gkH-BAAECf4A"],
    )
    id: int | None = Field(None, description="Where it is an image of the index.", examples=[None])


class Found(BaseModel):
    """The answer to a search."""

    query: Query
    results: list[Result]
    more: bool = Field(description="Whether there may be results beyond these.")


class Unread(BaseModel):
    """An image of several that could not be searched with."""

    error: str = Field(examples=["cut.jpg cannot be used: damaged or truncated (image file is truncated)."])


class FoundForEach(BaseModel):
    """Answers in the order of the images."""

    answers: list[Found | Unread]


class Health(BaseModel):
    """What is served."""

    status: Literal["ok"] = "ok"
    index: str = Field(description="Name of the index's folder.", examples=["photos-index"])
    images: int = Field(examples=[20_000])
    bits: int = Field(examples=[64])
    model: str = Field(examples=["orthohash, efficientnet_lite0 at 224 pixels"])
    takes_images: bool = Field(description="Whether one can search with an image, not by id or code alone.")
    labelled: bool = Field(description="Whether any image has a label.")
    body_bytes: int = Field(description="Most bytes of a request.", examples=[33_554_432])
    version: str = Field(description="Of HashLens.", examples=["0.1.0"])


class LabelCount(BaseModel):
    """A label and how many images have it."""

    name: str = Field(examples=["boots"])
    images: int = Field(examples=[1200])


class Labels(BaseModel):
    """Labels of the index."""

    labels: list[LabelCount]


class ImageFacts(BaseModel):
    """What is known of an image in the index."""

    id: int = Field(examples=[7])
    path: str = Field(examples=["/photos/boots/12.jpg"])
    labels: list[str] = Field(examples=[["boots"]])


class Images(BaseModel):
    """Images of the index."""

    images: list[ImageFacts]


def coded_of(code: str, details: str | None, bits: int) -> Coded:
    """The code that an earlier answer told.

    Args:
        bits: K of the index.

    Raises:
        Problem: it is of another index.

    Example:
        >>> coded_of("0f", "fwA", 8)
        Traceback (most recent call last):
        ...
        hashlens.service.problems.Problem: details are of 2 bytes, but codes of this index have 8 bits.
        >>> coded_of("0f", None, 8)
        Coded(code=array([15], dtype=uint8), details=None)
    """
    digits = 2 * bytes_per_code(bits)
    if len(code) != digits:
        raise Problem(422, f"code has {len(code)} hexadecimal digits, but codes of this index have {digits}.")
    packed = np.frombuffer(bytes.fromhex(code), np.uint8)
    if details is None:
        return Coded(packed)
    try:
        content = urlsafe_b64decode(details + "=" * (-len(details) % 4))
    except ValueError:
        raise Problem(422, "details are not base64url.") from None
    if len(content) != bits:
        raise Problem(422, f"details are of {len(content)} bytes, but codes of this index have {bits} bits.")
    return Coded(packed, np.frombuffer(content, np.int8))


def answer(coded: Coded, hits: list[Hit], more: bool, image: int | None = None) -> dict[str, Any]:
    """A :class:`Found` of these hits, as it goes out."""
    details = None if coded.details is None else urlsafe_b64encode(coded.details.tobytes()).decode().rstrip("=")
    return {
        "query": {"code": coded.code.tobytes().hex(), "details": details, "id": image},
        "results": [
            {
                "rank": hit.rank,
                "distance": hit.distance,
                "id": hit.id,
                "path": shown(hit.path),
                "labels": [shown(label) for label in hit.labels],
            }
            for hit in hits
        ],
        "more": more,
    }
