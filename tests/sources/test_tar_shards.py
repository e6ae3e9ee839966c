"""WebDataset's .tar files are read as its own convention has them; hostile ones hurt nobody."""

from __future__ import annotations

import io
import json
import logging
import tarfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from hashlens.cli import application
from hashlens.errors import BadInput
from hashlens.sources import open_source
from hashlens.sources.locations import Locations
from refusals import is_one_sentence


def picture(shade: int = 0, kind: str = "PNG") -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (6, 4), (shade, 0, 0)).save(file, kind)
    return file.getvalue()


def write(path: Path, members: Sequence[tuple[str | tarfile.TarInfo, bytes]], **options: object) -> Path:
    with tarfile.open(path, "w", **options) as archive:  # type: ignore[call-overload]
        for name, content in members:
            member = name if isinstance(name, tarfile.TarInfo) else tarfile.TarInfo(name)
            if member.type in (tarfile.REGTYPE, b"S"):
                member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def of_type(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


def test_files_with_one_key_are_an_item(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.tar",
        [
            ("./cats/0001.seg.png", picture(9)),
            ("./cats/0001.jpg", picture(1, "JPEG")),
            ("./cats/0001.cls", b"1\n"),
            ("0002.WEBP", picture(2, "WEBP")),
            ("0002.json", b'{"label": 0, "who": "me"}'),
            ("0002.txt", b"a caption"),
            ("0003.cls", b"1"),
            ("a#%.b/c.png", picture(3)),
        ],
    )
    source = open_source(path)
    assert [source.key(item) for item in range(3)] == ["a.tar/cats/0001", "a.tar/0002", "a.tar/a#%.b/c"]
    assert source.labels is not None and source.labels.tolist() == [1, 0, -1]
    assert source.read(0) == picture(1, "JPEG") and source.read(1) == picture(2, "WEBP")
    for item in range(3):  # what an index remembers leads back
        found, number = Locations().find(source.location(item))
        assert found.read(number) == source.read(item)


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ([("cls", b"cat"), ("cls", b"dog"), ("cls", b"cat")], [["cat"], ["dog"], ["cat"]]),
        ([("cls", b"7"), ("cls", b"cat"), ("cls", b"")], [["7"], ["cat"], []]),
        (
            [("json", b'{"labels": ["sea", "sky"]}'), ("json", b"{}"), ("json", b'["sea"]')],
            [["sea", "sky"], [], ["sea"]],
        ),
        ([("json", b'{"class": "x"}'), ("json", b'"y"'), ("json", b"3")], [["x"], ["y"], ["3"]]),
        ([("json", b"{}"), ("json", b"null"), ("txt", b"7")], None),
        ([("json", b"[" * 100_000), ("cls", b"\xff"), ("json", b"no")], None),
    ],
)  # fmt: skip
def test_labels_are_numbers_names_or_lists(
    tmp_path: Path, labels: list[tuple[str, bytes]], expected: list[list[str]] | None
) -> None:
    members = [(f"{n}.{end}", told) for n, (ending, content) in enumerate(labels)
               for end, told in (("png", picture()), (ending, content))]  # fmt: skip
    source = open_source(write(tmp_path / "a.tar", members))
    if expected is None:
        assert source.labels is None
    else:
        assert [source.label_names(item) for item in range(3)] == expected


def test_labels_of_different_kinds_are_refused(tmp_path: Path) -> None:
    for number, told in enumerate((["x", "y"], 2.5, {"x": 1}, [["x"]])):
        content = [("0.png", picture()), ("0.json", b"1"), ("1.png", picture())]
        path = write(tmp_path / f"{number}.tar", [*content, ("1.json", json.dumps({"label": told}).encode())])
        with pytest.raises(BadInput, match="labels of") as refusal:
            open_source(path)
        assert is_one_sentence(refusal)


def test_several_files_are_one_source(tmp_path: Path) -> None:
    for number in range(12):
        members = [(f"{number}.png", picture(number)), (f"{number}.cls", b"%d" % (number % 3))]
        write(tmp_path / f"photos-{number:03}.tar", members)
    (tmp_path / "classnames.txt").write_text("cat\ndog\nbird\n", encoding="utf-8")
    for pattern, expected in (
        ("photos-{000..011}.tar", list(range(12))),
        ("photos-{011..009}.tar", [11, 10, 9]),
        ("photos-{003,001}.tar", [3, 1]),
        ("photos-0{0,1}{0..1}.tar", [0, 1, 10, 11]),
        ("photos-00*.tar", list(range(10))),
        ("photos-007.tar", [7]),
    ):
        source = open_source(tmp_path / pattern)
        assert [source.image(item).getpixel((0, 0))[0] for item in range(len(source))] == expected
        assert source.class_names == ("cat", "dog", "bird")
        assert source.labels is not None and source.labels.tolist() == [number % 3 for number in expected]
    for pattern, sentence in (
        ("photos-{010..012}.tar", r"no file .*photos-012\.tar"),
        ("photos-{000..99999999}.tar", "more than 100,000 files"),
        ("photos-000.tar:train", "no split 'train'"),
    ):
        with pytest.raises(BadInput, match=sentence) as refusal:
            open_source(f"{tmp_path}/{pattern}")
        assert is_one_sentence(refusal)


