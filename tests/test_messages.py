"""What commands say, and how much of it."""

from __future__ import annotations

import re
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest

import hashlens as hl
from hashlens import cli
from hashlens.cli.tables import print_facts, print_groups, print_results


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    def call(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["hashlens", *map(str, words)])
        with pytest.raises(SystemExit) as end:
            cli.main()
        captured = capsys.readouterr()
        return int(end.value.code or 0), captured.out, captured.err

    return call


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for name in ("cat/1.png", "cat/2.png", "dog/3.png", "dog/raw.cr2"):
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "photos" / name).touch()
    return tmp_path / "photos"


def test_the_version_is_told(run) -> None:
    assert run("--version") == (0, f"hashlens {version('hashlens')}\n", "")


def test_messages_are_as_many_as_asked_for(run, photos: Path, tmp_path: Path) -> None:
    said = {}
    for number, words in enumerate(([], ["--quiet"], ["--verbose"])):
        status, output, said[number] = run("split", photos, "-o", tmp_path / f"{number}.csv", *words)
        assert (status, output) == (0, "")
    assert "warning: " in said[0] and "Wrote" in said[0]
    assert "warning: " in said[1] and "Wrote" not in said[1]
    assert all(re.match(r"\d\d:\d\d:\d\d ", line) for line in said[2].splitlines() if not line.startswith("  "))
    assert run("--quiet", "split", photos, "-o", tmp_path / "front.csv")[2] == said[1]
    status, _, error = run("split", photos, "--quiet", "--verbose")
    assert status == 2 and "do not go together" in error


def test_bad_options_are_refused_before_anything_is_read(run, tmp_path: Path) -> None:
    status, _, error = run("search", tmp_path / "no index", tmp_path / "no picture.jpg", "-k", 0)
    assert status == 2 and "-k is 0" in error


def test_a_result_is_one_line_whatever_it_is_called(capsys: pytest.CaptureFixture[str]) -> None:
    name = "a\nb\t\udce9\x1b.jpg"
    print_results({"query": name, "results": [{"rank": 1, "distance": 0, "labels": [name], "path": name}]})
    query, *_, result, _ = capsys.readouterr().out.splitlines()
    assert query == "a\\nb\\t�\\x1b.jpg"
    assert result.split("│")[3:5] == [" a\\nb\\t�\\x1b.jpg ", " a\\nb\\t�\\x1b.jpg "]


def test_names_are_shown_as_they_can_be_typed(capsys: pytest.CaptureFixture[str]) -> None:
    name = ":smile:\ta"
    print_facts({"classes": f"1: {name}"})
    print_groups([[{"bytes": 1, "labels": [name], "path": "/nowhere/:smile:.jpg"}] * 2])
    print_results({"query": name, "results": [{"rank": 1, "distance": 0, "labels": [name], "path": name}]})
    output = capsys.readouterr().out
    assert output.count(":smile:\\ta") == 1 + 2 + 3
    assert output.count(":smile:.jpg") == 2


def test_one_is_counted_as_one(run, tmp_path: Path) -> None:
    source = hl.open_source("digits").select(range(60))
    folder = tmp_path / "photos" / "a"
    folder.mkdir(parents=True)
    source.image(0).save(folder / "0.png")
    (folder / "empty.jpg").touch()
    np.save(tmp_path / "one.npy", np.ones((1, 8), np.float32))
    hl.fit(source, "itq", bits=16, image_size=32, device="cpu").save(tmp_path / "model")
    catalogue = hl.Catalogue.create(tmp_path / "index", hl.HashModel.load(tmp_path / "model"))
    assert "has only 1 item that can be read" in run("fit", tmp_path / "one.npy", "-o", tmp_path / "m")[2]

    error = run("index", tmp_path / "model", tmp_path / "photos", "-o", tmp_path / "index")[2]
    assert "1 image in all" in error and "1 of the images cannot be read and is left out:" in error
    assert re.search(r"searched +1 code: scanned *\n", run("info", tmp_path / "index")[1])
    many = tmp_path / "many"
    for number in range(20):
        (many / "ab"[number % 2]).mkdir(parents=True, exist_ok=True)
        source.image(number).save(many / "ab"[number % 2] / f"{number}.png")
    report = ("evaluate", tmp_path / "model", "--database", many, "-o", tmp_path / "report")
    error = run(*report, "--queries", tmp_path / "photos")[2]
    assert "1 of 1 query image stands in the database too and finds itself, so" in error
    assert "1 image of the queries could not be read and was left out." in error
    error = run("index", "--remove", tmp_path / "photos", "-o", tmp_path / "index")[2]
    assert "1 image of" in error and "0 images in all" in error
    assert len(catalogue) == 0 and re.search(r"searched +no codes *\n", run("info", tmp_path / "index")[1])

    truth = ("--ground-truth", tmp_path / "none.json", "--queries", tmp_path / "photos")
    error = run(*report[:-1], tmp_path / "instances", *truth)[2]
    assert error == f"hashlens: There is no file {tmp_path / 'none.json'}.\n"


def test_a_model_without_classes_and_a_protocol_without_a_split_are_told_plainly(run, tmp_path: Path) -> None:
    features = np.random.default_rng(0).normal(size=(40, 8)).astype(np.float32)
    hl.fit(features, "itq", bits=8, device="cpu").save(tmp_path / "model")
    assert re.search(r"classes +none *\n", run("info", tmp_path / "model")[1])
    error = run("fit", f"coco={tmp_path}", "-o", tmp_path / "m")[2]
    assert error.endswith(f" has the splits train, queries, database; say which, as in coco={tmp_path}:train.\n")
