"""Models go to the Hub and come back, with a card that says what they are."""

from __future__ import annotations

import json
import re
from pathlib import Path

import datasets
import httpx
import numpy as np
import pytest
from huggingface_hub import HfApi, ModelCard
from PIL import Image
from typer.testing import CliRunner

import hashlens as hl
from hashlens.cli import application
from hashlens.errors import BadInput
from hashlens.reports import write_report
from refusals import is_one_sentence

NAMES = ["cat | dog", "<b>bird</b>"]


@pytest.fixture(scope="module")
def source() -> hl.sources.FeatureArray:
    x = np.random.default_rng(0).normal(size=(60, 8)).astype(np.float32)
    return hl.sources.FeatureArray("/home/someone/pets.npz", x, np.arange(60) % 2, NAMES)


@pytest.fixture(scope="module")
def model(source: hl.sources.FeatureArray) -> hl.HashModel:
    return hl.fit(source, "orthohash", bits=16, epochs=1, device="cpu")


def test_a_model_that_was_sent_comes_back_the_same(
    hub: str, model: hl.HashModel, source: hl.sources.FeatureArray
) -> None:
    assert model.push("me/pets", license="cc0-1.0") == f"{hub}/me/pets"
    back = hl.HashModel.load("hf://me/pets")
    np.testing.assert_array_equal(back.encode(source), model.encode(source))
    assert (back.class_names, back.fingerprint()) == (model.class_names, model.fingerprint())


def test_the_card_tells_what_was_measured(
    hub: str, model: hl.HashModel, source: hl.sources.FeatureArray, tmp_path: Path
) -> None:
    report = write_report(
        model, queries=source.select(range(20)), database=source.select(range(20, 60)), folder=tmp_path / "report"
    )
    model.push("me/measured", report=tmp_path / "report", data="hf://datasets/me/pets", license="cc-by-4.0")
    content = httpx.get(f"{hub}/me/measured/resolve/main/README.md").text
    card = ModelCard(content)
    assert (card.data.license, card.data.library_name, card.data.datasets) == ("cc-by-4.0", "hashlens", ["me/pets"])
    told = {result.metric_name: result.metric_value for result in card.data.eval_results}
    assert told["mAP@10"] == round(report["mAP@10"], 6)
    assert {name for name in report.figures if "@" in name and "/" not in name} == set(told)
    (row,) = [line for line in content.splitlines() if line.startswith("| 10 |")]
    assert {f"{report['mAP@10']:.4f}", f"{report['mAP@10/worst']:.4f}"} <= set(row.split(" | "))
    assert "20 queries (pets.npz) in 40 items (pets.npz)" in content
    assert r"cat \| dog, \<b\>bird\</b\>" in content
    model.push("me/measured", report=report)  # the report itself, and a second time
    assert "cc-by" not in httpx.get(f"{hub}/me/measured/resolve/main/README.md").text


def test_the_page_and_its_commands_work(
    hub: str, model: hl.HashModel, source: hl.sources.FeatureArray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    page = (Path(__file__).parents[2] / "docs" / "hub.md").read_text(encoding="utf-8")
    model.save("model")
    write_report(model, queries=source.select(range(20)), database=source.select(range(20, 60)), folder="report")
    commands = re.findall(r"^    hashlens (push [^#\n]*)", page, re.MULTILINE)
    assert commands
    for command in commands:
        done = CliRunner().invoke(application(), command.split())
        assert done.exit_code == 0, done.output
    block, another = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    names = {"hl": hl}
    exec(compile(block, "docs/hub.md", "exec"), names)
    random = np.random.default_rng(0)
    for number in range(60):
        Path(f"shoes/{number % 2}").mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 256, (32, 32, 3), np.uint8)).save(f"shoes/{number % 2}/{number}.png")
    datasets.load_dataset("imagefolder", data_dir="shoes", split="train").to_parquet("shoes.parquet")
    monkeypatch.setattr("hashlens.backbones.backbone.native_image_size", lambda _: 32)  # a fraction of the time
    assert exec(compile(another, "docs/hub.md", "exec"), learned := dict(names)) is None
    assert learned["model"].bits == 64 and learned["model"].class_names == ("0", "1")  # type: ignore[attr-defined]
    assert names["model"].fingerprint() == model.fingerprint()  # type: ignore[attr-defined]
    np.save("photos.npy", source.features())
    for words in (
        ["index", "hf://me/shoes-64-bits", "photos.npy", "-o", "index"],
        ["info", "hf://me/shoes-64-bits"],
    ):
        done = CliRunner().invoke(application(), words)
        assert done.exit_code == 0, done.output


