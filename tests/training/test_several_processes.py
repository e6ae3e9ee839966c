"""One training by several processes: what one process with the whole batch would have learnt."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch

import hashlens as hl
from hashlens.compute.processes import Started, started_by_cluster

TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
SCRIPT = """
import json, os, sys
import numpy as np
import hashlens as hl

if __name__ == "__main__":
    folder, *trainings = sys.argv[1:]
    os.chdir(folder)
    for number, training in enumerate(map(json.loads, trainings)):
        source = hl.open_source("images")
        if training.pop("of_features", False):
            x = np.random.default_rng(0).normal(size=(60, 8)).astype(np.float32)
            source = hl.sources.FeatureArray("mine", x, np.arange(60) % 3)
        model = hl.fit(source, device="cpu", seed=3, **training)
        found = {"training": model.training, "unreadable": model.training["unreadable"]}
        rank = os.environ.get("RANK", os.environ.get("LOCAL_RANK", "0"))
        with open(f"{number}-of-{rank}.json", "w") as file:
            json.dump(found, file)
        np.save(f"{number}-of-{rank}.npy", model.continuous_codes(source))
"""
GRADIENTS = """
import sys
import torch
from torch import nn
from hashlens.objectives import make_objective, Problem
from hashlens.training.loop import NetworkLoss
from hashlens.training.processors import processors

class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.backbone = None
        self.features_of, self.codes_of = nn.Linear(5, 7), nn.Sequential(nn.Linear(7, 16), nn.BatchNorm1d(16))

fabric = processors(torch.device("cpu"))
torch.manual_seed(0)
both = NetworkLoss(Network(), make_objective("dpsh", Problem(bits=16, classes=3)), fabric)
x, y = torch.randn(12, 5), torch.arange(12) % 3
model, _ = fabric.setup(both, torch.optim.Adam(both.parameters()))
fabric.backward(model(*(whole[fabric.global_rank :: fabric.world_size] for whole in (x, y))))
torch.save([one.grad for one in both.parameters()], f"{sys.argv[1]}-{fabric.global_rank}.pt")
"""
SMALL = {"bits": 16, "backbone": "lcnet_035", "weights": "weights.pth", "image_size": 32, "finetune": True,
         "epochs": 3, "batch_size": 16, "learning_rate": 1e-4, "validation": 0.2}  # fmt: skip
TRAININGS: dict[str, dict[str, Any]] = {
    "batch norm": SMALL | {"method": "orthohash"},
    "pairs": SMALL | {"method": "dpsh"},
    "distances and divergence": SMALL | {"method": "shrewd", "taxonomy": "folders"},
    "a frozen backbone": SMALL | {"method": "orthohash", "finetune": False, "hidden_layers": [32]},
    "features": {"method": "hashlens", "bits": 16, "epochs": 3, "batch_size": 16, "of_features": True},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images of four classes in two groups, two of them damaged, and weights."""
    made, digits = tmp_path_factory.mktemp("several"), hl.open_source("digits")
    for number in range(64):
        path = made / "images" / "ab"[number % 2] / f"class {number % 4}" / f"{number:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        digits.image(number).save(path)
    for number in ("03", "40"):
        next((made / "images").rglob(f"{number}.png")).write_bytes(b"no image")
    torch.manual_seed(0)
    network = timm.create_model("lcnet_035", num_classes=0).train()
    for _ in range(30):  # batch norm learns what it sees: without that features are so small that rounding decides
        network(torch.randn(32, 3, 32, 32))
    torch.save(network.state_dict(), made / "weights.pth")
    (made / "script.py").write_text(SCRIPT, encoding="utf-8")
    return made


def run(folder: Path, out: Path, starting: list[str]) -> None:
    out.mkdir()
    for name in ("images", "weights.pth"):
        (out / name).symlink_to(folder / name)
    trainings = [json.dumps(training) for training in TRAININGS.values()]
    done = subprocess.run(
        [*starting, str(folder / "script.py"), str(out), *trainings],
        capture_output=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]


