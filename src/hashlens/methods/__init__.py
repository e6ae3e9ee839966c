"""Published systems as presets of centres, objective, hash layer and training settings."""

from __future__ import annotations

from hashlens.errors import BadInput
from hashlens.methods.central_similarity import CentralSimilarityHashing
from hashlens.methods.hashlens import HashLens
from hashlens.methods.method import SEMANTIC, CentreMethod, Method, Setting
from hashlens.methods.orthohash import OrthoHash
from hashlens.methods.settings import OPTIMIZERS, SCHEDULES, TrainingSettings
from hashlens.methods.shrewd import SHREWD

METHODS: dict[str, Method] = {
    # Our best combinations on held-out images, without and with a taxonomy.
    "hashlens": HashLens(),
    "hashlens-taxonomy": HashLens(similarity="confusion", taxonomy_weight=0.2, crowding=3.0),
    "orthohash": OrthoHash(),
    "orthoarc": OrthoHash(margin_kind="arc"),
    "csq": CentralSimilarityHashing(centres="hadamard"),
    "mds": CentralSimilarityHashing(centres="maximum-distance"),
    "shc": CentralSimilarityHashing(centres=SEMANTIC),
    "shrewd": SHREWD(),
}


def default_method(with_taxonomy: bool) -> str:
    """The name of the method that is used where none is asked for."""
    return "hashlens-taxonomy" if with_taxonomy else "hashlens"


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
    "METHODS",
    "OPTIMIZERS",
    "SCHEDULES",
    "SEMANTIC",
    "SHREWD",
    "CentralSimilarityHashing",
    "CentreMethod",
    "HashLens",
    "Method",
    "OrthoHash",
    "Setting",
    "TrainingSettings",
    "default_method",
    "get_method",
]
