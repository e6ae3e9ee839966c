"""Images in whatever form a program holds them, and the limit of their size on every way in."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from test_decoding import png_that_declares  # type: ignore[import-not-found]

from hashlens.sources import ImageArray, ImageList, UnreadableImage, as_source, decode, open_source
from hashlens.sources.decoding import upright_rgb


def pixels(shade: int) -> np.ndarray:
    return np.full((4, 6, 3), shade, np.uint8)


def png(shade: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels(shade)).save(buffer, "PNG")
    return buffer.getvalue()


def shades(source: Any) -> list[int]:
    return [source.image(item).getpixel((0, 0))[0] for item in range(len(source))]


def test_forms_are_mixed_at_will(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png(1))
    forms = [tmp_path / "a.png", png(2), Image.fromarray(pixels(3)), pixels(4), str(tmp_path / "a.png")]
    source = as_source(forms)
    assert shades(source) == [1, 2, 3, 4, 1]
    assert shades(as_source(tuple(forms[:4]))) == [1, 2, 3, 4]
    assert shades(source.select([3, 1])) == [4, 2]
    assert source.labels is None and source.feature_dimension is None
    assert source.key(0) == source.location(0) == str(tmp_path / "a.png")
    assert len({source.key(item) for item in range(4)}) == 4


@pytest.mark.parametrize("form", [png(9), Image.fromarray(pixels(9)), pixels(9), pixels(9)[None]])
def test_one_image_in_any_form_is_a_source_of_one(form: Any) -> None:
    assert shades(as_source(form)) == [9]


def test_pixels_of_one_image_and_rows_of_features_are_told_apart() -> None:
    assert as_source(np.zeros((5, 3), np.uint8)).feature_dimension == 3
    assert as_source(np.zeros((5, 7, 3), np.uint8)).feature_dimension is None
    assert as_source([np.zeros(3), np.ones(3)]).feature_dimension == 3


def test_the_fingerprint_of_an_image_in_memory_changes_with_its_content() -> None:
    for change in (lambda shade: png(shade), pixels, lambda shade: Image.fromarray(pixels(shade))):
        one, same, other = (ImageList([change(shade)]).fingerprint(0) for shade in (1, 1, 2))
        assert one == same != other


def test_a_list_with_what_cannot_be_read_tells_the_reason_of_each(tmp_path: Path) -> None:
    source = as_source([tmp_path / "gone.png", b"", b"words", "zero\0byte.png", tmp_path, png(3)])
    reasons = ["No such file", "empty", "not an image", "not the name of a file", "directory"]
    for item, reason in enumerate(reasons):
        with pytest.raises(UnreadableImage, match=reason):
            source.image(item)
        assert len(source.fingerprint(item)) == 2
    assert shades(source.select([5])) == [3]


def test_one_opened_image_may_be_read_by_several_threads_at_once() -> None:
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (900, 900, 3), np.uint8)).save(buffer, "PNG")
    for _ in range(3):
        opened = Image.open(io.BytesIO(buffer.getvalue()))
        lists = [as_source([opened] * 2), as_source(opened)]
        reads = [(source, item) for source in lists for item in range(len(source))]
        with ThreadPoolExecutor(3) as pool:
            sums = set(pool.map(lambda read: int(np.asarray(read[0].image(read[1])).sum()), reads))
        assert sums == {int(np.asarray(Image.open(io.BytesIO(buffer.getvalue()))).sum())}


def test_the_identity_of_a_list_is_that_of_its_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert as_source(["a.png"]).identity == as_source([tmp_path / "a.png"]).identity
    assert as_source(["a.png"]).identity != as_source(["b.png"]).identity


# A 1-bit image of 100,010,000 pixels takes 12 MB until it is made RGB; an array that repeats one row takes nothing.
pytestmark = pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")  # pytest lifts our filter
TOO_LARGE = (10_001, 10_000)
SENTENCE = "10001 × 10000 pixels are more than the 100 megapixels that are allowed"


def large_file(folder: Path) -> Path:
    (folder / "large.png").write_bytes(png_that_declares(*TOO_LARGE))
    return folder / "large.png"


def large_array() -> np.ndarray:
    return np.broadcast_to(np.zeros(3, np.uint8), (*TOO_LARGE[::-1], 3))


@pytest.mark.parametrize(
    "way_in",
    [
        pytest.param(lambda folder: open_source(large_file(folder)), id="file"),
        pytest.param(lambda folder: open_source(large_file(folder).parent), id="folder"),
        pytest.param(lambda folder: as_source([large_file(folder)]), id="path in a list"),
        pytest.param(lambda folder: as_source(large_file(folder).read_bytes()), id="bytes"),
        pytest.param(lambda folder: as_source(Image.open(large_file(folder))), id="PIL image not loaded"),
        pytest.param(lambda folder: as_source([Image.new("1", TOO_LARGE)]), id="PIL image"),
        pytest.param(lambda folder: as_source(large_array()), id="pixels"),
        pytest.param(lambda folder: as_source([large_array()]), id="pixels in a list"),
        pytest.param(lambda folder: as_source(large_array()[None]), id="pixels of several"),
        pytest.param(lambda folder: ImageArray("gray", large_array()[None, ..., 0]), id="gray pixels"),
    ],
)
def test_over_100_megapixels_are_refused_with_one_sentence_on_every_way_in(tmp_path: Path, way_in: Any) -> None:
    source = way_in(tmp_path)
    for shortest_side in (None, 32):
        with pytest.raises(UnreadableImage) as refusal:
            source.image(0, shortest_side)
        assert str(refusal.value) == SENTENCE


def test_beyond_the_limit_of_pillow_itself_the_sentence_ends_the_same() -> None:
    with pytest.raises(UnreadableImage, match="pixels are more than the 100 megapixels that are allowed"):
        decode(png_that_declares(20_000, 20_000))


def test_a_large_pillow_image_is_refused_before_it_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = Image.open(large_file(tmp_path))
    monkeypatch.setattr(image, "load", lambda: pytest.fail("loaded what is too large"))
    with pytest.raises(UnreadableImage, match="megapixels"):
        upright_rgb(image)
