"""How many images stand where a list of results ends."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import hashlens as hl
from hashlens.catalogue import Ties


@pytest.mark.parametrize("labels", [(), ("even",)])
def test_all_images_at_the_largest_distance_are_counted(tmp_path: Path, labels: tuple[str, ...]) -> None:
    random = np.random.default_rng(0)
    x = random.normal(size=(200, 8)).astype(np.float32)
    source = hl.sources.FeatureArray("mine", x, np.arange(200) % 2, ["even", "odd"])
    catalogue = hl.Catalogue.create(tmp_path / "index", hl.fit(source, "lsh", bits=8, device="cpu"))
    catalogue.update(source)
    found = catalogue.search_images([source.select(range(5))], k=7, labels=labels)
    codes = np.unpackbits(catalogue.model().encode(x), axis=1)
    allowed = np.arange(200) % 2 == 0 if labels else np.ones(200, bool)
    for query, ((_, hits), ties) in enumerate(zip(found.answers, found.ties, strict=True)):
        apart = (codes[allowed] != codes[query]).sum(1)
        farthest = max(hit.distance for hit in hits)
        assert ties == Ties(farthest, sum(hit.distance == farthest for hit in hits), (apart == farthest).sum())
        assert bool(ties.sentence) == (ties.images > ties.shown)
