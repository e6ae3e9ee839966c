"""Searching with images in a service that runs already, here or elsewhere: it has the model loaded."""

from __future__ import annotations

import io
import json
import secrets
from collections.abc import Iterator, Sequence
from contextlib import closing
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from hashlens.catalogue.catalogue import Answers, Hit
from hashlens.errors import BadInput, first_line
from hashlens.sources import Skipped, Source, as_source
from hashlens.sources.decoding import Raw, UnreadableImage, decode

SECONDS = 120  # until a service must have answered
IMAGES_AT_ONCE, BYTES_AT_ONCE = 16, 8 << 20
ROOM = 1000  # bytes of a form around each image
UNUSABLE = "The image cannot be used: "  # as a service says, before the reason


def search_service(
    address: str,
    items: Sequence[Any],
    k: int = 10,
    labels: Sequence[str] = (),
    rescore: bool = True,
    token: str | None = None,
) -> Answers:
    """The images nearest to images in the index that a service serves.

    Args:
        address: of the service, as ``hashlens serve`` tells it.
        items: sources of images, or what :func:`hashlens.sources.as_source` makes them of.
        k: results for each.
        labels: find only images with one of these.
        rescore: order the nearest by their details, where the index keeps them.
        token: of the service, if it wants one; see :func:`hashlens.tokens.own_token`.

    Returns:
        The answers, without ties, which a service does not tell. Paths are those of the machine that serves.

    Raises:
        BadInput: there is no service, it refuses, or what is searched with are no images.

    Example:
        >>> search_service("http://127.0.0.1:9", ["query.jpg"])
        Traceback (most recent call last):
        ...
        hashlens.errors.BadInput: No service answers at http://127.0.0.1:9 (Connection refused); start one with \
hashlens serve.
    """
    answers: list[tuple[str, list[Hit]]] = []
    skipped: list[Skipped] = []
    with closing(_Service(address, token)) as service:
        most = service.most_bytes()
        for source in map(as_source, items):
            if source.feature_dimension is not None:
                raise BadInput(f"{source.name} holds features, but a service is searched with images.")
            for batch in _batches(source, most - ROOM, skipped):
                asked = {"k": k, "labels": list(labels)}
                found = service.search_batch([content for _, content in batch], asked)
                for (item, _), answer in zip(batch, found, strict=True):
                    if "error" in answer:
                        reason = str(answer["error"]).removeprefix(UNUSABLE).rstrip(".")
                        skipped.append(Skipped(item, source.key(item), reason))
                        continue
                    if not rescore and answer["query"]["details"] is not None:
                        answer = service.search({"code": answer["query"]["code"], **asked})
                    answers.append((source.location(item), [_hit(result) for result in answer["results"]]))
    return Answers(answers, skipped)


def _batches(source: Source, most: int, skipped: list[Skipped]) -> Iterator[list[tuple[int, bytes]]]:
    """Images with their numbers, as many at a time as a request may well hold; what has no place is skipped."""
    batch: list[tuple[int, bytes]] = []
    size = 0
    for item in range(len(source)):
        try:
            content = _as_file(source.read(item))
        except UnreadableImage as error:
            skipped.append(Skipped(item, source.key(item), str(error)))
            continue
        if len(content) > most:
            skipped.append(Skipped(item, source.key(item), f"over the {most / 2**20:.3g} MiB of a request"))
            continue
        if len(batch) == IMAGES_AT_ONCE or (batch and size + len(content) + ROOM > min(most, BYTES_AT_ONCE)):
            yield batch
            batch, size = [], 0
        batch.append((item, content))
        size += len(content) + ROOM
    if batch:
        yield batch


def _as_file(raw: Raw) -> bytes:
    if isinstance(raw, bytes):
        return raw
    content = io.BytesIO()
    decode(raw).save(content, "PNG")
    return content.getvalue()


def _hit(result: dict[str, Any]) -> Hit:
    rank, distance, path, image = (result[name] for name in ("rank", "distance", "path", "id"))
    return Hit(rank, distance, path, tuple(result["labels"]), image)


class _Service:
    """One connection to a service."""

    def __init__(self, address: str, token: str | None) -> None:
        self._address = address
        try:
            parts = urlsplit(address)
            if not parts.hostname or parts.query or parts.fragment or parts.username:
                raise ValueError
            connection = HTTPSConnection if parts.scheme == "https" else HTTPConnection
            self._connection = connection(parts.hostname, parts.port, timeout=SECONDS)
        except (ValueError, HTTPException):
            raise BadInput(
                f"'{address}' is no address of a service; write it like http://127.0.0.1:8000."
            ) from None
        self._path = quote(parts.path.rstrip("/"), safe="/%")
        self._headers = {} if token is None else {"Authorization": f"Bearer {token}"}

    def most_bytes(self) -> int:
        """Most bytes of a request."""
        health = self._asked("GET", "/health")
        if not isinstance(health.get("body_bytes"), int) or "takes_images" not in health:
            raise BadInput(f"What answers at {self._address} is no service of HashLens.")
        if not health["takes_images"]:
            raise BadInput(f"The index at {self._address} is of features, which are not searched with images.")
        return health["body_bytes"]

    def search(self, question: dict[str, Any]) -> dict[str, Any]:
        """The answer to a question without an image."""
        return self._asked("POST", "/search", json.dumps(question).encode(), "application/json")

    def search_batch(self, images: Sequence[bytes], asked: dict[str, Any]) -> list[dict[str, Any]]:
        """An answer for each image."""
        mark = secrets.token_hex(16)
        head = f'--{mark}\r\nContent-Disposition: form-data; name="image"; filename="The image"\r\n\r\n'.encode()
        body = b"".join(head + image + b"\r\n" for image in images) + f"--{mark}--\r\n".encode()
        path = f"/search/batch?{urlencode(asked, doseq=True)}"
        return self._asked("POST", path, body, f"multipart/form-data; boundary={mark}")["answers"]

    def close(self) -> None:
        """Let go of the connection."""
        self._connection.close()

    def _asked(self, method: str, path: str, body: bytes = b"", kind: str = "") -> dict[str, Any]:
        headers = {**self._headers, "Content-Type": kind} if kind else self._headers
        try:
            self._connection.request(method, self._path + path, body or None, headers)
            response = self._connection.getresponse()
            content = response.read()
        except (OSError, HTTPException, UnicodeError) as error:
            said = first_line(error, getattr(error, "strerror", None) or str(error))
            raise BadInput(
                f"No service answers at {self._address} ({said}); start one with hashlens serve."
            ) from None
        try:
            found = json.loads(content)
            if response.status == 200 and isinstance(found, dict):
                return found
            refusal = str(found["detail"])
        except (ValueError, KeyError, TypeError, RecursionError):
            raise BadInput(
                f"What answers at {self._address} is no service of HashLens (status {response.status})."
            ) from None
        hint = " (--token-file FILE or HASHLENS_TOKEN says it)" if response.status == 401 else ""
        raise BadInput(f"The service at {self._address} refuses{hint}: {refusal}")
