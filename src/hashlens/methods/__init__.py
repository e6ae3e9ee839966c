"""Published systems as presets of centres, objective, hash layer and training settings."""

from __future__ import annotations

from hashlens.errors import BadInput
from hashlens.methods.central_similarity import CentralSimilarityHashing
from hashlens.methods.method import SEMANTIC, CentreMethod, Method, Setting
from hashlens.methods.orthohash import OrthoHash
from hashlens.methods.settings import OPTIMIZERS, SCHEDULES, TrainingSettings
from hashlens.methods.shrewd import SHREWD

DEFAULT_METHOD = "hashlens"
DEFAULT_METHOD_WITH_TAXONOMY = "hashlens"

METHODS: dict[str, Method] = {
    # Our best combination so far on held-out images.
    "hashlens": OrthoHash(centres=SEMANTIC, similarity="class-means", margin=0.5),
    "orthohash": OrthoHash(),
    "orthoarc": OrthoHash(margin_kind="arc"),
    "csq": CentralSimilarityHashing(centres="hadamard"),
    "mds": CentralSimilarityHashing(centres="maximum-distance"),
    "shc": CentralSimilarityHashing(centres=SEMANTIC),
    "shrewd": SHREWD(),
}


def get_method(method: str | Method) -> Method:
    """A method by name, or the one given.

    Raises:
        BadInput: there is no such method.
    """
    if not isinstance(method, str):
        return method
    if method not in METHODS:
        raise BadInput(f"There is no method '{method}'; use one of {', '.join(METHODS)}.")
    return METHODS[method]


__all__ = [
    "DEFAULT_METHOD",
    "DEFAULT_METHOD_WITH_TAXONOMY",
    "METHODS",
    "OPTIMIZERS",
    "SCHEDULES",
    "SEMANTIC",
    "SHREWD",
    "CentralSimilarityHashing",
    "CentreMethod",
    "Method",
    "OrthoHash",
    "Setting",
    "TrainingSettings",
    "get_method",
]
