"""Files that would start programs, command a terminal or fill the memory."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

import hashlens as hl
import processes
from hashlens.classes import open_taxonomy
from hashlens.errors import BadInput
from hashlens.files import as_shown
from hashlens.sources import FeatureArray, UnreadableImage, decode, open_source
from refusals import is_one_sentence


def test_postscript_called_a_photograph_starts_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trap = tmp_path / "gs"
    trap.write_text(f"#!/bin/sh\ntouch {tmp_path}/started\n")
    trap.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    script = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n"
    with pytest.raises(UnreadableImage, match="not an image in a format"):
        decode(script)
    assert not (tmp_path / "started").exists()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "ICO", "TGA", "JPEG2000"])
def test_formats_that_people_have_are_read(kind: str) -> None:
    file = io.BytesIO()
    Image.new("RGB", (16, 16), (200, 30, 40)).save(file, kind)
    found = decode(file.getvalue())
    assert found.size == (16, 16) and abs(found.getpixel((8, 8))[0] - 200) < 8


def test_a_huge_label_makes_no_list_of_names() -> None:
    with pytest.raises(BadInput, match="has the label 3000000000") as error:
        FeatureArray("mine", np.ones((2, 3)), np.array([0, 3_000_000_000]))
    assert is_one_sentence(error)


def test_a_small_file_that_would_fill_the_memory_is_refused(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "bomb.npz", x=np.zeros((2000, 100_000), np.float32))
    with pytest.raises(BadInput, match=r"grow to 0\.8 GB") as error:
        open_source(tmp_path / "bomb.npz")
    assert is_one_sentence(error)
    np.savez_compressed(tmp_path / "small.npz", x=np.zeros((2000, 100), np.float32))
    assert len(open_source(tmp_path / "small.npz")) == 2000


def test_a_small_parquet_file_that_would_fill_the_memory_is_refused(tmp_path: Path) -> None:
    """Millions of equal rows take no room in a file."""
    path = tmp_path / "bomb.parquet"
    rows = 10_000_000
    group = pa.table(
        {name: pa.DictionaryArray.from_arrays(np.zeros(rows, np.int8), ["x"]) for name in ("image", "label")}
    )
    group = group.set_column(0, "image", group["image"].cast(pa.dictionary(pa.int8(), pa.binary())))
    with pq.ParquetWriter(path, group.schema) as writer:
        for _ in range(4):
            writer.write_table(group, row_group_size=rows)
    assert path.stat().st_size < 1_000_000
    for use in (open_source, lambda path: open_taxonomy(path, ["x"]), lambda path: hl.engines.open(path, 8)):
        with pytest.raises(BadInput, match=r"would grow to \d+\.\d GB") as error:
            use(path)
        assert is_one_sentence(error)


def test_names_cannot_command_a_terminal(tmp_path: Path) -> None:
    name = "\x1b]0;title\x07\x1b[31mred\r\x7f\u202e.jpg"
    assert as_shown(name) == r"\x1b]0;title\x07\x1b[31mred\r\x7f\u202e.jpg"
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / name).write_bytes(b"no picture")
    done = processes.hashlens("fit", tmp_path, "-o", tmp_path / "model")
    assert done.returncode == 2
    assert "\x1b]" not in done.stderr and r"\x1b]0;title" in done.stderr


def test_a_closed_standard_error_spoils_no_output(tmp_path: Path) -> None:
    command = f"{sys.executable} -m hashlens info {tmp_path}/lost 2>&-"
    done = subprocess.run(command, shell=True, capture_output=True)
    assert (done.returncode, done.stdout) == (2, b"")
