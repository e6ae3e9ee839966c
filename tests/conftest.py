"""What all tests share."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Callable, Generator, Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import settings


def pytest_configure(config: pytest.Config) -> None:
    """Several processes test at once, so each of them computes on one thread."""
    if hasattr(config, "workerinput"):
        os.environ["OMP_NUM_THREADS"] = "1"


# Files that stay in one process together, as there can be one server of Milvus, and two nodes of Ray are enough.
TOGETHER = {
    "test_engine.py": "milvus",
    "test_copying_to_servers.py": "milvus",
    "test_ray_shards.py": "ray",
    "test_ray_encoding.py": "ray",
    "test_pages.py": "ray",
    "test_on_ray.py": "ray",
}


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """The tests of a file stay in one process, which makes what they share once."""
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            path = nodeid.partition("::")[0]
            return TOGETHER.get(path.rpartition("/")[2], path)

    return ByFile(config, log)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """What tests print goes from process to process as UTF-8, and names of files may be none."""
    report = yield
    report.sections = [(name, text.encode("utf-8", "replace").decode()) for name, text in report.sections]
    return report


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Features and data sets are remembered in a temporary folder, never in the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HASHLENS_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True)
def messages_go_where_they_went(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A command that runs in this process would send the messages of all tests after it to standard error."""
    log = logging.getLogger("hashlens")
    handlers, level, propagate = log.handlers, log.level, log.propagate
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
    yield
    log.handlers, log.propagate = handlers, propagate
    log.setLevel(level)


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Threads that wait for each other make small computations slow on a busy machine."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def cifar(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twelve thousand images of two pixels where torchvision's would be, each its own."""

    def part(_: object, name: str, split: str) -> SimpleNamespace:
        numbers = np.arange(10_000) + (0 if split == "train" else 10_000)
        pixels = numbers.astype("<u4").view(np.uint8).reshape(-1, 1, 4)[..., :3][:, :, None]
        classes = 100 if name == "cifar100" else 10
        count = 10_000 if split == "train" else 2000
        return SimpleNamespace(data=pixels[:count], targets=(numbers % classes)[:count].tolist())

    from hashlens.sources import named

    monkeypatch.setattr(named, "_from_torchvision", part)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium, for the tests of a file."""
    from chromium import a_browser

    with a_browser() as browser:
        yield browser


@pytest.fixture
def open_page(browser: Any) -> Iterator[Callable[..., Any]]:
    """From options of a context to a new page."""
    from chromium import pages_of

    with pages_of(browser) as open_one:
        yield open_one


# A busy machine makes single examples slow, which says nothing of the code.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")
