"""The service on Ray Serve: the same REST from several processes."""

from __future__ import annotations

import signal
from pathlib import Path

import httpx
import pytest
from serving import png

import hashlens as hl
from hashlens.errors import BadInput
from hashlens.service import serve
from refusals import is_one_sentence
from servers import serving

pytestmark = pytest.mark.ray


def test_it_answers_as_without_ray(catalogue: hl.Catalogue, client: httpx.Client, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("correct-horse-battery-staple")
    shown = {"Authorization": "Bearer correct-horse-battery-staple"}
    options = ["--device", "cpu", "--token-file", token, "--replicas", "2", "--ray"]
    with serving(catalogue.folder, "--port", "0", *options) as (started, address):
        assert httpx.get(f"{address}/labels", timeout=60).status_code == 401
        with httpx.Client(base_url=address, headers=shown, timeout=60) as there:
            for number in range(1, 9):  # which replica answers is not said
                asked = {"id": number, "k": 20}
                assert there.post("/search", json=asked).json() == client.post("/search", json=asked).json()
            files = {"image": png()}
            assert there.post("/search", files=files).json() == client.post("/search", files=files).json()
            assert there.get("/images/3/thumbnail").content == client.get("/images/3/thumbnail").content
            assert "hashlens" in there.get("/").text.lower()
            assert there.post("/search", json={"id": 10**6}).status_code == 404
        started.send_signal(signal.SIGTERM)
        assert started.wait(60) == 0
        assert started.stderr is not None and "Traceback" not in started.stderr.read()


def test_what_cannot_be_is_refused_in_a_sentence(catalogue: hl.Catalogue) -> None:
    for wrong, said in (
        ({"replicas": 2}, "add --ray"),
        ({"ray": "127.0.0.1:1"}, "no Ray cluster at|connected to the Ray cluster at"),
    ):
        with pytest.raises(BadInput, match=said) as error:
            serve(catalogue.folder, port=0, **wrong)  # type: ignore[arg-type]
        assert is_one_sentence(error)
