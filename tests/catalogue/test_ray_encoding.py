"""A source encoded on Ray: the index of one process, whoever is killed on the way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import ray
from copies import content, write_digits

import hashlens as hl
from hashlens.catalogue import Catalogue, ray_encoding
from hashlens.errors import BadInput
from hashlens.models import Encoded
from ray_nodes import nodes
from refusals import is_one_sentence

pytestmark = pytest.mark.ray
IMAGES = 90


@pytest.fixture(scope="module")
def cluster() -> str:
    return nodes().address


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_digits(tmp_path_factory.mktemp("photos"), IMAGES, damaged=[4, 7, 40])


@pytest.fixture(scope="module")
def model(photos: Path) -> hl.HashModel:
    return hl.fit(photos, bits=16, image_size=32, epochs=1, finetune=False, device="cpu")


@pytest.fixture(scope="module")
def whole(model: hl.HashModel, photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Catalogue:
    made = Catalogue.create(tmp_path_factory.mktemp("whole") / "index", model)
    made.update(hl.open_source(photos), "cpu")
    return made


@pytest.fixture
def made(model: hl.HashModel, tmp_path: Path) -> Catalogue:
    return Catalogue.create(tmp_path / "index", model)


def test_it_makes_the_index_that_one_process_makes(
    whole: Catalogue, made: Catalogue, photos: Path, cluster: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_encoding, "ITEMS", 8)
    source = hl.open_source(photos)
    changes = made.update(source, "cpu", ray=cluster)
    assert (changes.added, len(changes.skipped)) == (IMAGES - 3, 3)
    assert content(made.folder) == content(whole.folder)
    assert not (made.folder / "encoding").exists()
    (photos / "class 0" / "new.png").write_bytes((photos / "class 0" / "000.png").read_bytes())
    again = made.update(hl.open_source(photos), "cpu", ray=cluster)
    (photos / "class 0" / "new.png").unlink()
    assert (again.added, again.unchanged) == (1, IMAGES - 3)


def test_features_are_encoded_too(cluster: str, tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(3000, 8)).astype(np.float32)
    source = hl.sources.FeatureArray("mine", x, np.arange(3000) % 2, ["cat", "dog"])
    model = hl.fit(source, "orthohash", bits=16, epochs=1, device="cpu")
    made = [Catalogue.create(tmp_path / name, model) for name in ("whole", "index")]
    made[0].update(source, "cpu")
    made[1].update(source, "cpu", ray=cluster)
    assert content(made[1].folder) == content(made[0].folder)


def test_a_killed_driver_is_started_again_and_only_missing_parts_are_encoded(
    whole: Catalogue, made: Catalogue, photos: Path, cluster: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_encoding, "ITEMS", 4)
    script = (
        "import sys, os, time, hashlens as hl\n"
        "from hashlens.catalogue import ray_encoding\n"
        "ray_encoding.ITEMS = 4\n"
        "index, source, address = sys.argv[1:]\n"
        "read = ray_encoding._read\n"
        "def stopped(path):\n"  # when three parts are stored; tasks that are under way write three more
        "    if len(index_) >= 11:\n"
        "        while len(os.listdir(path.parent)) < 3: time.sleep(0.02)\n"
        "        print('ready', flush=True); time.sleep(600)\n"
        "    return read(path)\n"
        "ray_encoding._read = stopped\n"
        "index_ = hl.Catalogue.open(index)\n"
        "index_.update(hl.open_source(source), 'cpu', ray=address)\n"
    )
    words = [sys.executable, "-c", script, str(made.folder), str(photos), cluster]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as driver:
        assert driver.stdout is not None and driver.stdout.readline() == "ready\n"
        driver.send_signal(signal.SIGKILL)
    stored = len(made)
    written = {path.name: path.stat().st_mtime_ns for path in (made.folder / "encoding").glob("*.safetensors")}
    assert 11 <= stored < IMAGES - 3 and written

    kept, read = [], ray_encoding._read

    def noted(path: Path) -> object:
        if path.name in written and path.stat().st_mtime_ns == written[path.name]:
            kept.append(path.name)
        return read(path)

    monkeypatch.setattr(ray_encoding, "_read", noted)
    made.update(hl.open_source(photos), "cpu", ray=cluster)
    assert set(kept) == set(written)
    assert content(made.folder) == content(whole.folder)


def test_another_worker_takes_the_place_of_a_killed_one(
    whole: Catalogue, made: Catalogue, photos: Path, cluster: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_encoding, "ITEMS", 8)
    encode, killed = ray_encoding._encode, made.folder.with_name("killed")

    def dies_once(*arguments: object) -> None:
        try:
            killed.touch(exist_ok=False)
        except FileExistsError:
            encode(*arguments)  # type: ignore[arg-type]
        else:
            os.kill(os.getpid(), signal.SIGKILL)

    monkeypatch.setattr(ray_encoding, "_encode", dies_once)
    made.update(hl.open_source(photos), "cpu", ray=cluster)
    assert killed.exists() and content(made.folder) == content(whole.folder)


def test_an_image_that_kills_every_worker_is_told(
    made: Catalogue, photos: Path, cluster: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    monkeypatch.setattr(ray_encoding, "_encode", dies)
    monkeypatch.setattr(ray_encoding, "RETRIES", 0)
    with pytest.raises(BadInput, match="workers died of it") as error:
        made.update(hl.open_source(photos), "cpu", ray=cluster)
    assert is_one_sentence(error) and len(made) == 0


def test_a_damaged_part_is_as_good_as_none(model: hl.HashModel, photos: Path, tmp_path: Path) -> None:
    with model.encoder("cpu") as encode:
        part = Encoded.joined(list(encode.batches(hl.open_source(photos))))
    path = tmp_path / "part.safetensors"
    ray_encoding._write(path, part)
    assert ray_encoding._read(path) is not None
    written = path.read_bytes()
    for place in range(0, len(written), 41):
        path.write_bytes(written[:place] + bytes([written[place] ^ 4]) + written[place + 1 :])
        assert ray_encoding._read(path) is None
    assert ray_encoding._read(tmp_path / "nowhere") is None


def test_what_cannot_be_spread_is_refused_in_a_sentence(
    made: Catalogue, photos: Path, cluster: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = hl.open_source(photos)
    with monkeypatch.context() as patch:
        patch.setattr(ray, "is_initialized", lambda: False)  # as in a process of its own
        with pytest.raises(BadInput, match="no Ray cluster at") as error:
            made.update(source, "cpu", ray="127.0.0.1:1")
    assert is_one_sentence(error)
    monkeypatch.setattr(ray, "cluster_resources", lambda: {"CPU": 0.0})
    with pytest.raises(BadInput, match="no processors") as error:
        made.update(source, "cpu", ray=cluster)
    assert is_one_sentence(error)
    assert len(made) == 0
