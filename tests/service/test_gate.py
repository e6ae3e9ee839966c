"""Who is let in, and what every answer carries."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from serving import png, running

import hashlens as hl
from hashlens.errors import BadInput
from hashlens.service import create_app

pytestmark = pytest.mark.usefixtures("one_thread")

TOKEN = "correct-horse-battery-staple"
RIGHT = {"Authorization": f"Bearer {TOKEN}"}
ELSEWHERE = "https://pictures.example.org"


@pytest.fixture(scope="module")
def guarded(catalogue: hl.Catalogue) -> Iterator[str]:
    app = create_app(catalogue, token=TOKEN, hosts=["pictures.local"], origins=[ELSEWHERE], device="cpu")
    with running(app) as address:
        yield address


@pytest.fixture
def client(guarded: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=guarded) as client:
        yield client


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": "Bearer"},
        {"Authorization": TOKEN},
        {"Authorization": f"Basic {TOKEN}"},
        {"Authorization": f"Bearer {TOKEN}x"},
        {"Authorization": "Bearer \xff".encode("latin-1")},
        {"Cookie": f"hashlens-session={TOKEN}"},
        {"Cookie": "hashlens-session=\xff; ;;=".encode("latin-1")},
    ],
)
def test_without_the_token_nothing_of_the_index_is_told(client: httpx.Client, headers: dict) -> None:
    for path in ("/health", "/images/1", "/images/1/thumbnail", "/labels", "/metrics", "/openapi.json", "/nowhere"):
        response = client.get(path, headers=headers)
        assert response.status_code == 401
        assert response.headers["www-authenticate"] == "Bearer"
        assert response.headers["content-type"] == "application/problem+json"
    assert client.post("/search", json={"id": 1}, headers=headers).status_code == 401
    assert client.post("/session", headers=headers).status_code == 401
    assert client.get("/", headers=headers).status_code == 200  # the page, which asks for the token
    assert client.get("/page/main.js", headers=headers).status_code == 200


def test_the_token_opens(client: httpx.Client) -> None:
    assert client.get("/health", headers=RIGHT).json()["status"] == "ok"
    assert client.post("/search", files={"image": png()}, headers=RIGHT).status_code == 200


def test_the_page_gets_a_cookie_that_does_not_tell_the_token(client: httpx.Client) -> None:
    response = client.post("/session", headers=RIGHT)
    cookie = response.headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=strict" in cookie and TOKEN not in cookie
    assert client.get("/images/1/thumbnail").status_code == 200  # the client sends the cookie from now on


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("127.0.0.1:1234", 200),
        ("[::1]:80", 200),
        ("192.168.1.7", 200),
        ("pictures.local", 200),
        ("Pictures.Local.:8000", 200),
        ("evil.example.org", 400),
        ("127.0.0.1.evil.org", 400),
        ("localhost.evil.org", 400),
        ("[", 400),
        ("", 400),
    ],
)
def test_only_known_names_are_answered_to(client: httpx.Client, host: str, status: int) -> None:
    assert client.get("/health", headers={**RIGHT, "Host": host}).status_code == status
    assert client.get("/", headers={"Host": host}).status_code == status


def test_other_pages_may_ask_only_if_they_are_named(client: httpx.Client, address: str) -> None:
    asked = {"Origin": ELSEWHERE, "Access-Control-Request-Method": "POST"}
    assert client.options("/search", headers=asked).headers["access-control-allow-origin"] == ELSEWHERE
    allowed = client.get("/health", headers={**RIGHT, "Origin": ELSEWHERE})
    assert allowed.headers["access-control-allow-origin"] == ELSEWHERE
    other = client.get("/health", headers={**RIGHT, "Origin": "https://evil.org"})
    assert "access-control-allow-origin" not in other.headers
    plain = httpx.get(f"{address}/health", headers={"Origin": ELSEWHERE})
    assert not [name for name in plain.headers if name.startswith("access-control")]


def test_an_origin_that_is_none_is_refused(catalogue: hl.Catalogue) -> None:
    for origin in ("*", "pictures.example.org", "https://pictures.example.org/page"):
        with pytest.raises(BadInput, match="is not an origin"):
            create_app(catalogue, origins=[origin])


def test_every_answer_is_guarded(client: httpx.Client) -> None:
    for response in (
        client.get("/"),
        client.get("/page/main.js"),
        client.get("/health"),
        client.get("/images/1", headers=RIGHT),
        client.get("/nowhere", headers=RIGHT),
        client.get("/health", headers={"Host": "evil.org"}),
    ):
        policy = response.headers["content-security-policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.headers["cross-origin-resource-policy"] == "same-origin"
    assert client.get("/health", headers=RIGHT).headers["cache-control"] == "no-store"
