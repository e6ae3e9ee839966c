"""The service as an ASGI application: REST, and the page that uses it."""

from __future__ import annotations

import importlib.metadata
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

from fastapi import FastAPI, Header, Query, Request
from fastapi.middleware.cors import CORSMiddleware
from starlette.middleware import Middleware
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.staticfiles import StaticFiles

from hashlens.catalogue import Catalogue
from hashlens.service import bodies
from hashlens.service.gate import COOKIE, Gate, check_origin, session_of
from hashlens.service.measurements import TEXT_TYPE, Measured, Measurements
from hashlens.service.pictures import Pictures, entry_of
from hashlens.service.problems import PROBLEM_TYPE, ProblemBody, answer_problems, documented
from hashlens.service.requests import BATCH_BODY, SEARCH_BODY, batch_request, search_request
from hashlens.service.searcher import Coded, Searcher, shown, unreadable

PAGE = Path(__file__).parent / "page"
BODY_BYTES = 32 << 20
WAITING = 256
FRESH = 2.0  # seconds that a count of all images holds
SESSION_SECONDS = 30 * 24 * 3600
PICTURE = {"schema": {"type": "string", "format": "binary"}}
SHOWN_TYPES = ("image/jpeg", "image/png", "image/gif", "image/webp", "image/bmp")

PageOfRanking = Annotated[bodies.Page, Query()]


def create_app(
    catalogue: Catalogue,
    token: str | None = None,
    hosts: Sequence[str] = (),
    origins: Sequence[str] = (),
    body_bytes: int = BODY_BYTES,
    waiting: int = WAITING,
    device: str | None = None,
) -> FastAPI:
    """The service for an index, for any ASGI server; :func:`hashlens.service.serve` runs one.

    Args:
        catalogue: is searched as it is at each moment; updates by other processes are noticed.
        token: that requests must show; none by default.
        hosts: names that the service may be called by, besides IP addresses, localhost and this machine's name.
        origins: pages elsewhere that may ask from a browser (CORS), such as ``https://pictures.example.org``.
        body_bytes: most bytes of a request.
        waiting: most images that may wait to be encoded at a time; more are answered with 503.
        device: to encode on, see :meth:`hashlens.HashModel.encoder`.

    Raises:
        BadInput: the model in the index cannot be used, or an origin is none.

    Example:
        >>> import tempfile, numpy as np, hashlens as hl
        >>> from fastapi.testclient import TestClient
        >>> x = np.random.default_rng(0).normal(size=(60, 8)).astype(np.float32)
        >>> source = hl.sources.FeatureArray("mine", x, np.arange(60) % 2, ["cat", "dog"])
        >>> model = hl.fit(source, "orthohash", bits=16, epochs=1, device="cpu")
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     catalogue = hl.Catalogue.create(folder, model)
        ...     _ = catalogue.update(source)
        ...     with TestClient(create_app(catalogue), base_url="http://localhost") as client:
        ...         client.get("/health").json()["images"]
        ...         [found["rank"] for found in client.post("/search", json={"id": 7, "k": 3}).json()["results"]]
        60
        [1, 2, 3]
    """
    allowed = [check_origin(origin) for origin in origins]
    searcher = Searcher(catalogue, waiting, device)
    pictures = Pictures(catalogue)
    measurements = Measurements()
    counted = _Counted(searcher)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        yield
        pictures.close()
        searcher.close()

    middleware = [
        Middleware(Measured, measurements=measurements),
        Middleware(Gate, token=token, hosts=hosts, body_bytes=body_bytes),
    ]
    if allowed:
        middleware.insert(
            1,
            Middleware(CORSMiddleware, allow_origins=allowed, allow_methods=["GET", "POST"], allow_headers=["*"]),
        )
    app = FastAPI(
        title="HashLens",
        description=f"Search images by image in {catalogue.name}.",
        version=importlib.metadata.version("hashlens"),
        docs_url=None,  # it would load programs from elsewhere
        redoc_url=None,
        lifespan=lifespan,
        middleware=middleware,
    )
    answer_problems(app)

    async def nearest(code: Coded, asked: bodies.Page) -> dict[str, Any]:
        wanted = asked.k, asked.labels, asked.offset, asked.radius
        hits = await searcher.by_code(code, wanted[0] + 1, *wanted[1:])
        return bodies.answer(code, hits[: asked.k], len(hits) > asked.k)

    @app.get("/health", response_model=bodies.Health, responses=documented())
    async def health() -> JSONResponse:
        """What is served, and that it is."""
        images, labelled = await counted.get()
        return JSONResponse(
            {
                "status": "ok",
                "index": catalogue.name,
                "images": images,
                "bits": catalogue.bits,
                "model": searcher.model,
                "takes_images": searcher.takes_images,
                "labelled": labelled,
                "body_bytes": body_bytes,
                "version": app.version,
            }
        )

    @app.post(
        "/search",
        response_model=bodies.Found,
        responses=documented(404, 413, 415, 422),
        openapi_extra={"requestBody": SEARCH_BODY},
    )
    async def search(request: Request, page: PageOfRanking) -> JSONResponse:
        """The images nearest to an image, to an image of the index, or to a code."""
        image, asked = await search_request(request, page)
        if image is not None:
            (code,) = await searcher.encode([image])
            if isinstance(code, str):
                raise unreadable("The image", code)
            return JSONResponse(await nearest(code, asked))
        if asked.code is not None:
            return JSONResponse(await nearest(bodies.coded_of(asked.code, asked.details, catalogue.bits), asked))
        assert asked.id is not None
        own = await searcher.ask(entry_of, catalogue, asked.id)  # first: if it goes now, the search tells
        hits = await searcher.by_id(asked.id, asked.k + 1, asked.labels, asked.offset, asked.radius)
        return JSONResponse(bodies.answer(Coded(own.code), hits[: asked.k], len(hits) > asked.k, asked.id))

    @app.post(
        "/search/batch",
        response_model=bodies.FoundForEach,
        responses=documented(404, 413, 415, 422),
        openapi_extra={"requestBody": BATCH_BODY},
    )
    async def search_batch(request: Request, page: PageOfRanking) -> JSONResponse:
        """The same for several images; those that cannot be read are answered with the reason."""
        images, asked = await batch_request(request, page)
        codes = await searcher.encode([content for _, content in images])
        answers = []
        for (name, _), code in zip(images, codes, strict=True):
            if isinstance(code, str):
                answers.append({"error": unreadable(shown(name), code).detail})
            else:
                answers.append(await nearest(code, asked))
        return JSONResponse({"answers": answers})

    @app.get("/images", response_model=bodies.Images, responses=documented(422))
    async def images(limit: Annotated[int, Query(ge=1, le=100)] = 24) -> JSONResponse:
        """Some images of the index, drawn at random, to begin with."""
        ids = await searcher.ask(catalogue.sample, limit)
        found = await searcher.ask(catalogue.entries, ids)
        return JSONResponse({"images": [_facts(entry) for entry in found]})

    @app.get(
        "/images/{id}",
        response_class=Response,
        responses={200: {"content": dict.fromkeys(SHOWN_TYPES, PICTURE)}, 304: {}, **documented(404, 422)},
    )
    async def image(id: bodies.ImageId, if_none_match: Annotated[str, Header()] = "") -> Response:
        """An image as it was indexed, if it is still there."""
        return await pictures.image(id, if_none_match)

    @app.get(
        "/images/{id}/thumbnail",
        response_class=Response,
        responses={
            200: {"content": dict.fromkeys(("image/jpeg", "image/png", "image/svg+xml"), PICTURE)},
            304: {},
            **documented(404, 422),
        },
    )
    async def thumbnail(
        id: bodies.ImageId,
        size: Annotated[int, Query(ge=16, le=1024, description="Most pixels on the longer side.")] = 256,
        if_none_match: Annotated[str, Header()] = "",
    ) -> Response:
        """A small version of an image; where it is gone or changed, a grey tile (SVG) that says so."""
        return await pictures.thumbnail(id, size, if_none_match)

    @app.get("/images/{id}/facts", response_model=bodies.ImageFacts, responses=documented(404, 422))
    async def facts(id: bodies.ImageId) -> JSONResponse:
        """Path and labels of an image."""
        return JSONResponse(_facts(await searcher.ask(entry_of, catalogue, id)))

    @app.get("/labels", response_model=bodies.Labels, responses=documented(422))
    async def labels(
        prefix: Annotated[
            str, Query(max_length=200, description="Part of a name; names that begin so first.")
        ] = "",
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    ) -> JSONResponse:
        """Labels and how many images have each."""
        found = await searcher.ask(catalogue.labels, prefix, limit)
        return JSONResponse({"labels": [{"name": shown(name), "images": count} for name, count in found.items()]})

    @app.get(
        "/metrics",
        response_class=Response,
        responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}, **documented()},
    )
    async def metrics() -> Response:
        """Requests, latencies and size, as Prometheus reads them."""
        images, _ = await counted.get()
        gauges = {"hashlens_images": images, "hashlens_images_waiting": searcher.waiting}
        return Response(measurements.text(gauges), media_type=TEXT_TYPE)

    @app.post("/session", status_code=204, response_class=Response, responses=documented())
    async def session(request: Request) -> Response:
        """For the page: the token that the request shows, as a cookie that no program can read."""
        response = Response(status_code=204)
        if token is not None:
            response.set_cookie(
                COOKIE,
                session_of(token),
                max_age=SESSION_SECONDS,
                secure=request.url.scheme == "https",
                httponly=True,
                samesite="strict",
            )
        return response

    @app.get("/", include_in_schema=False)
    async def page() -> FileResponse:
        return FileResponse(PAGE / "index.html", headers={"Cache-Control": "no-cache"})

    app.mount("/page", _Files(directory=PAGE), name="page")
    _document_problems(app)
    return app


