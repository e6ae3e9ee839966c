"""Data sets on the Hub are sources by their address."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import httpx
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from huggingface_hub import HfApi
from PIL import Image
from typer.testing import CliRunner

from hashlens.cli import application
from hashlens.errors import BadInput
from hashlens.sources import Source, UnreadableImage, open_source
from hashlens.sources.locations import Locations, is_gone
from refusals import is_one_sentence


def picture(shade: int) -> bytes:
    random = np.random.default_rng(shade)
    file = io.BytesIO()
    Image.fromarray(random.integers(0, 256, (32, 32, 3), np.uint8)).save(file, "PNG")
    return file.getvalue()


def parquet(*shades: int) -> bytes:
    images = [{"bytes": picture(shade), "path": None} for shade in shades]
    table = pa.table({"image": images, "label": [("cat", "dog")[shade % 2] for shade in shades]})
    file = io.BytesIO()
    pq.write_table(table, file)
    return file.getvalue()


def tar(*shades: int) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for shade in shades:
            for ending, content in (("png", picture(shade)), ("cls", b"%d" % (shade % 2))):
                member = tarfile.TarInfo(f"{shade}.{ending}")
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    return file.getvalue()


def upload(hub: str, name: str, files: dict[str, bytes | str]) -> str:
    api = HfApi(hub, token=True)
    api.create_repo(name, repo_type="dataset", exist_ok=True)
    for path, content in files.items():
        raw = content.encode() if isinstance(content, str) else content
        api.upload_file(path_or_fileobj=raw, path_in_repo=path, repo_id=name, repo_type="dataset")
    return f"hf://datasets/{name}"


def contents(source: Source) -> list[bytes | np.ndarray]:
    return [source.read(item) for item in range(len(source))]


def test_splits_are_found_by_the_names_of_files(hub: str) -> None:
    address = upload(
        hub,
        "me/pets",
        {
            "data/train-00000-of-00002.parquet": parquet(0, 1),
            "data/train-00001-of-00002.parquet": parquet(2),
            "data/test-00000-of-00001.parquet": parquet(3),
            "latest.txt": "no split of that name",
        },
    )
    for split, shades in (("train", [0, 1, 2]), ("test", [3]), (None, [0, 1, 2, 3])):
        source = open_source(address, split)
        assert contents(source) == [picture(shade) for shade in shades]
        assert [source.label_names(item) for item in range(len(source))] == [
            [("cat", "dog")[shade % 2]] for shade in shades
        ]
    assert contents(open_source(f"{address}/data/test-00000-of-00001.parquet")) == [picture(3)]
    assert len(open_source(f"{address}/data:train")) == 3
    for wrong, sentence in (
        (f"{address}:validation", "no split 'validation'; it has train, test"),
        (f"{address}/elsewhere", r"no \.parquet or \.tar files"),
        (f"{address}/data/test-00000-of-00001.parquet:test", "one file"),
        (f"{address}/none.parquet", "no file"),
        ("hf://datasets/me/nothing", "There is no hf://datasets/me/nothing"),
        ("hf://datasets/me", "write hf://datasets/user/name"),
    ):
        with pytest.raises(BadInput, match=sentence) as refusal:
            open_source(wrong)
        assert is_one_sentence(refusal)


def test_the_card_says_which_files_are_of_which_split(hub: str) -> None:
    card = """---
configs:
- config_name: big
  data_files:
  - split: train
    path: big/*.parquet
- config_name: small
  data_files:
  - split: train
    path: [one/a.parquet]
  - split: queries
    path: two/*
---
"""
    files = {
        "README.md": card,
        "big/0.parquet": parquet(0),
        "one/a.parquet": parquet(1),
        "two/b.parquet": parquet(2),
    }
    address = upload(hub, "me/configured", files)
    assert contents(open_source(f"{address}/big")) == [picture(0)]
    assert contents(open_source(f"{address}/small:queries")) == [picture(2)]
    assert contents(open_source(f"{address}/small")) == [picture(1), picture(2)]
    with pytest.raises(BadInput, match=r"several configurations, big, small; name one, as in .*/big") as refusal:
        open_source(address)
    assert is_one_sentence(refusal)


def test_tar_files_come_with_the_names_of_their_classes(hub: str) -> None:
    files = {"classnames.txt": "cat\ndog\n", "train/0.tar": tar(0, 1), "train/1.tar": tar(2), "test/0.tar": tar(3)}
    address = upload(hub, "me/shards", files)
    source = open_source(f"{address}:train")
    assert contents(source) == [picture(0), picture(1), picture(2)]
    assert [source.label_names(item) for item in range(3)] == [["cat"], ["dog"], ["cat"]]


def test_what_an_index_remembers_serves_without_a_network(hub: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, file, content in (("me/a", "train.parquet", parquet(4, 5)), ("me/b", "train.tar", tar(4, 5))):
        source = open_source(upload(hub, name, {file: content}))
        with monkeypatch.context() as offline:
            offline.setenv("HF_ENDPOINT", "http://127.0.0.1:9")  # where nobody listens
            assert not is_gone(source.location(1))
            found, item = Locations().find(source.location(1))
            assert found.read(item) == picture(5)


def test_a_table_from_the_hub_names_no_file_of_this_machine(hub: str, tmp_path: Path) -> None:
    (tmp_path / "mine.png").write_bytes(picture(1))
    file = io.BytesIO()
    pq.write_table(pa.table({"image": [{"bytes": None, "path": str(tmp_path / "mine.png")}]}, pa.schema(
        [("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())]))])), file)  # fmt: skip
    source = open_source(upload(hub, "me/spy", {"train.parquet": file.getvalue()}))
    with pytest.raises(UnreadableImage, match="names a file"):
        source.read(0)


@pytest.mark.usefixtures("one_thread")
def test_the_command_line_learns_indexes_and_measures(
    hub: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    files = {"data/train-0.parquet": parquet(*range(20)), "data/test-0.parquet": parquet(20, 21)}
    address = upload(hub, "me/all", files)
    for command in (
        f"fit {address}:train -o model --bits 16 --epochs 1 --device cpu",
        f"index model {address}:train -o index --device cpu",
        f"evaluate model --database {address}:train --queries {address}:test -o report --device cpu",
    ):
        done = CliRunner().invoke(application(), command.split())
        assert done.exit_code == 0, done.output
    assert (tmp_path / "report" / "report.html").is_file()
    fetched = httpx.get(f"{hub}/asked", params={"like": "data/train-0.parquet"}).json()
    assert len(fetched) == 1  # and kept
