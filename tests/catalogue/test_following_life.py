"""An index that follows its images: moved, removed and pruned ones, and copies."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import hashlens as hl
from hashlens.catalogue import Catalogue, find_duplicates
from hashlens.errors import BadInput
from hashlens.models import Encoder


def write(folder: Path, numbers: range) -> None:
    digits = hl.open_source("digits")
    folder.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        digits.image(number).resize((40, 40)).save(folder / f"{number}.png")


@pytest.fixture(scope="module")
def model() -> hl.HashModel:
    return hl.fit(hl.open_source("digits").select(range(60)), "lsh", bits=24, image_size=32, device="cpu")


@pytest.fixture
def catalogue(tmp_path: Path, model: hl.HashModel) -> Catalogue:
    write(tmp_path / "photos" / "one", range(12))
    write(tmp_path / "photos" / "two", range(12, 20))
    catalogue = Catalogue.create(tmp_path / "index", model)
    catalogue.update(hl.open_source(tmp_path / "photos"))
    return catalogue


def held(catalogue: Catalogue) -> dict[str, tuple[int, bytes, tuple[str, ...]]]:
    ids = [image for ids, _ in catalogue.codes() for image in ids.tolist()]
    return {one.path: (one.id, one.code.tobytes(), one.labels) for one in catalogue.entries(ids)}


def test_moved_files_keep_code_and_id_and_are_not_encoded_again(
    catalogue: Catalogue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, photos = held(catalogue), tmp_path / "photos"
    (photos / "one" / "3.png").rename(photos / "two" / "renamed.png")
    shutil.copyfile(photos / "two" / "15.png", photos / "one" / "touched.png")  # another time of change
    (photos / "two" / "15.png").unlink()
    monkeypatch.setattr(Encoder, "batches", lambda *_: pytest.fail("encoded again"))
    changes = catalogue.update(hl.open_source(photos))
    assert (changes.moved, changes.added, changes.removed, changes.changed) == (2, 0, 0, 0)
    assert changes.unchanged == 18
    after = held(catalogue)
    for old, new, label in (("one/3.png", "two/renamed.png", "two"), ("two/15.png", "one/touched.png", "one")):
        assert after[str(photos / new)][:2] == before[str(photos / old)][:2]
        assert after[str(photos / new)][2] == (label,)
    assert len(after) == 20
    assert catalogue.search_paths([photos / "two" / "renamed.png"], k=3)


def test_a_whole_folder_may_move_to_another_source(catalogue: Catalogue, tmp_path: Path) -> None:
    before = {path.rpartition("/")[2]: kept[:2] for path, kept in held(catalogue).items()}
    (tmp_path / "photos").rename(tmp_path / "pictures")
    changes = catalogue.update(hl.open_source(tmp_path / "pictures"))
    assert (changes.moved, changes.added) == (20, 0)
    assert {path.rpartition("/")[2]: kept[:2] for path, kept in held(catalogue).items()} == before
    assert list(catalogue.sources()) == [str(tmp_path / "pictures")]


def test_a_copy_is_added_and_other_content_is_no_move(catalogue: Catalogue, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    shutil.copyfile(photos / "one" / "0.png", photos / "two" / "copy.png")
    length = (photos / "one" / "1.png").stat().st_size
    (photos / "one" / "1.png").unlink()
    (photos / "one" / "new.png").write_bytes((photos / "one" / "2.png").read_bytes()[:length].ljust(length, b"\0"))
    changes = catalogue.update(hl.open_source(photos))
    assert (changes.moved, changes.added + len(changes.skipped), changes.removed) == (0, 2, 1)


def test_an_index_from_before_contents_were_kept_gets_the_table(catalogue: Catalogue, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "index" / "catalogue.sqlite") as rows:
        newer = "type = 'trigger' AND (sql LIKE '%tallies%' OR name LIKE 'content_%')"
        names = rows.execute(f"SELECT name FROM sqlite_schema WHERE {newer}").fetchall()
        rows.executescript("".join(f"DROP TRIGGER {name};" for (name,) in names))
        rows.executescript("DROP TABLE tallies; DROP TABLE contents;")
        for table in ("images", "labels", "details", "skipped"):
            rows.execute(f"ALTER TABLE {table} DROP COLUMN checksum")
        rows.execute("DELETE FROM properties WHERE name = 'checksum'")
        rows.execute("UPDATE properties SET value = 3 WHERE name = 'version'")
    again = Catalogue.open(tmp_path / "index")
    (tmp_path / "photos" / "one" / "3.png").rename(tmp_path / "photos" / "one" / "30.png")
    changes = again.update(hl.open_source(tmp_path / "photos"))
    assert (changes.added, changes.removed, changes.moved) == (1, 1, 0)
    (tmp_path / "photos" / "one" / "30.png").rename(tmp_path / "photos" / "one" / "3.png")
    assert again.update(hl.open_source(tmp_path / "photos")).moved == 1


def test_sources_are_removed_and_files_that_are_gone_are_pruned(
    catalogue: Catalogue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "more" / "part", range(20, 26))
    catalogue.update(hl.open_source(tmp_path / "more", "part"))
    (tmp_path / "photos" / "one" / "5.png").unlink()

    def index(*words: object) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["hashlens", "index", "-o", str(tmp_path / "index"), *map(str, words)])
        with pytest.raises(SystemExit) as end:
            hl.cli.main()
        return int(end.value.code or 0), capsys.readouterr().err

    assert index("--prune") == (
        0,
        f"{tmp_path / 'index'}: 1 image whose file is gone removed.\n25 images in all.\n",
    )
    status, error = index("--remove", tmp_path / "elsewhere")
    assert status == 2 and "they came from" in error and str(tmp_path / "photos") in error
    shutil.rmtree(tmp_path / "more")
    assert "6 images" in index("--remove", f"{tmp_path / 'more'}:part")[1]
    assert len(catalogue) == 19
    assert {len(hits) for hits in catalogue.search(np.zeros((1, 3), np.uint8), k=100)} == {19}
    assert index("model", "--prune")[0] == index()[0] == 2


def test_pruning_keeps_what_may_be_on_a_drive_that_is_not_mounted(
    catalogue: Catalogue, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    photos, more = tmp_path / "photos", tmp_path / "more photos"
    write(more, range(20, 26))
    (tmp_path / "list.csv").write_text("".join(f"more photos/{number}.png\n" for number in (20, 21)))
    (tmp_path / "list.csv").write_text("path\n" + (tmp_path / "list.csv").read_text())
    catalogue.update(hl.open_source(more).select(range(2, 6)))
    catalogue.update(hl.open_source(tmp_path / "list.csv"))
    more.rename(tmp_path / "away")
    (photos / "one" / "5.png").unlink()
    assert catalogue.prune() == 1
    assert len(catalogue) == 19 + 6
    said = caplog.text
    assert f"{more} is not there or is empty, so its images are kept: 4; --remove '{more}' takes them out" in said
    assert f"--remove {tmp_path / 'list.csv'} takes" in said
    more.mkdir()  # where it is mounted to
    assert catalogue.prune() == 0
    shutil.rmtree(more)
    (tmp_path / "away").rename(more)
    (more / "20.png").unlink()
    assert catalogue.prune() == 1
    assert catalogue.remove(str(more)) == 4


def test_files_that_could_not_be_read_are_forgotten_with_their_source(catalogue: Catalogue, tmp_path: Path) -> None:
    for name in ("empty.jpg", "void.jpg"):
        (tmp_path / "photos" / "one" / name).touch()
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "empty.jpg").touch()
    for folder in ("photos", "texts"):
        catalogue.update(hl.open_source(tmp_path / folder))
    (tmp_path / "photos" / "one" / "empty.jpg").unlink()
    assert catalogue.prune() == 0
    assert [Path(path).name for path, _ in catalogue.skipped()] == ["void.jpg", "empty.jpg"]
    assert catalogue.remove(str(tmp_path / "texts")) == 0
    assert catalogue.remove(str(tmp_path / "photos")) == 20
    assert catalogue.skipped() == []
    with pytest.raises(BadInput, match="index holds no images, so there are none of elsewhere to remove"):
        catalogue.remove("elsewhere")


def test_copies_in_other_sizes_and_compressions_are_found_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    random = np.random.default_rng(1)
    photos = tmp_path / "photos"
    photos.mkdir()
    for number in range(12):
        small = Image.fromarray(random.integers(0, 256, (6, 8, 3), np.uint8))
        small.resize((240, 180), Image.Resampling.BICUBIC).save(photos / f"{number}.png")
    shutil.copyfile(photos / "0.png", photos / "0-copy.png")
    Image.open(photos / "0.png").resize((120, 90)).save(photos / "0-small.jpg", quality=80)
    Image.open(photos / "1.png").save(photos / "1-jpeg.jpg", quality=60)
    Image.open(photos / "2.png").transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(photos / "2-mirror.png")
    for number in range(3):  # in the dark all differ by little
        night = 8 + 6 * random.random((6, 8))
        Image.fromarray(night.round().astype(np.uint8)).resize((240, 180)).save(photos / f"night-{number}.png")
    model = hl.fit(photos, "lsh", bits=16, image_size=32, device="cpu")
    catalogue = Catalogue.create(tmp_path / "index", model)
    catalogue.update(hl.open_source(photos))
    expected = [{"0.png", "0-copy.png", "0-small.jpg"}, {"1.png", "1-jpeg.jpg"}]
    # At the whole length of the codes every pair is a candidate: what decides are the pixels.
    for radius in (16, None):
        found = find_duplicates(catalogue, radius)
        if radius == 16:
            assert [{Path(one.path).name for one in group} for group in found.groups] == expected
        names = {Path(one.path).name for group in found.groups for one in group}
        assert {"0.png", "0-copy.png"} <= names <= set.union(*expected)
    with pytest.raises(BadInput, match="radius is -1"):
        find_duplicates(catalogue, -1)

    (photos / "5.png").unlink()
    page = tmp_path / "page.html"
    words = ["duplicates", tmp_path / "index", "--radius", 16, "--html", page]
    monkeypatch.setattr(sys, "argv", ["hashlens", *map(str, [*words, "--json"])])
    with pytest.raises(SystemExit):
        hl.cli.main()
    output, error = capsys.readouterr()
    assert [{Path(one["path"]).name for one in group} for group in json.loads(output)] == expected
    assert "1 image is gone" in error
    assert page.read_text(encoding="utf-8").count("<img") == 5
    monkeypatch.setattr(sys, "argv", ["hashlens", *map(str, words)])
    with pytest.raises(SystemExit):
        hl.cli.main()
    assert "0-small.jpg" in capsys.readouterr().out
    assert sorted(one.name for one in photos.iterdir()) == sorted(
        [*(f"{number}.png" for number in range(12) if number != 5), "0-copy.png", "0-small.jpg", "1-jpeg.jpg",
         "2-mirror.png", *(f"night-{number}.png" for number in range(3))]
    )  # fmt: skip


def test_a_search_with_an_indexed_image_loads_no_network(catalogue: Catalogue, tmp_path: Path) -> None:
    query = tmp_path / "a copy elsewhere.png"
    shutil.copyfile(tmp_path / "photos" / "one" / "4.png", query)
    encoded = catalogue.search_images([query], k=5, device="cpu")
    program = (
        "import sys, hashlens as hl; "
        f"found = hl.Catalogue.open({str(catalogue.folder)!r}).search_images([{str(query)!r}], k=5); "
        "print([hit.path for hit in found.answers[0][1]]); print({'torch', 'numba'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    paths, loaded = done.stdout.splitlines()
    assert paths == str([hit.path for hit in encoded.answers[0][1]])
    assert loaded == "set()"
