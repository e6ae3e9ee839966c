"""The recall of neighbours against enumeration of every order of ties."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from hashlens.codes import pack
from hashlens.errors import BadInput
from hashlens.metrics import neighbour_recall
from refusals import is_one_sentence


def by_hand(features, database, codes, database_codes, k: int) -> float:
    """For each query the mean over all orders of ties of the share of its k nearest that are found."""
    shares = []
    for feature, code in zip(features, codes, strict=True):
        cosines = [float(feature @ other / np.linalg.norm(feature) / np.linalg.norm(other)) for other in database]
        wanted = set(sorted(range(len(database)), key=lambda item: -cosines[item])[:k])
        groups: dict[int, list[int]] = {}
        for item, other in enumerate(database_codes):
            groups.setdefault(int((code != other).sum()), []).append(item)
        orders = itertools.product(*(itertools.permutations(groups[d]) for d in sorted(groups)))
        found = [len(wanted & set([item for part in order for item in part][:k])) / k for order in orders]
        shares.append(np.mean(found))
    return float(np.mean(shares))


@pytest.mark.parametrize("seed", range(5))
def test_it_is_the_expectation_over_every_order_of_ties(seed: int) -> None:
    rng = np.random.default_rng(seed)
    features, database = rng.normal(size=(3, 4)), rng.normal(size=(7, 4))
    codes, database_codes = (rng.choice([-1, 1], (count, 8)) for count in (3, 7))
    database_codes[3:] = database_codes[0]  # many ties
    report = neighbour_recall(features, database, pack(codes), pack(database_codes), at=(1, 3, 7, 50))
    for k in (1, 3, 7):
        assert report[f"neighbours@{k}"] == pytest.approx(by_hand(features, database, codes, database_codes, k))
    assert report["neighbours@50"] == pytest.approx(1)
    assert report["chance@3"] == pytest.approx(3 / 7)
    assert report.per_query["neighbours@3"].mean() == pytest.approx(report["neighbours@3"])


def test_codes_that_follow_the_features_find_more_than_chance() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(600, 16))
    planes = rng.normal(size=(16, 128))
    report = neighbour_recall(x[:40], x[40:], x[:40] @ planes, x[40:] @ planes)
    assert report["neighbours@10"] > 20 * report["chance@10"]


def test_what_does_not_go_together_is_refused() -> None:
    x, codes = np.ones((3, 4), np.float32), np.zeros((3, 2), np.uint8)
    for wrong in ((x[:2], x, codes, codes), (x, x, codes, codes[:2]), (x[:0], x, codes[:0], codes)):
        with pytest.raises(BadInput) as error:
            neighbour_recall(*wrong)
        assert is_one_sentence(error)
    with pytest.raises(BadInput, match="32 columns"):
        neighbour_recall(x, x, np.ones((3, 16)), np.ones((3, 32)))
