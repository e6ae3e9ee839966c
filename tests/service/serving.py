"""Photos with names that try everything, and a service that runs in this process."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn
from fastapi import FastAPI
from PIL import Image

import hashlens as hl

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
