"""What is refused, and how a refusal of bad input reads."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from hashlens.engines import SearchEngine
from hashlens.errors import BadInput

BASELINES = ("dpsh", "dsh", "hashnet", "dtsh", "greedyhash", "jmlh", "sdhc", "dpn")
CROSS_ENTROPIES = ("cross-entropy", "cross-entropy-batch-norm", "cross-entropy-bi-half")
# Methods that cannot be trained by the settings of a paper.
UNPUBLISHED = ("shrewd", "hashlens", "hashlens-taxonomy", *BASELINES, *CROSS_ENTROPIES)


def is_one_sentence(error: pytest.ExceptionInfo[BadInput]) -> bool:
    text = str(error.value)
    return text.endswith(".") and "\n" not in text


def wrong_requests(engine: SearchEngine) -> list[Callable[[], object]]:
    """What an engine for 16 bits that holds the ids 5, 7 and 9 must refuse."""
    return [
        lambda: engine.add(np.zeros((2, 2), np.uint8), [1, 1]),
        lambda: engine.add(np.zeros((2, 2), np.uint8), [1]),
        lambda: engine.add(np.zeros((1, 3), np.uint8), [1]),
        lambda: engine.remove([5, 6]),
        lambda: engine.search(np.zeros((1, 3), np.uint8)),
        lambda: engine.search(np.zeros((1, 2), np.uint8), 0),
        lambda: engine.within(np.zeros((1, 2), np.uint8), -1),
    ]