def test_no_folder_of_this_machine_is_told(hub: str, model: hl.HashModel) -> None:
    model.push("me/quiet")
    for name in ("README.md", "config.json"):
        assert "someone" not in httpx.get(f"{hub}/me/quiet/resolve/main/{name}").text


def test_only_what_a_model_is_made_of_is_fetched(hub: str, model: hl.HashModel, tmp_path: Path) -> None:
    model.push("me/trap")
    trap = tmp_path / "trap"
    trap.mkdir()
    for name in ("pytorch_model.bin", "code.py"):
        (trap / name).write_bytes(b"\x80\x04cos\nsystem\n(S'true'\ntR.")
    HfApi(hub, token=True).upload_folder(repo_id="me/trap", folder_path=trap)
    hl.HashModel.load("hf://me/trap")
    assert httpx.get(f"{hub}/asked", params={"like": "*.bin"}).json() == []
    kept = [path.name for path in (tmp_path / "hub-cache").rglob("snapshots/*/*")]
    assert sorted(kept) == ["config.json", "model.safetensors"]


def test_an_earlier_commit_can_be_had(hub: str, model: hl.HashModel) -> None:
    model.push("me/versions")
    first = HfApi(hub, token=True).model_info("me/versions").sha
    model.push("me/versions", data="other data", message="Another card")
    assert hl.HashModel.load(f"hf://me/versions@{first}").fingerprint() == model.fingerprint()
    with pytest.raises(BadInput, match="names a revision that the repository does not have") as error:
        hl.HashModel.load("hf://me/versions@v7")
    assert is_one_sentence(error)


def test_what_was_fetched_serves_without_a_network(
    hub: str, model: hl.HashModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    model.push("me/kept")
    hl.HashModel.load("hf://me/kept")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")  # where nobody listens
    assert hl.HashModel.load("hf://me/kept").fingerprint() == model.fingerprint()
    with pytest.raises(BadInput, match="hf://me/other cannot be had from the Hugging Face Hub") as error:
        hl.HashModel.load("hf://me/other")
    assert is_one_sentence(error)


def test_a_damaged_model_is_refused(hub: str, model: hl.HashModel) -> None:
    model.push("me/damaged")
    api = HfApi(hub, token=True)
    api.upload_file(path_or_fileobj=b"no weights", path_in_repo="model.safetensors", repo_id="me/damaged")
    with pytest.raises(BadInput, match="is damaged or belongs to another model"):
        hl.HashModel.load("hf://me/damaged")
    api.create_repo("me/empty")
    with pytest.raises(BadInput, match=r"hf://me/empty has no file config\.json") as error:
        hl.HashModel.load("hf://me/empty")
    assert is_one_sentence(error)


@pytest.mark.parametrize(
    "name", ["hf://nobody/nothing", "hf://", "hf://me", "hf://a/../b", "hf://datasets/me/pets"]
)
def test_what_is_no_model_on_the_hub_is_refused(hub: str, name: str) -> None:
    with pytest.raises(BadInput) as error:
        hl.HashModel.load(name)
    assert is_one_sentence(error)


def test_strangers_neither_send_nor_see_what_is_private(
    hub: str, model: hl.HashModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    model.push("me/private", private=True)
    monkeypatch.setenv("HF_TOKEN", "hf_of_somebody_else")
    for attempt in (lambda: model.push("me/private"), lambda: hl.HashModel.load("hf://me/private")):
        with pytest.raises(BadInput, match="HF_TOKEN") as error:
            attempt()
        assert is_one_sentence(error)


def test_a_report_of_another_model_is_refused(hub: str, model: hl.HashModel, tmp_path: Path) -> None:
    other = {"mAP@10": 0.99, "model": {"fingerprint": "0"}}
    with pytest.raises(BadInput, match="of another model") as error:
        model.push("me/wrong", report=other)
    assert is_one_sentence(error)
    for content in ("words", "[]", "{}"):
        (tmp_path / "metrics.json").write_text(content)
        with pytest.raises(BadInput, match="is no report of hashlens evaluate"):
            model.push("me/wrong", report=tmp_path)
    (tmp_path / "metrics.json").write_text(json.dumps(other))
    with pytest.raises(BadInput, match="of another model"):
        model.push("me/wrong", report=str(tmp_path))
    with pytest.raises(BadInput, match=r"There is no hf://me/wrong "):
        hl.HashModel.load("hf://me/wrong")  # nothing was made
