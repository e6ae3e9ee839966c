"""What several tests of sources need."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from hashlens.sources import named


@pytest.fixture
def cifar(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twelve thousand images of two pixels where torchvision's would be, each its own."""

    def part(_: object, name: str, split: str) -> SimpleNamespace:
        numbers = np.arange(10_000) + (0 if split == "train" else 10_000)
        pixels = numbers.astype("<u4").view(np.uint8).reshape(-1, 1, 4)[..., :3][:, :, None]
        classes = 100 if name == "cifar100" else 10
        count = 10_000 if split == "train" else 2000
        return SimpleNamespace(data=pixels[:count], targets=(numbers % classes)[:count].tolist())

    monkeypatch.setattr(named, "_from_torchvision", part)
