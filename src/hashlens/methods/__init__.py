"""Published systems as presets: centres, objective, hash layer and training settings.

A method is a frozen dataclass with ``codebook(classes, bits, seed)``, ``objective(codebook)``,
``settings(finetune, paper)`` and the name of its ``hash_layer``.
"""

from __future__ import annotations

from hashlens.errors import BadInput
from hashlens.methods.orthohash import OrthoHash
from hashlens.methods.settings import SCHEDULES, TrainingSettings

Method = OrthoHash

METHODS: dict[str, Method] = {
    "hashlens": OrthoHash(centres="maximum-distance", margin=0.5),  # our best so far on held-out images
    "orthohash": OrthoHash(),
    "orthoarc": OrthoHash(margin_kind="arc"),
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


__all__ = ["METHODS", "SCHEDULES", "Method", "OrthoHash", "TrainingSettings", "get_method"]
