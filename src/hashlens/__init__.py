"""HashLens learns compact binary codes for images, searches them exactly, and measures how good they are.

Everything loads when it is first used, so that importing the package takes no time.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hashlens import centres, classes, cli, codes, engines, methods, metrics, objectives, service, sources
    from hashlens.catalogue import Catalogue
    from hashlens.engines import HammingIndex, KeyedIndex
    from hashlens.errors import BadInput
    from hashlens.metrics import evaluate
    from hashlens.models import HashModel
    from hashlens.progress import progress_bar
    from hashlens.reports import compare
    from hashlens.sources import open_source
    from hashlens.training import fit
    from hashlens.training.hash_encoder import HashEncoder

_HOMES = {
    "BadInput": "hashlens.errors",
    "Catalogue": "hashlens.catalogue",
    "HammingIndex": "hashlens.engines",
    "HashEncoder": "hashlens.training.hash_encoder",
    "HashModel": "hashlens.models",
    "KeyedIndex": "hashlens.engines",
    "compare": "hashlens.reports",
    "evaluate": "hashlens.metrics",
    "fit": "hashlens.training",
    "open_source": "hashlens.sources",
    "progress_bar": "hashlens.progress",
}
_ROOMS = (
    *("centres", "classes", "cli", "codes", "engines", "methods", "metrics", "objectives", "service", "sources"),
)

__version__ = "0.1.0"

__all__ = [
    "BadInput",
    "Catalogue",
    "HammingIndex",
    "HashEncoder",
    "HashModel",
    "KeyedIndex",
    "centres",
    "classes",
    "cli",
    "codes",
    "compare",
    "engines",
    "evaluate",
    "fit",
    "methods",
    "metrics",
    "objectives",
    "open_source",
    "progress_bar",
    "service",
    "sources",
]


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return importlib.import_module(f"hashlens.{name}")
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'hashlens' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
