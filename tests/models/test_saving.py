"""A model on disk: old formats, killed processes, odd names."""

from __future__ import annotations

import json
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest

import hashlens as hl
import processes
from hashlens.errors import BadInput
from hashlens.models import HashModel
from hashlens.reports.facts import facts_of
from refusals import is_one_sentence

FORMATS = Path(__file__).parents[1] / "formats"

KILLED_SAVE = """
import os, pathlib, signal, sys
from hashlens.models import HashModel

done, step = 0, int(sys.argv[3])
model = HashModel.load(sys.argv[1])

def dying(call):
    def wrapped(*args, **kwargs):
        global done
        done += 1
        if done == abs(step):
            if step < 0:
                call(*args, **kwargs)
            os.kill(os.getpid(), signal.SIGKILL)
        return call(*args, **kwargs)
    return wrapped

for name in ("replace", "write_bytes", "unlink"):
    setattr(pathlib.Path, name, dying(getattr(pathlib.Path, name)))
model.save(sys.argv[2])
"""


def trained(seed: int) -> HashModel:
    x = np.random.default_rng(0).normal(size=(60, 8)).astype(np.float32)
    items = hl.sources.FeatureArray("mine", x, np.arange(60) % 2, ["cat", f"dog {seed}"])
    return hl.fit(items, "orthohash", bits=16, epochs=1, seed=seed, device="cpu")


@pytest.mark.parametrize("version", ["1", "2"])
def test_models_of_earlier_formats_open(tmp_path: Path, version: str) -> None:
    model = HashModel.load(FORMATS / version / "model")
    expected = np.load(FORMATS / version / "expected.npz")
    np.testing.assert_array_equal(model.encode(expected["x"]), expected["codes"])
    assert model.class_names == ("cat", "dog", "été", "<b>")
    model.save(tmp_path)
    again = HashModel.load(tmp_path)
    assert again.fingerprint() == model.fingerprint()
    assert json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))["version"] == 3


def test_a_format_that_is_not_known_yet_is_refused(tmp_path: Path) -> None:
    shutil.copytree(FORMATS / "2" / "model", tmp_path / "model")
    config = json.loads((tmp_path / "model" / "config.json").read_text(encoding="utf-8"))
    (tmp_path / "model" / "config.json").write_text(json.dumps(config | {"version": 4}))
    with pytest.raises(BadInput, match="version 4"):
        HashModel.load(tmp_path / "model")


@pytest.mark.parametrize("change", [{"mirrored": True}, {"hidden_layers": [7]}, {"bits": 15}])
def test_a_config_that_would_give_other_codes_is_refused(tmp_path: Path, change: dict) -> None:
    trained(0).save(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    (tmp_path / "config.json").write_text(json.dumps(config | change), encoding="utf-8")
    with pytest.raises(BadInput) as error:
        HashModel.load(tmp_path)
    assert is_one_sentence(error)


def test_preprocessing_that_is_not_what_was_saved_is_refused(tmp_path: Path) -> None:
    hl.fit(hl.open_source("digits").select(range(20)), "itq", bits=8, image_size=32).save(tmp_path)
    config = (tmp_path / "config.json").read_text(encoding="utf-8")
    assert "0.5" in config
    (tmp_path / "config.json").write_text(config.replace("0.5", "0.4", 1), encoding="utf-8")
    with pytest.raises(BadInput, match="what codes depend on is not what was written"):
        HashModel.load(tmp_path)


def test_json_without_end_is_refused(tmp_path: Path) -> None:
    trained(0).save(tmp_path)
    (tmp_path / "config.json").write_text("[" * 100_000, encoding="utf-8")
    with pytest.raises(BadInput, match="not valid JSON"):
        HashModel.load(tmp_path)


def test_a_model_whose_training_is_damaged_is_not_described(tmp_path: Path) -> None:
    trained(0).save(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    del config["training"]["held_out"]
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(BadInput, match="is damaged") as error:
        facts_of(tmp_path)
    assert is_one_sentence(error)


def test_a_save_that_is_killed_anywhere_leaves_the_old_model_or_the_new(tmp_path: Path) -> None:
    old, new = trained(0), trained(1)
    new.save(tmp_path / "new")
    prints = {old.fingerprint(): old.class_names, new.fingerprint(): new.class_names}
    found = []
    for step in (1, -1, 2, -2, 3, -3, 4, -4, 5, -5, 6, -6, 7, -7, 8, -8, 9, -9):
        folder = tmp_path / f"model{step}"
        old.save(folder)
        done = processes.run(KILLED_SAVE, tmp_path / "new", folder, step)
        if done.returncode == 0:
            break
        assert done.returncode == -signal.SIGKILL, done.stderr
        loaded = HashModel.load(folder)
        assert loaded.class_names == prints[loaded.fingerprint()]
        found.append(loaded.fingerprint())
        new.save(folder)
        assert HashModel.load(folder).fingerprint() == new.fingerprint()
        assert len([path for path in folder.iterdir() if path.name.startswith(".model-")]) == 0
    assert set(found) == set(prints)


def test_class_names_that_are_no_utf8_are_saved_and_replace_nothing_by_half(tmp_path: Path) -> None:
    model = trained(0)
    model.save(tmp_path)
    model.class_names = ("caf\udce9", "猫")
    model.save(tmp_path)
    assert HashModel.load(tmp_path).class_names == ("caf\udce9", "猫")
