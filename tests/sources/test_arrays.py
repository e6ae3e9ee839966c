"""Items and labels as programs hold them: data frames, tensors, iterators, arrays of many kinds."""

from __future__ import annotations

import numpy as np
import pandas
import pytest
import torch
from sklearn.datasets import load_digits

import hashlens as hl
from hashlens.errors import BadInput
from hashlens.sources import as_source
from hashlens.sources.data_frame import of_data_frame
from refusals import is_one_sentence

X, Y = load_digits(return_X_y=True)
X = X.astype(np.float32)


def test_a_column_of_vectors_is_found_among_others() -> None:
    frame = pandas.DataFrame({"name": [f"{n}.jpg" for n in range(5)], "clip": list(X[:5]), "label": list("abcab")})
    source = as_source(frame)
    np.testing.assert_array_equal(source.features(), X[:5])
    assert source.class_names == ("a", "b", "c") and source.labels.tolist() == [0, 1, 2, 0, 1]


def test_columns_of_numbers_are_features_and_missing_labels_are_none() -> None:
    frame = pandas.DataFrame(X[:4]).assign(label=[1.0, np.nan, 0.0, 1.0])
    source = as_source(frame)
    np.testing.assert_array_equal(source.features(), X[:4])
    assert source.labels.tolist() == [1, -1, 0, 1]
    assert as_source(pandas.DataFrame(X[:4])).labels is None


@pytest.mark.parametrize(
    ("frame", "says"),
    [
        ({"a": [[1.0], [2.0]], "b": [[1.0], [2.0]]}, "2 columns of vectors, such as a"),
        ({"a": [[1.0, 2.0], [2.0]]}, "not of one length"),
        ({"a": [1.0, 2.0], "b": ["x", "y"]}, "column b .* holds no numbers"),
        ({"a": [1.0, np.nan]}, "NaN"),
    ],
)
def test_frames_that_hold_no_features_are_refused(frame: dict, says: str) -> None:
    with pytest.raises(BadInput, match=says) as error:
        of_data_frame(pandas.DataFrame(frame))
    assert is_one_sentence(error)


def test_iterators_of_batches_and_tensors_are_features() -> None:
    batches = (X[start : start + 50] for start in range(0, 200, 50))
    np.testing.assert_array_equal(as_source(batches).features(), X[:200])
    kept = torch.from_numpy(X[:9]).requires_grad_()
    np.testing.assert_array_equal(as_source(kept).features(), X[:9])
    with pytest.raises(BadInput):
        as_source(iter([]))
    with pytest.raises(BadInput):
        as_source(iter(["a", "b"]))


@pytest.mark.parametrize(
    "labels",
    [Y, Y.tolist(), Y.astype(float), Y.astype(str), Y.astype(object), pandas.Series(Y), torch.from_numpy(Y)],
    ids=["integers", "list", "floats", "strings", "objects", "series", "tensor"],
)
def test_fit_takes_labels_of_every_kind_after_the_features(labels) -> None:
    model = hl.fit(X, labels, bits=16, epochs=1, device="cpu")
    expected = hl.fit(hl.sources.FeatureArray("x", X, Y), bits=16, epochs=1, device="cpu")
    np.testing.assert_array_equal(model.encode(X), expected.encode(X))
    assert model.class_names == tuple("0123456789")


def test_labels_take_the_place_of_those_of_a_source() -> None:
    digits = hl.open_source("digits").select(range(100))
    parity = digits.with_labels(["odd" if label % 2 else "even" for label in digits.labels])
    assert parity.class_names == ("even", "odd") and parity.label_names(1) == ["odd"]
    assert parity.key(7) == digits.key(7) and digits.label_names(1) == ["1"]
    with pytest.raises(BadInput, match="100 items, but 3 labels"):
        digits.with_labels([0, 1, 1])


def test_missing_labels_in_objects() -> None:
    source = hl.sources.FeatureArray("x", X[:4], np.array(["a", None, np.nan, "b"], object))
    assert source.labels.tolist() == [0, -1, -1, 1]


def test_labels_method_and_bits_need_no_names() -> None:
    rest = {"epochs": 1, "device": "cpu"}
    expected = hl.fit(X, labels=Y, method="orthohash", bits=16, **rest).encode(X)
    source = hl.sources.FeatureArray("x", X, Y)
    for model in (
        hl.fit(X, Y, method="orthohash", bits=16, **rest),
        hl.fit(X, Y, "orthohash", 16, **rest),
        hl.fit(X, Y, "orthohash", bits=np.int64(16), **rest),
        hl.fit(X, y=Y, method="orthohash", bits=16, **rest),
        hl.fit(X, "orthohash", labels=Y, bits=16, **rest),
        hl.fit(X, "orthohash", 16, y=Y, **rest),
        hl.fit(source, "orthohash", 16, **rest),
        hl.fit(source, hl.methods.get_method("orthohash"), np.int64(16), **rest),
        hl.fit(source=source, method="orthohash", bits=16, **rest),
        hl.fit(source, None, "orthohash", 16, **rest),
    ):
        np.testing.assert_array_equal(model.encode(X), expected)


@pytest.mark.parametrize(
    ("given", "named", "what"),
    [
        ((Y,), {"labels": Y}, "labels"),
        ((), {"labels": Y, "y": Y}, "labels"),
        ((Y, Y), {}, "labels"),
        (("itq",), {"method": "lsh"}, "method"),
        (("itq", 16), {"bits": 16}, "bits"),
    ],
)
def test_fit_refuses_what_is_given_twice(given, named, what: str) -> None:
    with pytest.raises(BadInput, match=f"give {what} once") as error:
        hl.fit(X, *given, **named)
    assert is_one_sentence(error)


def test_fit_refuses_numbers_that_are_no_labels() -> None:
    with pytest.raises(BadInput, match="labels as"):
        hl.fit(X, np.linspace(0.1, 0.9, len(X)))


def test_some_of_the_items_that_were_given_labels_keep_these() -> None:
    given = hl.open_source("digits:test").select([5, 6, 7]).with_labels(["cat", "dog", "cat"])
    some = given.select([1, 2])
    assert [some.label_names(item) for item in range(2)] == [["dog"], ["cat"]]
