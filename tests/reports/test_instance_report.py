"""Instance retrieval from images and a ground truth to a report, by the command."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from PIL import Image

import hashlens as hl
from hashlens.cli import main
from hashlens.errors import BadInput
from hashlens.metrics import GroundTruth, evaluate_instances
from hashlens.reports import write_instances
from refusals import is_one_sentence


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """A model, and images in folders whose order is not that of the ground truth."""
    folder = tmp_path_factory.mktemp("instances")
    source = hl.open_source("digits")
    hl.fit(source.select(range(200)), bits=16, image_size=32, epochs=2, finetune=False).save(folder / "model")
    for place, item in enumerate(range(300, 340)):
        side = folder / ("queries" if place < 4 else "database")
        side.mkdir(exist_ok=True)
        Image.fromarray(np.asarray(source.image(item))).save(side / f"{(7 * place) % 40:02}.png")
    names = [f"{(7 * place) % 40:02}" for place in range(40)]
    labels = source.labels[300:340]
    gnd = [
        {
            "bbx": [0, 0, 8, 8],
            "easy": [i for i in range(35) if labels[4 + i] == labels[query] and i % 2],
            "hard": [i for i in range(35) if labels[4 + i] == labels[query] and i % 2 == 0],
            "junk": [i for i in range(35) if labels[4 + i] == (labels[query] + 1) % 10],
        }
        for query in range(4)
    ]
    content = {"gnd": gnd, "qimlist": names[:4], "imlist": names[4:39]}  # one image is not asked for
    (folder / "gnd.json").write_text(json.dumps(content))
    return folder, content


def test_images_are_found_by_their_names(digits, tmp_path, monkeypatch, capsys) -> None:
    folder, content = digits
    options = ["--queries", f"{folder}/queries", "--database", f"{folder}/database", "-o", f"{tmp_path}"]
    words = ["evaluate", f"{folder}/model", "--ground-truth", f"{folder}/gnd.json"]
    monkeypatch.setattr("sys.argv", ["hashlens", *words, *options, "--at", "1,3"])
    with pytest.raises(SystemExit) as done:
        main()
    assert done.value.code in (0, None)
    output = capsys.readouterr().out
    found = json.loads((tmp_path / "metrics.json").read_text())
    assert (found["queries"], found["database"]) == (4, 35)
    assert "box for 4 queries" in found["notes"][0]
    model = hl.HashModel.load(folder / "model")
    queries, database = (
        model.encode([folder / side / f"{name}.png" for name in names])
        for side, names in (("queries", content["qimlist"]), ("database", content["imlist"]))
    )
    lists = [[np.array(query[name], np.int64) for query in content["gnd"]] for name in ("easy", "hard", "junk")]
    expected = evaluate_instances(queries, database, GroundTruth(*map(tuple, lists)), at=(1, 3))
    assert {name: found[name] for name in expected.figures} == pytest.approx(expected.figures)
    assert set(found["features"]) == set(expected.figures)
    assert f"{found['mAP/hard']:.4f}" in output
    assert (tmp_path / "queries.csv").read_text().startswith("query,mAP/easy,mP@1/easy")


@pytest.mark.parametrize("wrong", ["a missing name", "another number", "a broken image"])
def test_what_the_ground_truth_is_not_of_is_refused(digits, tmp_path, wrong: str) -> None:
    folder, content = digits
    changed, database = dict(content), folder / "database"
    if wrong == "a missing name":
        changed["imlist"] = [*content["imlist"][:-1], "nothing"]
    elif wrong == "another number":
        changed = {"gnd": content["gnd"][:3]}
    else:
        database = tmp_path / "database"
        shutil.copytree(folder / "database", database)
        broken = database / f"{content['imlist'][3]}.png"
        broken.write_bytes(broken.read_bytes()[:70])
    (tmp_path / "gnd.json").write_text(json.dumps(changed))
    sides = {"queries": folder / "queries", "database": database, "ground_truth": tmp_path / "gnd.json"}
    with pytest.raises(BadInput) as error:
        write_instances(hl.HashModel.load(folder / "model"), **sides, folder=tmp_path / "report")
    assert is_one_sentence(error)
