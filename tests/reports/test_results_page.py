"""The page with the results of searches: whole, linked, and true about files that are gone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

import hashlens as hl
from hashlens import cli


class Read(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.images: list[dict[str, str | None]] = []
        self.links: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        if tag == "img":
            self.images.append(dict(attributes))
        if tag == "a":
            self.links.append(dict(attributes)["href"] or "")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    digits = hl.open_source("digits")
    for number in range(24):
        folder = tmp_path / "photos" / digits.label_names(number)[0]
        folder.mkdir(parents=True, exist_ok=True)
        digits.image(number).save(folder / f"{number}.png")
    (folder / f"{number}.png").rename(folder / os.fsdecode(b"caf\xe9 <b>.png"))
    hl.Catalogue.create(
        tmp_path / "index", hl.fit(tmp_path / "photos", "lsh", bits=16, image_size=32, device="cpu")
    ).update(hl.open_source(tmp_path / "photos"))
    return tmp_path / "photos"


def search(monkeypatch: pytest.MonkeyPatch, *words: object) -> None:
    monkeypatch.setattr(sys, "argv", ["hashlens", "search", *map(str, words)])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert not end.value.code


def test_a_search_makes_a_page_and_opens_it(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", lambda address: opened.append(address) or True)
    gone = photos / "3" / "3.png"
    query = photos / "0" / "0.png"
    gone.unlink()
    search(monkeypatch, tmp_path / "index", query, "-k", 24, "--html", tmp_path / "new" / "page.html", "--open")
    assert opened == [(tmp_path / "new" / "page.html").as_uri()]
    output = capsys.readouterr().out
    assert f"{gone} (gone)" in output
    assert "caf� <b>.png" in output
    text = (tmp_path / "new" / "page.html").read_text(encoding="utf-8")
    read = Read(text)
    assert len(read.images) == 1 + 23
    assert all(str(image["src"]).startswith("data:image/") for image in read.images)
    assert all(image["alt"] for image in read.images)
    assert query.as_uri() in read.links
    assert gone.as_uri() not in read.links
    assert any(link.endswith("caf%E9%20%3Cb%3E.png") for link in read.links)
    assert "1 of the files that are shown is gone" in text
    assert hl.__version__ in text and "hashlens search" in text

    search(monkeypatch, tmp_path / "index", query, "--open")
    assert len(opened) == 2


def test_json_is_whole_where_names_are_no_utf_8(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    search(monkeypatch, tmp_path / "index", photos / "0" / "0.png", "-k", 24, "--json")
    (answer,) = json.loads(capsys.readouterr().out)
    paths = {os.fsencode(hit["path"]) for hit in answer["results"]}
    assert any(path.endswith(b"caf\xe9 <b>.png") for path in paths)
    assert answer["at_largest_distance"] >= 1

    words = [
        sys.executable,
        "-m",
        "hashlens",
        "search",
        tmp_path / "index",
        photos / "0" / "0.png",
        "-k",
        "24",
        "--json",
    ]
    piped = subprocess.run(words, env=os.environ | {"LC_ALL": "C"}, capture_output=True, check=True)
    assert json.loads(piped.stdout.decode("utf-8")) == [answer]


def test_no_line_of_a_table_is_broken_in_a_pipe(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    deep = tmp_path / ("a long name " * 15).strip()
    photos.rename(deep)
    hl.Catalogue.open(tmp_path / "index").update(hl.open_source(deep))
    monkeypatch.setenv("COLUMNS", "80")
    search(monkeypatch, tmp_path / "index", deep / "0" / "0.png", "-k", 3)
    lines = capsys.readouterr().out.splitlines()
    assert any(str(deep / "0" / "0.png") in line for line in lines[1:])