class _Files(StaticFiles):
    """The files of the page, which a browser asks for anew each time and mostly has already."""

    def file_response(self, *arguments: Any, **options: Any) -> Response:
        response = super().file_response(*arguments, **options)
        response.headers["Cache-Control"] = "no-cache"
        return response


class _Counted:
    """How many images the index has, and whether any has a label; counted again when that is a while ago."""

    def __init__(self, searcher: Searcher) -> None:
        self._searcher = searcher
        self._found = 0, False
        self._until = 0.0

    async def get(self) -> tuple[int, bool]:
        if time.monotonic() > self._until:
            self._found = await self._searcher.ask(self._count)
            self._until = time.monotonic() + FRESH
        return self._found

    def _count(self) -> tuple[int, bool]:
        catalogue = self._searcher.catalogue
        return len(catalogue), bool(catalogue.labels("", 1))


def _facts(entry: Any) -> dict[str, Any]:
    return {"id": entry.id, "path": shown(entry.path), "labels": [shown(label) for label in entry.labels]}


def _document_problems(app: FastAPI) -> None:
    """Put the form of refusals into the documentation, in place of the one that FastAPI would describe."""
    document = app.openapi()
    schemas = document["components"]["schemas"]
    schemas["ProblemBody"] = ProblemBody.model_json_schema()
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    assert PROBLEM_TYPE in str(document["paths"]["/search"])
