"""Every registered generator of hash centres keeps the contract, and one function leads to all of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import hashlens as hl
from hashlens.centres import (
    GENERATORS,
    bernoulli,
    check_codebook,
    make_codebook,
    minimum_distance,
    needs_similarity,
)
from hashlens.classes import normalize_similarity
from hashlens.errors import BadInput
from refusals import is_one_sentence


def similarity(classes: int) -> NDArray[np.float64]:
    random = np.random.default_rng(classes)
    return normalize_similarity(random.standard_normal((classes, classes)))


def make(name: str, classes: int, bits: int, seed: int = 0) -> NDArray[np.int8]:
    return make_codebook(name, classes, bits, seed, similarity(classes) if needs_similarity(name) else None)


@pytest.mark.parametrize("name", GENERATORS)
@pytest.mark.parametrize(("classes", "bits"), [(2, 8), (10, 33), (40, 64), (250, 9)])
def test_every_generator_makes_distinct_signs_that_the_seed_decides(name: str, classes: int, bits: int) -> None:
    if name in ("mds", "shc"):
        classes, bits = min(classes, 8), min(bits, 16)  # as published they take long
    codebook = make(name, classes, bits, 3)
    assert (codebook.dtype, codebook.shape) == (np.int8, (classes, bits))
    assert set(np.unique(codebook).tolist()) <= {-1, 1}
    assert len(np.unique(codebook, axis=0)) == classes
    np.testing.assert_array_equal(make(name, classes, bits, 3), codebook)
    assert (make(name, classes, bits, 4) != codebook).any()


@pytest.mark.parametrize("name", GENERATORS)
@pytest.mark.parametrize(
    ("classes", "bits", "said"),
    [
        (100_001, 64, "100,000|for 2 to"),
        (10, 7, "8 to 1024"),
        (10, 1025, "8 to 1024"),
        (257, 8, "256 distinct codes, too few for 257"),
    ],
)
def test_every_generator_refuses_sizes_that_do_not_exist(name: str, classes: int, bits: int, said: str) -> None:
    if needs_similarity(name) and classes > 10_000:
        pytest.skip("no such matrix fits into memory")
    with pytest.raises(BadInput, match=said) as refusal:
        make(name, classes, bits)
    assert is_one_sentence(refusal)


@pytest.mark.parametrize("name", GENERATORS)
@pytest.mark.parametrize("seed", [-1, 0.5])
def test_every_generator_refuses_a_seed_that_is_none(name: str, seed: Any) -> None:
    with pytest.raises(BadInput, match="seed") as refusal:
        make(name, 10, 16, seed)
    assert is_one_sentence(refusal)


def test_semantic_centres_follow_what_is_given() -> None:
    wanted = np.array([[1, 0.5, -0.5], [0.5, 1, -0.5], [-0.5, -0.5, 1]])
    codebook = make_codebook("semantic", 3, 64, similarity=wanted, min_distance=1).astype(float)
    np.testing.assert_array_equal(codebook @ codebook.T / 64, wanted)
    assert minimum_distance(make_codebook("semantic", 3, 64, similarity=wanted, min_distance=40)) >= 40


def test_an_array_is_taken_as_it_is() -> None:
    codebook = bernoulli(5, 16)
    np.testing.assert_array_equal(make_codebook(codebook.astype(float).tolist(), 5, 16), codebook)


@pytest.mark.parametrize(
    ("centres", "given", "said"),
    [
        ("magic", {}, "'magic'.*bernoulli.*semantic"),
        ("semantic", {}, "follow a class similarity"),
        ("semantic", {"similarity": np.eye(4)}, "4 classes, but there are 5"),
        ("semantic", {"similarity": np.eye(5), "min_distance": 17}, "17 is out of range"),
        ("hadamard", {"similarity": np.eye(5)}, "follow no class similarity; .* use shc, semantic"),
        ("hadamard", {"min_distance": 3}, "follow no least distance"),
        (bernoulli(5, 16), {"similarity": np.eye(5), "min_distance": 3}, "class similarity and the least distance"),
        (bernoulli(4, 16), {}, "4 classes, but 5"),
        (bernoulli(5, 17), {}, "17 bits, but 16"),
        (np.zeros((5, 16)), {}, "−1 and \\+1"),
        (None, {}, "codebook must be"),
    ],
)
def test_what_cannot_be_made_is_refused(centres: Any, given: dict[str, Any], said: str) -> None:
    with pytest.raises(BadInput, match=said) as refusal:
        make_codebook(centres, 5, 16, **given)
    assert is_one_sentence(refusal)


@pytest.fixture
def own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(GENERATORS, "_things", dict(GENERATORS._things))


@pytest.mark.usefixtures("own_registry")
def test_an_outsider_adds_a_generator_in_one_file() -> None:
    @hl.centres.register("count")
    def counting(classes: int, bits: int, seed: int = 0) -> NDArray[np.int8]:
        return (np.arange(classes)[:, None] >> np.arange(bits) & 1).astype(np.int8) * 2 - 1

    assert make_codebook("count", 3, 8)[:, :2].tolist() == [[-1, -1], [1, -1], [-1, 1]]
    assert not needs_similarity("count")


@pytest.mark.usefixtures("own_registry")
def test_a_generator_may_follow_a_similarity_if_it_wants_and_what_it_returns_is_checked() -> None:
    @hl.centres.register("equal")
    def equal(classes: int, bits: int, seed: int, similarity: Any = None) -> NDArray[np.int8]:
        assert similarity is not None
        return np.ones((classes, bits), np.int8)

    assert not needs_similarity("equal")
    with pytest.raises(BadInput, match="only 1 distinct rows"):
        make_codebook("equal", 5, 16, similarity=np.eye(5))


def test_a_large_codebook_is_checked_in_no_time() -> None:
    codebook = bernoulli(100_000, 32)
    np.testing.assert_array_equal(check_codebook(codebook), codebook)