def test_what_is_hostile_is_passed_over_and_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    secret = tmp_path / "secret.png"
    secret.write_bytes(picture(200))
    before = sorted(tmp_path.rglob("*"))
    path = write(
        tmp_path / "a.tar",
        [
            ("good.png", picture(1)),
            (of_type("link.png", tarfile.SYMTYPE, str(secret)), b""),
            (of_type("hard.png", tarfile.LNKTYPE, "../secret.png"), b""),
            (of_type("device.png", tarfile.CHRTYPE), b""),
            (of_type("pipe.png", tarfile.FIFOTYPE), b""),
            (str(secret), picture(2)),
            ("../../up.png", picture(3)),
            ("good.png", picture(4)),
            ("big.json", b" " * (2 << 20)),
            (".hidden.png", picture(5)),
            ("no-ending", picture(6)),
            ("film.mp4", b"film"),
        ],
    )
    with caplog.at_level(logging.WARNING, "hashlens"):
        source = open_source(path)
    assert len(source) == 1 and source.read(0) == picture(1)
    assert sorted(tmp_path.rglob("*")) == sorted([*before, path])
    (warning,) = caplog.messages
    for told in (
        "2 links",
        "2 devices",
        "2 files whose name leads out",
        "1 files whose name is there",
        "1 labels over",
    ):
        assert told in warning


def test_a_size_that_lies_is_refused(tmp_path: Path) -> None:
    header = tarfile.TarInfo("huge.png")
    header.size = 1 << 40
    (tmp_path / "huge.tar").write_bytes(header.tobuf(tarfile.GNU_FORMAT) + picture() + bytes(1024))
    long = of_type("././@LongLink", tarfile.GNUTYPE_LONGNAME)
    long.size = 1 << 33
    (tmp_path / "name.tar").write_bytes(long.tobuf(tarfile.GNU_FORMAT) + bytes(2048))
    chain = of_type("x", tarfile.XHDTYPE)
    (tmp_path / "chain.tar").write_bytes(chain.tobuf(tarfile.USTAR_FORMAT) * 5000 + bytes(1024))
    for name in ("huge", "name", "chain"):
        with pytest.raises(BadInput, match=r"cut off|damaged") as refusal:
            open_source(tmp_path / f"{name}.tar")
        assert is_one_sentence(refusal)


def test_an_archive_that_is_cut_off_or_damaged_is_refused(tmp_path: Path) -> None:
    whole = write(tmp_path / "a.tar", [(f"{n}.png", picture(n)) for n in range(5)]).read_bytes()
    members = 5 * 1024  # a header and a block each
    for length in (100, 600, 3 * 1024 + 100, members - 100):
        (tmp_path / "cut.tar").write_bytes(whole[:length])
        with pytest.raises(BadInput, match=r"cut off|damaged") as refusal:
            open_source(tmp_path / "cut.tar")
        assert is_one_sentence(refusal)
    damaged = bytearray(whole)
    damaged[2 * 1024 + 150] ^= 0xFF  # in the checksum of the third header
    (tmp_path / "damaged.tar").write_bytes(damaged)
    with pytest.raises(BadInput, match="damaged at byte 2,048"):
        open_source(tmp_path / "damaged.tar")
    for name, content in (
        ("words.tar", b"words" * 999),
        ("a.tar.gz", b"\x1f\x8b"),
        ("b.tgz", b""),
        ("empty.tar", b""),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(BadInput) as refusal:
            open_source(tmp_path / name)
        assert is_one_sentence(refusal)
    with pytest.raises(BadInput, match="holds no images"):
        open_source(write(tmp_path / "none.tar", [("1.cls", b"3")]))


@pytest.mark.parametrize("layout", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_every_layout_of_names_is_read(tmp_path: Path, layout: int) -> None:
    name = "/".join(["folder of forty letters, more or less"] * (2 if layout == tarfile.USTAR_FORMAT else 9))
    source = open_source(write(tmp_path / "a.tar", [(f"{name}/ü.png", picture(7))], format=layout))
    assert source.key(0) == f"a.tar/{name}/ü" and source.read(0) == picture(7)


def test_a_file_that_changes_is_noticed(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tar", [("1.png", picture(1))])
    source = open_source(path)
    write(path, [("other.cls", b"1"), ("1.png", picture(1))])
    with pytest.raises(Exception, match="has changed"):
        source.read(0)


@pytest.mark.usefixtures("one_thread")
def test_the_command_line_learns_indexes_and_measures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    for number in range(3):
        members: list[tuple[str | tarfile.TarInfo, bytes]] = []
        for item in range(10):
            file = io.BytesIO()
            Image.fromarray(random.integers(0, 256, (32, 32, 3), np.uint8)).save(file, "PNG")
            members += [(f"{item}.png", file.getvalue()), (f"{item}.cls", b"%d" % (item % 2))]
        write(tmp_path / f"photos-{number}.tar", members)
    for command in (
        "fit photos-{0..1}.tar -o model --bits 16 --epochs 1 --device cpu",
        "index model photos-{0..1}.tar -o index --device cpu",
        "evaluate model --database photos-{0..1}.tar --queries photos-2.tar -o report --device cpu",
    ):
        done = CliRunner().invoke(application(), command.split())
        assert done.exit_code == 0, done.output
    assert json.loads((tmp_path / "report" / "metrics.json").read_text())["database"] == 20
