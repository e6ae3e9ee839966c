"""A data set of Hugging Face's library is a source wherever a program gives one."""

from __future__ import annotations

import io
from pathlib import Path

import datasets
import numpy as np
import pytest
from PIL import Image
from test_openers import check_contract

import hashlens as hl
from hashlens.errors import BadInput
from hashlens.sources import FeatureArray, as_source
from refusals import is_one_sentence

NAMES = datasets.ClassLabel(names=["cat", "dog"])


def picture(shade: int) -> Image.Image:
    return Image.new("RGB", (6, 4), (shade, 0, 0))


def encoded(shade: int) -> bytes:
    file = io.BytesIO()
    picture(shade).save(file, "PNG")
    return file.getvalue()


def shades(source: hl.sources.Source) -> list[int]:
    return [source.image(item).getpixel((0, 0))[0] for item in range(len(source))]  # type: ignore[index]


def test_images_and_classes_are_found_whatever_they_are_called(tmp_path: Path) -> None:
    picture(30).save(tmp_path / "3.png")
    given = [picture(10), {"bytes": encoded(20), "path": None}, str(tmp_path / "3.png")]
    for image, label in (("image", "label"), ("img", "animal"), ("photo", "labels")):
        features = datasets.Features({"id": datasets.Value("int64"), image: datasets.Image(), label: NAMES})
        rows = datasets.Dataset.from_dict({"id": [1, 2, 3], image: given, label: [1, 0, -1]}, features)
        source = as_source(rows)
        check_contract(source)
        assert shades(source) == [10, 20, 30]
        assert [source.label_names(item) for item in range(3)] == [["dog"], ["cat"], []]
        assert shades(as_source(rows.select([2, 0]).with_format("numpy"))) == [30, 10]
        assert as_source(rows).identity == source.identity != as_source(rows.select([0])).identity


def test_label_sets_names_and_none(tmp_path: Path) -> None:
    images = [picture(1), picture(2)]
    sets = datasets.Features({"image": datasets.Image(), "labels": datasets.List(NAMES)})
    source = as_source(datasets.Dataset.from_dict({"image": images, "labels": [[0, 1], []]}, sets))
    assert source.multi_label and [source.label_names(item) for item in range(2)] == [["cat", "dog"], []]
    named = datasets.Dataset.from_dict({"image": images, "label": ["x", "y"]}).cast_column(
        "image", datasets.Image()
    )
    assert as_source(named).class_names == ("x", "y")
    alone = named.remove_columns("label")
    assert as_source(alone).labels is None


def test_vectors_are_features() -> None:
    x = np.random.default_rng(0).normal(size=(40, 8)).astype(np.float32)
    rows = datasets.Dataset.from_dict({"text": ["a"] * 40, "embedding": x.tolist(), "label": ["x", "y"] * 20})
    source = as_source(rows)
    assert isinstance(source, FeatureArray) and source.class_names == ("x", "y")
    np.testing.assert_array_equal(source.features(), x)
    model = hl.fit(rows, "orthohash", bits=16, epochs=1, device="cpu")
    assert model.encode(rows).shape == (40, 2)


def test_what_has_no_numbered_images_is_refused_in_a_sentence() -> None:
    rows = datasets.Dataset.from_dict({"text": ["a", "b"]})
    two = datasets.Dataset.from_dict({"a": [[0.5], [1.0]], "b": [[0.5], [1.0]]})
    uneven = datasets.Dataset.from_dict({"a": [[0.5], [1.0, 2.0]]})
    for given, sentence in (
        (rows, "no column of images"),
        (two, "2 columns of vectors"),
        (uneven, "not of one length"),
        (datasets.DatasetDict({"train": rows, "test": rows}), "splits train, test"),
        (rows.to_iterable_dataset(), "stream"),
    ):
        with pytest.raises(BadInput, match=sentence) as refusal:
            as_source(given)
        assert is_one_sentence(refusal)
    empty = datasets.Dataset.from_dict(
        {"image": [None, encoded(1)]}, datasets.Features({"image": datasets.Image()})
    )
    with pytest.raises(hl.sources.UnreadableImage, match="has no image"):
        as_source(empty).read(0)
