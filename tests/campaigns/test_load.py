"""The real server under mixed load, while two others index and one searches: no error, and nothing grows."""

from __future__ import annotations

import io
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import pytest
from campaign import is_long, seconds, seed
from PIL import Image

import hashlens as hl
from hashlens.catalogue import Catalogue
from servers import serving

HERE = Path(__file__).parent
SHORT = 6.0  # seconds
CALLERS = 4
MIB = 1 << 20
GROWTH = 48 * MIB  # of memory, besides a tenth, once everything has been used
CLASSES = ("cat", "dog", "été")
IMAGES = 150  # in each of the two folders


def write_images(folder: Path, first: int) -> None:
    digits = hl.open_source("digits")
    for number in range(first, first + IMAGES):
        path = folder / CLASSES[number % 3] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        digits.image(number).resize((72, 56)).save(path)


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("load")
    for number, name in enumerate(("here", "there")):
        write_images(folder / name, number * IMAGES)
    model = hl.fit(hl.open_source(folder / "here"), "itq", bits=32, image_size=32, device="cpu")
    catalogue = Catalogue.create(folder / "index", model)
    for name in ("here", "there"):
        catalogue.update(hl.open_source(folder / name), device="cpu")
    return folder / "index"


def picture(random: np.random.Generator) -> bytes:
    """One that the server has not seen, of a size between a thumbnail and a photograph."""
    width, height = (int(n) for n in random.integers(16, 400, 2))
    file = io.BytesIO()
    kind = ("PNG", "JPEG", "WEBP")[int(random.integers(3))]
    Image.fromarray(random.integers(0, 256, (height, width, 3), np.uint8)).save(file, kind)
    return file.getvalue()


def ask(client: httpx.Client, random: np.random.Generator, ids: list[int]) -> tuple[str, httpx.Response]:
    """One request as people and programs send them."""
    image = int(random.choice(ids))
    kind = int(random.integers(9))
    k = int(random.choice([1, 10, 100]))
    if kind <= 1:
        return "id", client.post("/search", json={"id": image, "k": k})
    if kind == 2:
        return "labels", client.post("/search", json={"id": image, "labels": [CLASSES[image % 3]], "radius": 20})
    if kind == 3:
        return "code", client.post("/search", json={"code": random.bytes(4).hex(), "k": k, "offset": 5})
    if kind == 4:
        return "image", client.post("/search", params={"k": k}, files={"image": picture(random)})
    if kind == 5:
        files = [("image", (f"{number}.png", picture(random))) for number in range(3)]
        return "batch", client.post("/search/batch", files=files)
    if kind == 6:
        return "thumbnail", client.get(f"/images/{image}/thumbnail", params={"size": int(random.choice([64, 256]))})
    if kind == 7:
        return "pictures", client.get(f"/images/{image}")
    return "lists", client.get(("/health", "/labels", "/images", "/metrics", "/")[int(random.integers(5))])


def check(kind: str, response: httpx.Response) -> str:
    """What is wrong with an answer; images may have been removed since their ids were told."""
    if response.status_code == 404 and kind in ("id", "labels", "thumbnail", "pictures"):
        return ""
    if response.status_code != 200:
        return f"{kind}: {response.status_code} {response.text[:200]}"
    if kind in ("id", "labels", "code", "image"):
        results = response.json()["results"]
        found = [one["id"] for one in results]
        ranks = [one["rank"] for one in results]
        if len(set(found)) != len(found) or (ranks and ranks != list(range(ranks[0], ranks[0] + len(ranks)))):
            return f"{kind}: {response.text[:200]}"
    return ""


def memory_of(process: int) -> int:
    status = Path(f"/proc/{process}/status").read_text(encoding="ascii")
    found = re.search(r"VmRSS:\s+(\d+)", status)
    assert found
    return int(found.group(1)) << 10


@pytest.mark.campaign
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory and open files are read from /proc")
def test_the_service_bears_load_while_its_index_changes(index: Path) -> None:
    length, faults, counts = seconds(SHORT), list[str](), Counter[str]()
    memory, files = list[int](), list[int]()
    with serving(index, "--port", 0, "--device", "cpu") as (server, address):
        log = list[str]()
        threading.Thread(target=lambda: log.extend(server.stderr or ()), daemon=True).start()
        end = time.monotonic() + length

        def call(number: int) -> None:
            random = np.random.default_rng([seed(), number])
            with httpx.Client(base_url=address, timeout=60) as client:
                ids = [1]
                while time.monotonic() < end:
                    try:
                        if random.random() < 0.05:
                            ids = [one["id"] for one in client.get("/images").json()["images"]] or [1]
                        kind, response = ask(client, random, ids)
                    except httpx.TransportError as error:
                        left, request = end - time.monotonic(), error.request
                        faults.append(
                            f"{error!r} at {request.method} {request.url}, {left:.1f} seconds before the end; "
                            f"the server's exit status is {server.poll()}"
                        )
                        continue
                    counts[kind] += 1
                    fault = check(kind, response)
                    if fault:
                        faults.append(fault)

        works: list[tuple[object, ...]] = [
            ("index", index, index.parent / "here"),
            ("index", index, index.parent / "there"),
            ("search", index),
        ]
        others = [
            subprocess.Popen(
                list(map(str, [sys.executable, HERE / "working.py", *work, seed() + place, length])),
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for place, work in enumerate(works)
        ]
        with ThreadPoolExecutor(CALLERS) as pool:
            calling = [pool.submit(call, number) for number in range(CALLERS)]
            while time.monotonic() < end:
                time.sleep(min(1.0, length / 20))
                memory.append(memory_of(server.pid))
                files.append(len(list(Path(f"/proc/{server.pid}/fd").iterdir())))
            for one in calling:
                one.result()
        said_by_others = [other.communicate(timeout=120) for other in others]
        for other, (_, error) in zip(others, said_by_others, strict=True):
            if other.returncode:
                faults.append(error[-2000:])
        rounds = [int(output) for output, _ in said_by_others if output.strip()]
        time.sleep(2.5)  # the count of images is made anew every two seconds
        health = httpx.get(f"{address}/health").json()
        left = len(list(Path(f"/proc/{server.pid}/fd").iterdir()))
        server.send_signal(signal.SIGTERM)
        assert server.wait(60) == 0
    quarter = len(memory) // 4
    early, late = int(np.median(memory[quarter : 2 * quarter])), int(np.median(memory[-quarter:]))
    half = len(files) // 2
    print(
        f"load: {length:.0f} seconds, {counts.total():,} requests {dict(counts)}, beside it {rounds} updates, "
        f"updates and searches, seed {seed()}, {len(faults)} faults; memory {early // MIB} MiB in the second "
        f"quarter, {late // MIB} MiB in the last; at most {max(files[:half])} open files in the first half, "
        f"{max(files[half:])} in the second, {left} at the end"
    )
    assert not faults, "\n".join([*faults[:20], "".join(log)[-3000:]])
    assert not [line for line in log if "Traceback" in line or "Error" in line], "".join(log)[-3000:]
    assert health["images"] == 2 * IMAGES
    assert min(rounds) >= 1 and min(counts[kind] for kind in counts) >= 1
    if is_long():
        assert late < 1.1 * early + GROWTH
        assert max(files[half:]) <= max(files[:half]) + 8
    assert left <= max(files)
