"""Parameters of a method from text, as the command line gives them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

from numpy.typing import ArrayLike

from hashlens.errors import BadInput
from hashlens.files import read_array
from hashlens.methods.method import CentreMethod
from hashlens.methods.parametrized import Parametrized

M = TypeVar("M", bound=Parametrized)

OF_SIMILARITY = ("similarity", "taxonomy_weight")
WORDS = {int: "a whole number", float: "a number", bool: "true or false", NoneType: "none"}


def configure(method: M, given: Mapping[str, str | ArrayLike]) -> M:
    """A method with some parameters set from text.

    Args:
        given: parameter → value: a number; ``none``; ``true`` or ``false``; a name; or, for centres or a similarity
            of your own, a ``.npy`` file or an array.

    Returns:
        A method of the same kind; ``method`` itself is not changed.

    Raises:
        BadInput: the method has no such parameter, or the parameter no such value, or it would have no effect.

    Example:
        >>> from hashlens.methods import METHODS
        >>> method = configure(METHODS["orthohash"], {"margin": "0.4", "scale": "auto", "centres": "hadamard"})
        >>> method.margin, method.scale, method.centres
        (0.4, 'auto', 'hadamard')
        >>> configure(METHODS["shrewd"], {"rho": "high"})
        Traceback (most recent call last):
        ...
        hashlens.errors.BadInput: The rho is 'high'; give a number.
    """
    hints = method.settable()
    for name in given:
        if name not in hints:
            known = f"its parameters are {', '.join(hints)}" if hints else "it has no parameters"
            raise BadInput(f"{type(method).__name__} has no {name}; {known}.")
    values = {
        name: _value(name, value, hints[name]) if isinstance(value, str) else value for name, value in given.items()
    }
    configured = method.with_parameters(values)
    if isinstance(configured, CentreMethod) and not configured.needs_similarity:
        for name in OF_SIMILARITY:
            if name in given:
                raise BadInput(
                    f"The {name} has no effect on these centres; set centres to semantic, or leave it out."
                )
    return configured


def without_labels(method: M) -> M:
    """The method, trained on how far items are apart and not on their classes.

    Raises:
        BadInput: it cannot be.

    Example:
        >>> from hashlens.methods import METHODS
        >>> without_labels(METHODS["shrewd"]).needs_classes
        False
    """
    if "classification_weight" not in method.settable():
        raise BadInput(
            "Only the method shrewd trains without labels; add --method shrewd, or leave --no-labels out."
        )
    return method.with_parameters({"classification_weight": 0.0})


def _value(name: str, text: str, hint: Any) -> Any:
    """``text`` as the type that ``hint`` asks for."""
    kinds, choices = _alternatives(hint)
    if NoneType in kinds and text == "none":
        return None
    if text in choices:
        return text
    if str in kinds:  # or an array, which a program gives as such
        return read_array(text, name) if text.endswith(".npy") else text
    if bool in kinds and text.lower() in ("true", "false"):
        return text.lower() == "true"
    for kind in (int, float):
        if kind in kinds:
            try:
                number = kind(text)
            except ValueError:
                continue
            if not math.isnan(number):
                return number
    words = [*choices, *(word for kind, word in WORDS.items() if kind in kinds)]
    raise BadInput(f"The {name} is '{text}'; give {' or '.join(words)}.")


def _alternatives(hint: Any) -> tuple[set[Any], list[str]]:
    """The types that a type hint allows, and the words."""
    if get_origin(hint) is Literal:
        return set(), [str(choice) for choice in get_args(hint)]
    if get_origin(hint) not in (Union, UnionType):
        return {hint}, []
    kinds: set[Any] = set()
    choices: list[str] = []
    for part in get_args(hint):
        more_kinds, more_choices = _alternatives(part)
        kinds |= more_kinds
        choices += more_choices
    return kinds, choices
