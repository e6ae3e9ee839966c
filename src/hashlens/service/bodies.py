"""What goes in and out of the service, as its documentation shows it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from hashlens.catalogue import Hit
from hashlens.service.searcher import shown

MOST_HITS = 1000  # in one answer
FARTHEST = 100_000  # place in a ranking
MOST_LABELS = 100
LARGEST_ID = 2**63 - 1
LONGEST_LABEL = 1000
LONGEST_CODE = 256  # hexadecimal digits of 1024 bits

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
        None, max_length=LONGEST_CODE, pattern="^[0-9a-f]*$", description="Packed code in hexadecimal digits."
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


def answer(code: NDArray[np.uint8], hits: list[Hit], more: bool, image: int | None = None) -> dict[str, Any]:
    """A :class:`Found` of these hits, as it goes out."""
    return {
        "query": {"code": code.tobytes().hex(), "id": image},
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
