"""A stand-in of the Hugging Face Hub: what its client asks of it when models and data are sent and fetched.

python tests/hub/stand_in.py        # prints its address, and serves until it is killed

It keeps all in memory, and everything in git itself ("regular" uploads): nothing goes by way of LFS or Xet. Writing
and reading what is private take the token ``TOKEN``.
"""

from __future__ import annotations

import base64
import fnmatch
import hashlib
import json
import socket
from dataclasses import dataclass, field
from typing import Any

import uvicorn
import yaml
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

TOKEN = "hf_of_the_tests"


@dataclass
class Repository:
    private: bool
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)  # the newest is last

    def at(self, revision: str) -> tuple[str, dict[str, bytes]] | None:
        name = list(self.commits)[-1] if revision == "main" else revision
        return (name, self.commits[name]) if name in self.commits else None

    def commit(self, files: dict[str, bytes]) -> str:
        name = hashlib.sha1(f"{len(self.commits)} {sorted(files)}".encode()).hexdigest()
        self.commits[name] = files
        return name


REPOSITORIES: dict[tuple[str, str], Repository] = {}
ASKED: list[str] = []  # paths of files that were sent out


def refusal(status: int, code: str = "", message: str = "") -> Response:
    return JSONResponse(
        {"error": message or code}, status, {"X-Error-Code": code, "X-Error-Message": message or code}
    )


def may_write(request: Request) -> bool:
    return request.headers.get("authorization") == f"Bearer {TOKEN}"


def found(request: Request, kind: str) -> tuple[Repository, str, dict[str, bytes]] | Response:
    name = f"{request.path_params['user']}/{request.path_params['name']}"
    repository = REPOSITORIES.get((kind, name))
    if repository is None or (repository.private and not may_write(request)):
        return refusal(404 if may_write(request) else 401, "RepoNotFound", "Repository not found")
    at = repository.at(request.path_params.get("revision", "main"))
    return refusal(404, "RevisionNotFound") if at is None else (repository, *at)


def blob(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def card_of(files: dict[str, bytes]) -> dict[str, Any]:
    parts = files.get("README.md", b"").decode().split("---\n")
    return yaml.safe_load(parts[1]) if len(parts) > 2 else {}


async def create(request: Request) -> Response:
    if not may_write(request):
        return refusal(401, message="Invalid username or password.")
    asked = await request.json()
    name = f"{asked.get('organization') or 'tester'}/{asked['name']}"
    kind = f"{asked.get('type') or 'model'}s"
    base = "datasets/" if kind == "datasets" else ""
    answer = {"url": f"{request.base_url}{base}{name}", "name": name, "id": "1"}
    if (kind, name) in REPOSITORIES:
        return JSONResponse(answer | {"error": "You already created this repo"}, 409)
    private = asked.get("private") or asked.get("visibility") == "private"
    REPOSITORIES[kind, name] = Repository(bool(private))
    REPOSITORIES[kind, name].commit({".gitattributes": b""})
    return JSONResponse(answer)


async def validate(request: Request) -> Response:
    content = (await request.json())["content"]
    try:
        card_of({"README.md": content.encode()})
    except yaml.YAMLError as error:
        return JSONResponse({"errors": [{"message": str(error)}], "warnings": []}, 400)
    return JSONResponse({"errors": [], "warnings": []})


async def preupload(request: Request) -> Response:
    if not may_write(request):
        return refusal(401, message="Invalid username or password.")
    files = (await request.json())["files"]
    modes = [{"path": one["path"], "uploadMode": "regular", "shouldIgnore": False} for one in files]
    return JSONResponse({"files": modes})


async def commit(request: Request) -> Response:
    there = found(request, request.path_params["kind"])
    if isinstance(there, Response):
        return there
    if not may_write(request):
        return refusal(403, message="You may not write to this repository.")
    repository, _, files = there
    files = dict(files)
    for line in (await request.body()).splitlines():
        told = json.loads(line)
        if told["key"] == "file":
            files[told["value"]["path"]] = base64.b64decode(told["value"]["content"])
        elif told["key"] == "deletedFile":
            del files[told["value"]["path"]]
    name = repository.commit(files)
    url = f"{request.base_url}{request.path_params['user']}/{request.path_params['name']}/commit/{name}"
    return JSONResponse({"success": True, "commitOid": name, "commitUrl": url})


async def info(request: Request) -> Response:
    there = found(request, request.path_params["kind"])
    if isinstance(there, Response):
        return there
    repository, name, files = there
    title = f"{request.path_params['user']}/{request.path_params['name']}"
    return JSONResponse(
        {
            "_id": "1", "id": title, "modelId": title, "sha": name, "private": repository.private, "tags": [],
            "siblings": [{"rfilename": path} for path in files], "cardData": card_of(files), "downloads": 0,
        }
    )  # fmt: skip


async def tree(request: Request) -> Response:
    there = found(request, request.path_params["kind"])
    if isinstance(there, Response):
        return there
    return JSONResponse(
        [
            {"type": "file", "path": path, "size": len(content), "oid": blob(content)}
            for path, content in there[2].items()
        ]
    )


async def resolve(request: Request) -> Response:
    there = found(request, "datasets" if request.url.path.startswith("/datasets/") else "models")
    if isinstance(there, Response):
        return there
    _, name, files = there
    path = request.path_params["path"]
    if path not in files:
        return Response("Entry not found", 404, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": name})
    content = files[path]
    headers = {"ETag": f'"{blob(content)}"', "X-Repo-Commit": name, "Accept-Ranges": "bytes"}
    if request.method == "HEAD":
        return Response(None, 200, headers | {"Content-Length": str(len(content))})
    ASKED.append(path)
    return Response(content, 200, headers)


async def asked(request: Request) -> Response:
    """For tests: paths of files that were sent out, that match a pattern."""
    return JSONResponse([path for path in ASKED if fnmatch.fnmatch(path, request.query_params.get("like", "*"))])


REPO = "/{user}/{name}"
application = Starlette(
    routes=[
        Route("/asked", asked),
        Route("/api/repos/create", create, methods=["POST"]),
        Route("/api/validate-yaml", validate, methods=["POST"]),
        Route("/api/{kind}" + REPO + "/preupload/{revision}", preupload, methods=["POST"]),
        Route("/api/{kind}" + REPO + "/commit/{revision}", commit, methods=["POST"]),
        Route("/api/{kind}" + REPO, info),
        Route("/api/{kind}" + REPO + "/revision/{revision}", info),
        Route("/api/{kind}" + REPO + "/tree/{revision}", tree),
        Route("/datasets" + REPO + "/resolve/{revision}/{path:path}", resolve),
        Route(REPO + "/resolve/{revision}/{path:path}", resolve),
    ]
)

if __name__ == "__main__":
    listening = socket.create_server(("127.0.0.1", 0))
    print(f"http://127.0.0.1:{listening.getsockname()[1]}", flush=True)
    uvicorn.Server(uvicorn.Config(application, log_level="error")).run(sockets=[listening])