@pytest.fixture(scope="module")
def alone(folder: Path) -> Path:
    run(folder, folder / "alone", [sys.executable])
    return folder / "alone"


@pytest.fixture(scope="module")
def together(folder: Path) -> Path:
    run(folder, folder / "together", TORCHRUN)
    return folder / "together"


@pytest.mark.parametrize("number", range(len(TRAININGS)), ids=list(TRAININGS))
def test_two_processes_learn_what_one_learns(number: int, alone: Path, together: Path) -> None:
    """Their batches are halves of its batches."""
    one, *two = (
        json.loads((where / f"{number}-of-{rank}.json").read_text())
        for where, rank in ((alone, 0), (together, 0), (together, 1))
    )
    assert two[0] == two[1]
    assert [entry["epoch"] for entry in two[0]["training"]["history"]] == [1, 2, 3]
    for mine, ours in zip(one["training"]["history"], two[0]["training"]["history"], strict=True):
        assert ours["loss"] == pytest.approx(mine["loss"], abs=1e-4)
    for name in ("images", "held_out", "unreadable", "best_epoch"):
        assert one["training"][name] == two[0]["training"][name]
    codes = [np.load(together / f"{number}-of-{rank}.npy") for rank in (0, 1)]
    np.testing.assert_array_equal(*codes)
    np.testing.assert_allclose(codes[0], np.load(alone / f"{number}-of-0.npy"), atol=2e-3)
    assert np.isfinite(codes[0]).all()


def test_their_gradients_are_those_of_the_whole_batch(tmp_path: Path) -> None:
    (tmp_path / "gradients.py").write_text(GRADIENTS, encoding="utf-8")
    for name, starting in (("alone", [sys.executable]), ("together", TORCHRUN)):
        done = subprocess.run(
            [*starting, "gradients.py", name], cwd=tmp_path, capture_output=True, text=True, timeout=90, check=False
        )
        assert done.returncode == 0, done.stderr[-4000:]
    for rank in (0, 1):
        found, expected = (torch.load(tmp_path / f"{name}.pt") for name in (f"together-{rank}", "alone-0"))
        assert len(found) == len(expected) == 6
        for mine, whole in zip(found, expected, strict=True):
            torch.testing.assert_close(mine, whole)


def test_the_command_writes_one_model(folder: Path) -> None:
    words = ["-m", "hashlens", "fit", "images", "-o", "model", "--bits", "16", "--image-size", "32", "--finetune",
             "--backbone", "lcnet_035", "--weights", "weights.pth", "--epochs", "1", "--device", "cpu"]  # fmt: skip
    done = subprocess.run([*TORCHRUN, *words], cwd=folder, capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    assert done.stderr.count("Saved model") == 1 and not (folder / "model" / "checkpoints").exists()
    assert hl.HashModel.load(folder / "model").bits == 16


@pytest.mark.parametrize(
    ("environment", "started"),
    [
        ({}, None),
        (
            {"TORCHELASTIC_RUN_ID": "x", "LOCAL_WORLD_SIZE": "4", "WORLD_SIZE": "8", "RANK": "5"},
            Started("torchrun", on_node=4, nodes=2, rank=5),
        ),
        (
            {"SLURM_JOB_NAME": "train", "SLURM_PROCID": "3", "SLURM_NTASKS": "4", "SLURM_NNODES": "2"},
            Started("SLURM", on_node=2, nodes=2, rank=3),
        ),
        ({"SLURM_JOB_NAME": "bash", "SLURM_PROCID": "0", "SLURM_NTASKS": "4"}, None),
        ({"SLURM_JOB_NAME": "train", "SLURM_PROCID": "0", "SLURM_NTASKS": "1"}, None),
    ],
)
def test_who_started_the_process(
    environment: dict[str, str], started: Started | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("TORCHELASTIC_RUN_ID", "SLURM_JOB_NAME", "SLURM_PROCID", "SLURM_NTASKS", "SLURM_NNODES"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert started_by_cluster() == started
