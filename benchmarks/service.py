"""The service: ratios in one run, over HTTP on loopback, with the service in a process of its own.

    python benchmarks/service.py                   # search by id, images from 32 clients, 2 minutes of mixed load
    python benchmarks/service.py --minutes 10      # as long as the target says

- *Search by id*: an index of random 64-bit codes, one client that asks one question after the other over a
  connection that stays open, for 10 results with their paths. Beside it the same searches without HTTP, by the
  catalogue.
- *Images*: 32 clients that send different images, one after the other, against the encoder alone that gets the
  same images as one batch, as bytes and without its cache of features. The parts of both runs alternate.
- *Mixed load*: clients that search by id and by image and fetch thumbnails, while `hashlens index` adds images
  every minute, or four times in a shorter run. No request may fail; the memory of the service after a tenth of the
  time (a minute of ten) and at the end are compared.

The images are scikit-learn's digits, drawn anew with noise so that no two are the same, at 160 pixels.
"""

from __future__ import annotations

import argparse
import io
import json
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median, quantiles

import httpx
import numpy as np
from PIL import Image

import hashlens as hl
from hashlens.catalogue.checksums import RENEW
from hashlens.catalogue.database import as_stored

CLIENTS = 32
SIDE = 160
ROWS_AT_ONCE = 50_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--codes", type=int, default=1_000_000)
    parser.add_argument("--images", type=int, default=960, help="in all, for the comparison of throughput")
    parser.add_argument("--minutes", type=float, default=2.0, help="of mixed load")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        photos = Path(work, "photos")
        write_pictures(photos, range(400))
        model = hl.fit(photos, "orthohash", bits=64, epochs=2, device="cpu")
        search_by_id(Path(work, "large"), model, options.codes)
        throughput(Path(work, "small"), model, photos, options.images)
        mixed(Path(work, "small"), photos, options.minutes)


def picture(seed: int) -> bytes:
    random = np.random.default_rng(seed)
    digits = hl.open_source("digits")
    image = digits.image(int(random.integers(len(digits)))).resize((SIDE, SIDE))
    noisy = np.asarray(image, np.int16) + random.integers(-30, 30, (SIDE, SIDE, 3))
    content = io.BytesIO()
    Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(content, "JPEG")
    return content.getvalue()


def write_pictures(folder: Path, seeds: range) -> None:
    for seed in seeds:
        path = folder / str(seed % 10) / f"{seed}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture(seed))


