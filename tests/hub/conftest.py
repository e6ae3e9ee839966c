"""The stand-in of the Hub, in a process of its own, and what has been sent to it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from stand_in import TOKEN


@pytest.fixture(scope="session")
def hub_address() -> Iterator[str]:
    program = Path(__file__).with_name("stand_in.py")
    server = subprocess.Popen([sys.executable, str(program)], stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        yield server.stdout.readline().strip()
    finally:
        server.terminate()
        server.wait()


@pytest.fixture
def hub(hub_address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Its address; whoever asks is logged in, and keeps what is fetched in a folder of the test."""
    monkeypatch.setenv("HF_ENDPOINT", hub_address)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub-cache"))
    return hub_address
