"""What every request must pass before anything is done for it, and what every answer carries."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import socket
from collections.abc import Iterable
from http.cookies import CookieError, SimpleCookie
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hashlens.errors import BadInput
from hashlens.service.problems import Problem, problem_response

COOKIE = "hashlens-session"
OPEN_TO_ALL = ("/", "/page/")  # the page itself holds nothing of the index
DISCARDED = 256 << 20  # bytes of a body that is too large, read and dropped so that the sender hears why
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class Gate:
    """An application behind checks of the Host header, the token and the size of the body.

    Args:
        token: that requests must show; none by default.
        hosts: names that the service may be called by, besides IP addresses and this machine's own names. A page
            elsewhere whose name is made to resolve to this machine (DNS rebinding) is refused by its name.
        body_bytes: most bytes of a request.
    """

    def __init__(self, app: ASGIApp, token: str | None, hosts: Iterable[str], body_bytes: int) -> None:
        self._app = app
        self._token = token
        self._hosts = {"localhost", socket.gethostname().lower(), *(host.lower() for host in hosts)}
        self._body_bytes = body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        try:
            self._check(scope, Headers(scope=scope))
        except Problem as problem:
            await problem_response(problem)(scope, receive, send_guarded)
            return
        limited = LimitedBody(receive, self._body_bytes, Headers(scope=scope))
        try:
            await limited.check_announced()
        except Problem as problem:
            await problem_response(problem)(scope, receive, send_guarded)
            return
        await self._app(scope, limited, send_guarded)

    def _check(self, scope: Scope, headers: Headers) -> None:
        host = headers.get("host", "")
        if not is_allowed_host(host, self._hosts):
            raise Problem(
                400, f"This service does not answer to the name {host[:100]!r}; start it with --allow-host for it."
            )
        if not scope.get("query_string", b"").isascii():
            raise Problem(400, "The address holds bytes that have no place in one; write them as %C3%A9.")
        path = scope["path"]
        is_open = path in OPEN_TO_ALL or path.startswith("/page/")
        if self._token is None or is_open or scope["method"] == "OPTIONS":
            return
        if not shows_token(headers, self._token):
            raise Problem(
                401,
                "The token is missing or wrong; send it as Authorization: Bearer TOKEN.",
                {"WWW-Authenticate": "Bearer"},
            )


class LimitedBody:
    """The body of a request, which ends with a refusal when it grows too large."""

    def __init__(self, receive: Receive, most: int, headers: Headers) -> None:
        self._receive = receive
        self._most = most
        self._headers = headers
        self._received = 0

    async def check_announced(self) -> None:
        """Refuse a body whose length, which is sent before it, is too large.

        Raises:
            Problem: it is.
        """
        announced = self._headers.get("content-length", "0")
        if announced.isascii() and announced.isdecimal() and (len(announced) > 18 or int(announced) > self._most):
            if "expect" not in self._headers:  # else the sender waits for us and has sent nothing
                await self._discard()
            raise self._too_large()

    async def __call__(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request":
            self._received += len(message.get("body", b""))
            if self._received > self._most:
                if message.get("more_body"):
                    await self._discard()
                raise self._too_large()
        return message

    async def _discard(self) -> None:
        dropped = 0
        while dropped <= DISCARDED:
            message = await self._receive()
            dropped += len(message.get("body", b""))
            if message["type"] != "http.request" or not message.get("more_body"):
                return

    def _too_large(self) -> Problem:
        return Problem(
            413, f"The request has more than the {self._most / 2**20:g} MiB that are allowed; send a smaller image."
        )


def is_allowed_host(host: str, names: Iterable[str]) -> bool:
    """Whether a Host header is an IP address or one of these names, with any port.

    Example:
        >>> [is_allowed_host(host, ["localhost"]) for host in ("localhost:8000", "[::1]:80", "evil.org")]
        [True, True, False]
    """
    try:
        name = (urlsplit(f"//{host}").hostname or "").rstrip(".")
    except ValueError:
        return False
    if name in names:
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def shows_token(headers: Headers, token: str) -> bool:
    """Whether a request carries the token, or the cookie that stands for it, compared in constant time."""
    scheme, _, given = headers.get("authorization", "").partition(" ")
    right = scheme.lower() == "bearer" and _equal(given.strip(), token)
    try:
        cookie = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        cookie = None
    return right or (cookie is not None and _equal(cookie.value, session_of(token)))


def session_of(token: str) -> str:
    """What the page's cookie holds in place of the token, which cannot be had from it."""
    return hmac.new(token.encode(), b"hashlens page", hashlib.sha256).hexdigest()


def _equal(given: str, expected: str) -> bool:
    one, other = (hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest() for text in (given, expected))
    return hmac.compare_digest(one, other)


def check_origin(origin: str) -> str:
    """An origin of pages, as browsers write it.

    Raises:
        BadInput: it is none.
    """
    parts = urlsplit(origin)
    if parts.scheme not in ("http", "https") or not parts.netloc or parts.path or parts.query:
        raise BadInput(f"{origin!r} is not an origin; write it like https://pictures.example.org.")
    return origin
