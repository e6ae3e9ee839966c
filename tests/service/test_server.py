"""The service as a process: where it listens, how it is stopped, and what goes on while it runs."""

from __future__ import annotations

import io
import signal
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image
from serving import png, running, write_photos

import hashlens as hl
import processes
from hashlens.backbones import extraction
from hashlens.errors import BadInput
from hashlens.models import Encoder
from hashlens.service import create_app, serve
from hashlens.service.searcher import Searcher
from refusals import is_one_sentence
from servers import serving

pytestmark = pytest.mark.usefixtures("one_thread")

MakeIndex = Callable[[Path | str], hl.Catalogue]


def test_it_serves_follows_updates_and_stops(make_index: MakeIndex, tmp_path: Path) -> None:
    write_photos(tmp_path / "photos", range(30))
    catalogue = make_index(tmp_path / "photos")
    failed: list[Any] = []
    sizes: set[int] = set()
    stop = threading.Event()

    def keep_asking() -> None:
        with httpx.Client(base_url=address, timeout=60) as client:
            while not stop.is_set():
                response = client.post("/search", json={"id": 4, "k": 1000})
                if response.status_code != 200:
                    failed.append(response.text)
                else:
                    sizes.add(len(response.json()["results"]))
                time.sleep(0.01)  # the indexer is to get on beside it

    with serving(catalogue.folder, "--port", 0, "--device", "cpu") as (started, address):
        assert httpx.get(f"{address}/health").json()["images"] == 30
        assert httpx.post(f"{address}/search", files={"image": png()}, timeout=60).status_code == 200
        asking = [threading.Thread(target=keep_asking) for _ in range(3)]
        for thread in asking:
            thread.start()
        indexed = [catalogue.folder / "model", tmp_path / "photos"]
        write_photos(tmp_path / "photos", range(60))
        done = processes.hashlens("index", *indexed, "-o", catalogue.folder, "--device", "cpu")
        assert done.returncode == 0, done.stderr
        found = httpx.post(f"{address}/search", json={"id": 4, "k": 1000}).json()["results"]
        assert len(found) == 59
        stop.set()
        for thread in asking:
            thread.join()
        assert not failed and max(sizes) == 59
        started.send_signal(signal.SIGTERM)
        assert started.wait(30) == 0
        assert started.stderr is not None and "Traceback" not in started.stderr.read()


