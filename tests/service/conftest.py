"""An index of real images, and the service for it, running."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from serving import CLASSES, IMAGES_PER_CLASS, running, write_photos

import hashlens as hl
from hashlens.service import create_app


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
