"""Going through all images once, in threads, and telling of those that cannot be read."""

from __future__ import annotations

import io
import logging
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hashlens.sources import Skipped, decode, open_source
from hashlens.sources.reading import find_unreadable, tell_skipped


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Forty images, of which the numbers 3, 17 and 39 are none."""
    for number in range(40):
        Image.new("RGB", (20, 20), (number, 0, 0)).save(tmp_path / f"{number:02}.png")
    (tmp_path / "03.png").write_bytes(b"")
    (tmp_path / "17.png").write_text("words")
    (tmp_path / "39.png").write_bytes((tmp_path / "38.png").read_bytes()[:60])
    return tmp_path


def test_unreadable_images_are_found_in_order_with_their_reasons(folder: Path) -> None:
    source = open_source(folder)
    found = find_unreadable(source)
    assert [(one.item, one.key) for one in found] == [(3, "03.png"), (17, "17.png"), (39, "39.png")]
    for one, reason in zip(found, ("empty", "not an image", "truncated"), strict=True):
        assert reason in one.reason
        assert str(one) == f"{one.key}: {one.reason}"


def test_numbers_of_unreadable_images_are_those_of_the_selection(folder: Path) -> None:
    source = open_source(folder)
    assert [one.item for one in find_unreadable(source.select([39, 5, 3]))] == [0, 2]
    assert find_unreadable(source.select([0, 1, 2])) == []


def test_skipped_images_are_counted_and_listed_in_one_warning(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "hashlens"):
        tell_skipped([])
        assert caplog.messages == []
        tell_skipped([Skipped(3, "a/b.png", "the file is empty"), Skipped(9, "c.png", "not an image")])
    (message,) = caplog.messages
    assert caplog.records[0].levelno == logging.WARNING
    assert message.startswith("2 of the images")
    assert message.splitlines()[1:] == ["  a/b.png: the file is empty", "  c.png: not an image"]


def test_decoding_in_threads_leaves_the_warning_filters_of_the_program_alone() -> None:
    contents = []
    for side in (8, 300, 600, 20, 400):
        buffer = io.BytesIO()
        pixels = np.random.default_rng(side).integers(0, 256, (side, side, 3), np.uint8)
        Image.fromarray(pixels).save(buffer, "JPEG")
        contents.append(buffer.getvalue())
    before = list(warnings.filters)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(decode, contents * 20))
    assert warnings.filters == before
    with pytest.warns(UserWarning, match="still heard"):
        warnings.warn("still heard", stacklevel=1)
