"""An index of real images with names that try everything, and the service for it, running."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import uvicorn
from fastapi import FastAPI
from PIL import Image

import hashlens as hl
from hashlens.service import create_app

MARKUP = "<img src=x onerror=document.title='owned'>"
CLASSES = ("boots", "shoes", MARKUP, "עברית\u202etxt.exe", "🥾 emoji", "a&amp;b \"quoted\" 'too'")
IMAGES_PER_CLASS = 20


def write_photos(folder: Path, numbers: range, classes: tuple[str, ...] = CLASSES) -> None:
    """Digits under class names that are not theirs: ``classes[number % len(classes)]``."""
    digits = hl.open_source("digits")
    for number in numbers:
        path = folder / classes[number % len(classes)] / f"{number} 'x' & <b>.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        digits.image(number).resize((72, 56)).save(path)


def png(image: Image.Image | None = None) -> bytes:
    content = io.BytesIO()
    (image or Image.new("RGB", (40, 30), "teal")).save(content, "PNG")
    return content.getvalue()


@contextmanager
def running(app: FastAPI) -> Iterator[str]:
    """The address of an application that runs in this process on a free port."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning", timeout_graceful_shutdown=10))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> hl.HashModel:
    folder = tmp_path_factory.mktemp("training")
    write_photos(folder, range(60))
    return hl.fit(folder, bits=24, image_size=32, epochs=2, finetune=False)


@pytest.fixture(scope="session")
def make_index(
    model: hl.HashModel, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[Path | str], hl.Catalogue]:
    """From a source to a new index of it."""

    def make(source: Path | str) -> hl.Catalogue:
        catalogue = hl.Catalogue.create(tmp_path_factory.mktemp("index") / "photos-index", model)
        catalogue.update(hl.open_source(source))
        return catalogue

    return make


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos") / "photos"
    write_photos(folder, range(len(CLASSES) * IMAGES_PER_CLASS))
    return folder


@pytest.fixture(scope="session")
def catalogue(photos: Path, make_index: Callable[[Path | str], hl.Catalogue]) -> hl.Catalogue:
    return make_index(photos)


@pytest.fixture(scope="session")
def address(catalogue: hl.Catalogue) -> Iterator[str]:
    with running(create_app(catalogue, device="cpu")) as address:
        yield address


@pytest.fixture
def client(address: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=address, timeout=60) as client:
        yield client
