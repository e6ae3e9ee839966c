"""``hashlens search`` with the address of a service that runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
from serving import png, running
from typer.testing import CliRunner

import hashlens as hl
from hashlens.catalogue import search_service
from hashlens.cli import application
from hashlens.errors import BadInput
from hashlens.service import create_app
from refusals import is_one_sentence

pytestmark = pytest.mark.usefixtures("one_thread")

TOKEN = "correct-horse-battery-staple"
LOADED = """
import sys
from hashlens.cli import main
try:
    main()
finally:
    print([name for name in ("torch", "fastapi", "onnxruntime") if name in sys.modules], file=sys.stderr)
"""


@pytest.mark.parametrize("rescore", [True, False])
def test_a_service_answers_as_its_index_does(
    address: str, catalogue: hl.Catalogue, photos: Path, tmp_path: Path, rescore: bool
) -> None:
    (tmp_path / "new.png").write_bytes(png())
    queries = [tmp_path / "new.png", photos / "boots"]
    found = search_service(address, queries, 7, ["boots", "shoes"], rescore)
    expected = catalogue.search_images(queries, 7, ["boots", "shoes"], "cpu", rescore)
    assert found.answers == expected.answers and len(found.answers) == 21
    assert found.skipped == [] and found.ties == []


def test_pixels_are_sent_too(address: str, catalogue: hl.Catalogue) -> None:
    digits = hl.open_source("digits").select([3, 4])
    assert search_service(address, [digits], 3).answers == catalogue.search_images([digits], 3, (), "cpu").answers


def test_the_command_loads_neither_network_nor_service(address: str, photos: Path) -> None:
    picture = next((photos / "boots").iterdir())
    command = [sys.executable, "-c", LOADED, "search", address, str(picture), "-k", "3", "--json"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr.strip() == "[]"
    (answer,) = json.loads(done.stdout)
    assert answer["query"] == str(picture) and [hit["rank"] for hit in answer["results"]] == [1, 2, 3]
    assert answer["results"][0]["distance"] == 0


def searched(*words: object) -> tuple[str, str]:
    done = CliRunner().invoke(application(), ["search", *map(str, words)])
    return done.stdout, str(done.exception or "")


def test_paths_of_another_machine_are_not_called_gone(model: hl.HashModel, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    for number in range(3):
        (tmp_path / f"photos/{number}.png").write_bytes(png())
    catalogue = hl.Catalogue.create(tmp_path / "index", model)
    catalogue.update(hl.open_source(tmp_path / "photos"))
    (tmp_path / "photos/1.png").unlink()
    with running(create_app(catalogue, device="cpu")) as address:
        shown, said = searched(address, tmp_path / "photos/0.png")
    assert "1.png" in shown and "gone" not in shown and not said


def test_a_picture_that_cannot_be_read_is_left_out(address: str, tmp_path: Path) -> None:
    (tmp_path / "good.png").write_bytes(png())
    (tmp_path / "cut.png").write_bytes(png()[:60])
    found = search_service(address, [tmp_path / "cut.png", tmp_path / "good.png"])
    assert [query for query, _ in found.answers] == [str(tmp_path / "good.png")]
    assert [str(one) for one in found.skipped] == ["cut.png: damaged or truncated (image file is truncated)"]


def test_a_picture_that_is_too_large_for_the_service_is_left_out(catalogue: hl.Catalogue, tmp_path: Path) -> None:
    (tmp_path / "large.png").write_bytes(png() + bytes(70_000))
    for number in range(5):
        (tmp_path / f"{number}.png").write_bytes(png() + bytes(20_000))  # more than fit into one request
    with running(create_app(catalogue, body_bytes=1 << 16, device="cpu")) as address:
        found = search_service(address, [tmp_path])
    assert len(found.answers) == 5
    assert [Path(one.key).name for one in found.skipped] == ["large.png"]


def test_the_token_is_sent(
    catalogue: hl.Catalogue, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = next((photos / "boots").iterdir())
    file = tmp_path / "token"
    file.write_text(TOKEN)
    with running(create_app(catalogue, token=TOKEN, device="cpu")) as address:
        assert searched(address, picture)[1].endswith("send it as Authorization: Bearer TOKEN.")
        assert not searched(address, picture, "--token-file", file)[1]
        monkeypatch.setenv("HASHLENS_TOKEN", TOKEN)
        assert not searched(address, picture)[1]
        monkeypatch.setenv("HASHLENS_TOKEN", f"{TOKEN}!")
        assert "HASHLENS_TOKEN says it" in searched(address, picture)[1]
        monkeypatch.setenv("HASHLENS_TOKEN", "short")
        assert "The token in HASHLENS_TOKEN must be 16" in searched(address, picture)[1]


def test_what_is_no_service_is_named(photos: Path) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), SimpleHTTPRequestHandler) as other:
        Thread(target=other.serve_forever).start()
        with pytest.raises(BadInput, match=r"is no service of HashLens \(status 404\)") as error:
            search_service(f"http://127.0.0.1:{other.server_port}", [photos])
        other.shutdown()
    assert is_one_sentence(error)


def test_refusals_are_one_sentence(address: str, photos: Path, tmp_path: Path) -> None:
    picture = next((photos / "boots").iterdir())
    np.save(tmp_path / "features.npy", np.zeros((3, 8), np.float32))
    for said, call in {
        "has the label 'gloves'": lambda: search_service(address, [picture], labels=["gloves"]),
        "less than or equal to 1000": lambda: search_service(address, [picture], k=5000),
        "holds features": lambda: search_service(address, [tmp_path / "features.npy"]),
        "is no address": lambda: search_service("http://", [picture]),
        "is no address of": lambda: search_service("http://127.0.0.1:port", [picture]),
        "No service answers": lambda: search_service("http://127.0.0.1:9", [picture]),
        "No service answers at": lambda: search_service("http://nowhere.invalid", [picture]),
        "There is nothing at this address": lambda: search_service(f"{address}/elsewhere", [picture]),
    }.items():
        with pytest.raises(BadInput, match=said) as error:
            call()
        assert is_one_sentence(error)
    for option in (["--model", "m"], ["--device", "cpu"], ["--html", "a.html"]):
        assert "leave " in searched(address, picture, *option)[1]
    assert "is for services" in searched(os.devnull, picture, "--token-file", "token")[1]
