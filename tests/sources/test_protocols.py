"""The protocols of CIFAR-10: who is a query, who trains, and who is searched."""

from __future__ import annotations

import numpy as np
import pytest

from hashlens.errors import BadInput
from hashlens.sources import open_source
from hashlens.sources.protocols import draw_protocol
from refusals import is_one_sentence


def numbers(source) -> list[int]:
    return [int.from_bytes(source.read(item).tobytes(), "little") for item in range(len(source))]


@pytest.mark.parametrize("name", ["cifar10-i", "cifar10-ii"])
def test_each_image_is_a_query_or_in_the_database(cifar: None, name: str) -> None:
    parts = {split: open_source(f"{name}:{split}") for split in ("train", "queries", "database")}
    found = {split: set(numbers(source)) for split, source in parts.items()}
    assert found["queries"] | found["database"] == set(range(12_000))
    assert len(parts["queries"]) == len(found["queries"]) == 1000
    assert not found["queries"] & found["database"]
    assert np.bincount(parts["queries"].labels).tolist() == [100] * 10
    if name == "cifar10-i":
        assert found["train"] < found["database"]
        assert np.bincount(parts["train"].labels).tolist() == [500] * 10
    else:
        assert found["train"] == found["database"]
    for source in parts.values():
        assert [number % 10 for number in numbers(source)] == source.labels.tolist()


def test_a_seed_draws_others(cifar: None) -> None:
    zero, same, one = (set(numbers(open_source(f"cifar10-i:queries{end}"))) for end in ("", "@0", "@1"))
    assert zero == same != one
    found = draw_protocol(open_source("cifar10").labels, 500, seed=1)
    assert set(found["queries"].tolist()) == one


@pytest.mark.parametrize("split", ["", ":test", ":train@", ":train@x"])
def test_another_split_is_refused(cifar: None, split: str) -> None:
    with pytest.raises(BadInput, match="queries, database") as error:
        open_source(f"cifar10-i{split}")
    assert is_one_sentence(error)


def test_too_few_images_are_refused() -> None:
    with pytest.raises(BadInput, match="too few"):
        draw_protocol(np.arange(5000) % 10)


def test_cifar100_has_its_hundred_names(cifar: None) -> None:
    source = open_source("cifar100:train")
    assert len(set(source.class_names)) == 100
    assert source.class_names == tuple(sorted(source.class_names))
    assert source.label_names(2) == ["baby"]