def test_what_is_under_way_is_finished(catalogue: hl.Catalogue, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server is told to stop while an image is being encoded; its answer still comes."""
    begun = threading.Event()
    batches = Encoder.batches

    def slowly(self: Encoder, items: Any) -> Any:
        begun.set()
        time.sleep(1)
        return batches(self, items)

    app = create_app(catalogue, device="cpu")
    with ThreadPoolExecutor(1) as pool:
        with running(app) as address:
            monkeypatch.setattr(Encoder, "batches", slowly)
            answer = pool.submit(httpx.post, f"{address}/search", files={"image": png()}, timeout=30)
            assert begun.wait(10)
        assert answer.result().status_code == 200


def test_ids_do_not_wait_for_images_and_too_many_images_are_refused(
    catalogue: hl.Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = create_app(catalogue, waiting=4, device="cpu")
    go_on, begun = threading.Event(), threading.Semaphore(0)
    batches = Encoder.batches

    def held(self: Encoder, items: Any) -> Any:
        begun.release()
        assert go_on.wait(30)
        return batches(self, items)

    with running(app) as address, ThreadPoolExecutor(4) as pool:
        monkeypatch.setattr(Encoder, "batches", held)
        files = {"image": png()}
        waiting = [pool.submit(httpx.post, f"{address}/search", files=files, timeout=60) for _ in range(4)]
        for _ in waiting:
            assert begun.acquire(timeout=10)
        refused = httpx.post(f"{address}/search", files=files)
        assert refused.status_code == 503
        assert refused.headers["retry-after"] == "1"
        assert refused.json()["detail"] == "4 images wait to be encoded already; try again in a second."
        assert httpx.post(f"{address}/search", json={"id": 1}).status_code == 200
        assert "hashlens_images_waiting 4" in httpx.get(f"{address}/metrics").text
        go_on.set()
        assert {one.result().status_code for one in waiting} == {200}
        assert httpx.post(f"{address}/search", files=files).status_code == 200
        assert "hashlens_images_waiting 0" in httpx.get(f"{address}/metrics").text


def test_images_that_arrive_together_go_through_the_network_together(
    catalogue: hl.Catalogue, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HASHLENS_CACHE", str(tmp_path))  # no other test has seen these images
    sizes: list[int] = []
    torch_run = extraction._torch_run

    def counting(backbone: Any, device: Any) -> Any:
        run = torch_run(backbone, device)

        def counted(pixels: Any, threads: int) -> Any:
            sizes.append(len(pixels))
            time.sleep(0.1)
            return run(pixels, threads)

        return counted

    monkeypatch.setattr(extraction, "_torch_run", counting)
    app = create_app(catalogue, device="cpu")
    random = np.random.default_rng(0)
    contents = [png(Image.fromarray(random.integers(0, 256, (32, 32, 3), np.uint8))) for _ in range(24)]
    sizes.clear()
    with running(app) as address, ThreadPoolExecutor(24) as pool:
        answers = list(
            pool.map(
                lambda content: httpx.post(f"{address}/search", files={"image": content}, timeout=60), contents
            )
        )
    assert {answer.status_code for answer in answers} == {200}
    assert sum(sizes) == 24 and len(sizes) < 16


def test_large_images_go_one_at_a_time(catalogue: hl.Catalogue, monkeypatch: pytest.MonkeyPatch) -> None:
    at_once, most = 0, 0
    lock = threading.Lock()
    codes = Searcher._codes

    def counted(self: Searcher, images: Any) -> Any:
        nonlocal at_once, most
        with lock:
            at_once += 1
            most = max(most, at_once)
        try:
            return codes(self, images)
        finally:
            with lock:
                at_once -= 1

    monkeypatch.setattr(Searcher, "_codes", counted)
    content = io.BytesIO()
    Image.new("L", (4100, 4100)).save(content, "JPEG")
    with running(create_app(catalogue, device="cpu")) as address, ThreadPoolExecutor(4) as pool:
        files = {"image": content.getvalue()}
        answers = [pool.submit(httpx.post, f"{address}/search", files=files, timeout=60) for _ in range(4)]
        assert {one.result().status_code for one in answers} == {200}
    assert most == 1


def test_a_port_that_is_taken_is_refused(catalogue: hl.Catalogue) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(BadInput, match=r"Address already in use.*--port") as error:
            serve(catalogue.folder, port=other.getsockname()[1])
    assert is_one_sentence(error)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"index": "nowhere"}, "no index at nowhere"),
        ({"host": "0.0.0.0"}, "0.0.0.0, so the service needs a token"),
        ({"host": "::"}, "needs a token"),
        ({"host": "photos.example.org"}, "needs a token"),
        ({"host": "0.0.0.0", "token_file": "nowhere"}, "nowhere cannot be read"),
        ({"port": 70_000}, "port 70000"),
        ({"port": -1}, "port -1"),
    ],
)
def test_bad_addresses_are_refused(catalogue: hl.Catalogue, arguments: dict[str, Any], says: str) -> None:
    with pytest.raises(BadInput, match=says) as error:
        serve(**{"index": catalogue.folder, **arguments})
    assert is_one_sentence(error)


@pytest.mark.parametrize("content", ["", "short", "a token with spaces in it", "ünlesbares-geheimnis", "a" * 15])
def test_tokens_that_are_weak_are_refused(catalogue: hl.Catalogue, tmp_path: Path, content: str) -> None:
    (tmp_path / "token").write_text(content, encoding="utf-8")
    with pytest.raises(BadInput, match="16 or more"):
        serve(catalogue.folder, "0.0.0.0", token_file=tmp_path / "token")


def test_an_index_whose_model_is_gone_is_refused(make_index: MakeIndex, tmp_path: Path) -> None:
    write_photos(tmp_path / "photos", range(12))
    catalogue = make_index(tmp_path / "photos")
    (catalogue.folder / "model" / "config.json").unlink()
    with pytest.raises(BadInput):
        serve(catalogue.folder, port=0)


def test_an_index_that_goes_away_is_told(make_index: MakeIndex, tmp_path: Path) -> None:
    write_photos(tmp_path / "photos", range(12))
    catalogue = make_index(tmp_path / "photos")
    with running(create_app(catalogue, device="cpu")) as address:
        hidden = catalogue.folder.rename(tmp_path / "hidden")
        refused = httpx.post(f"{address}/search", json={"id": 1})
        assert refused.status_code == 503 and refused.json()["detail"].endswith(".")
        hidden.rename(catalogue.folder)
        assert httpx.post(f"{address}/search", json={"id": 1}).status_code == 200


def test_the_token_is_read_from_its_file(catalogue: hl.Catalogue, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("correct-horse-battery-staple\n")
    words = (catalogue.folder, "--port", 0, "--token-file", tmp_path / "token", "--device", "cpu")
    with serving(*words) as (started, address):
        assert httpx.get(f"{address}/health").status_code == 401
        right = {"Authorization": "Bearer correct-horse-battery-staple"}
        assert httpx.get(f"{address}/health", headers=right).status_code == 200
        started.send_signal(signal.SIGINT)
        assert started.wait(30) == 0