@contextmanager
def served(index: Path, *words: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    command = [sys.executable, "-m", "hashlens", "serve", str(index), "--port", "0", *words]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            said = process.stderr.readline()
            found = re.search(r"http://\S+", said)
            if not found:
                raise RuntimeError(said + process.stderr.read())
            yield process, found.group()
        finally:
            process.terminate()


def search_by_id(folder: Path, model: hl.HashModel, count: int) -> None:
    """Rows are written into the catalogue's database, as encoding a million images would take an hour."""
    catalogue = hl.Catalogue.create(folder, model)
    random = np.random.default_rng(0)
    with catalogue._database.connect() as rows, rows:
        for first in range(0, count, ROWS_AT_ONCE):
            codes = random.integers(0, 256, (min(ROWS_AT_ONCE, count - first), 8), np.uint8)
            rows.executemany(
                "INSERT INTO images (path, source, size, mtime, code) VALUES (?, 'made', 1, 1, ?)",
                ((as_stored(f"/made/{first + n}.jpg"), code.tobytes()) for n, code in enumerate(codes)),
            )
        rows.execute(f"{RENEW} > 0")
    catalogue.engine()
    ids = random.integers(1, count, 2000).tolist()
    with served(folder) as (_, address), httpx.Client(base_url=address) as client:
        taken = {"HTTP": [], "alone": []}
        for image in ids:
            started = time.perf_counter()
            answer = client.post("/search", json={"id": image})
            taken["HTTP"].append(time.perf_counter() - started)
            assert answer.status_code == 200 and len(answer.json()["results"]) == 10
            started = time.perf_counter()
            catalogue.search_ids([image], 10)
            taken["alone"].append(time.perf_counter() - started)
    print(f"search by id, {count:,} codes of 64 bits, {len(ids):,} questions; milliseconds")
    for name, times in taken.items():
        print(f"  {name:6} p50 {1000 * median(times):6.2f}   p99 {1000 * quantiles(times, n=100)[98]:6.2f}")


def throughput(folder: Path, model: hl.HashModel, photos: Path, count: int) -> None:
    hl.Catalogue.create(folder, model).update(hl.open_source(photos))
    rounds = 3
    contents = [picture(seed) for seed in range(10**6, 10**6 + count)]
    parts = [contents[start::rounds] for start in range(rounds)]
    bare, service = [], []
    with served(folder) as (_, address), model.encoder() as encoder:
        encoder._extractor._cache = None
        encoder(parts[0][:64])
        ask_all(address, parts[0][:64])
        for part in parts:
            started = time.perf_counter()
            assert len(encoder(part)) == len(part)
            bare.append(len(part) / (time.perf_counter() - started))
            started = time.perf_counter()
            ask_all(address, part)
            service.append(len(part) / (time.perf_counter() - started))
    ratios = [one / other for one, other in zip(service, bare, strict=True)]
    print(f"images, {CLIENTS} clients, {count} images of {SIDE} pixels; images a second, each of {rounds} rounds")
    print(f"  encoder alone  {' '.join(f'{one:6.1f}' for one in bare)}")
    print(f"  service        {' '.join(f'{one:6.1f}' for one in service)}")
    print(f"  ratio          {' '.join(f'{one:6.2f}' for one in ratios)}   median {median(ratios):.2f}")


def ask_all(address: str, contents: list[bytes]) -> None:
    waiting = iter(contents)
    lock = threading.Lock()
    failed: Counter[int] = Counter()

    def work() -> None:
        with httpx.Client(base_url=address, timeout=120) as client:
            while True:
                with lock:
                    content = next(waiting, None)
                if content is None:
                    return
                answer = client.post("/search", content=content, headers={"Content-Type": "image/jpeg"})
                if answer.status_code != 200:
                    failed[answer.status_code] += 1

    clients = [threading.Thread(target=work) for _ in range(CLIENTS)]
    for one in clients:
        one.start()
    for one in clients:
        one.join()
    assert not failed, failed


def mixed(folder: Path, photos: Path, minutes: float) -> None:
    stop = threading.Event()
    answered: Counter[str] = Counter()
    failed: list[str] = []
    own = [picture(seed) for seed in range(2 * 10**6, 2 * 10**6 + 50)]

    def work(number: int) -> None:
        random = np.random.default_rng(number)
        with httpx.Client(base_url=address, timeout=120) as client:
            while not stop.is_set():
                kind = ("id", "id", "image", "thumbnail")[int(random.integers(4))]
                image = int(random.integers(1, 400))
                try:
                    if kind == "id":
                        answer = client.post("/search", json={"id": image, "k": 48})
                    elif kind == "image":
                        content = own[int(random.integers(len(own)))]
                        answer = client.post("/search", files={"image": content})
                    else:
                        answer = client.get(f"/images/{image}/thumbnail")
                except httpx.HTTPError as error:
                    failed.append(repr(error))
                    continue
                answered[kind] += 1
                if answer.status_code != 200:
                    failed.append(answer.text)
                time.sleep(0.05)

    with served(folder) as (process, address):
        clients = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for one in clients:
            one.start()
        updates = max(4, round(minutes))
        wait = 60 * minutes / updates
        early = 0.0
        started = time.monotonic()
        memory = []
        for update in range(updates):
            write_pictures(photos, range(10_000 + 40 * update, 10_040 + 40 * update))
            indexed = [str(folder / "model"), str(photos), "-o", str(folder)]
            subprocess.run([sys.executable, "-m", "hashlens", "index", *indexed], check=True, capture_output=True)
            while time.monotonic() < started + (update + 1) * wait:
                time.sleep(0.5)
                if not early and time.monotonic() > started + 60 * minutes / 10:
                    early = resident(process.pid)
            memory.append(resident(process.pid))
        stop.set()
        for one in clients:
            one.join()
        images = httpx.get(f"{address}/health").json()["images"]
    assert images == 400 + 40 * updates, images
    print(f"mixed load, {minutes:g} minutes, 8 clients, {updates} updates of 40 images")
    print(f"  answered {json.dumps(answered)}, failed {len(failed)} {failed[:3] or ''}")
    print(
        f"  MiB after a tenth of the time {early:.0f}, after each update {' '.join(f'{one:.0f}' for one in memory)}"
    )


def resident(process: int) -> float:
    """MiB of memory that a process has."""
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("no VmRSS")


if __name__ == "__main__":
    main()
