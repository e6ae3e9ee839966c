"""How fast batch norm forgets: as the paper has it, or within an epoch."""

from __future__ import annotations

import pytest
from torch import nn

import hashlens as hl


@pytest.mark.parametrize("paper", [False, True])
def test_the_momentum_is_the_papers_where_it_is_asked_for(paper: bool) -> None:
    model = hl.fit(hl.open_source("digits").select(range(60)), method="orthohash", bits=8, image_size=32, epochs=1,
                   finetune=False, paper=paper)  # fmt: skip
    found = [part.momentum for part in model.network.hash_layer.modules() if isinstance(part, nn.BatchNorm1d)]
    assert found == [0.1] if paper else found[0] > 0.9
