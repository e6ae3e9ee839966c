"""Every public function and class shows what it does, in an example that runs."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import hashlens

ROOMS = ("centres", "classes", "sources")  # in which nothing public is without an example
MODULES = sorted(
    module.name
    for room in ROOMS
    for module in pkgutil.walk_packages([f"{hashlens.__path__[0]}/{room}"], f"hashlens.{room}.")
)
PUBLIC = [(room, name) for room in ROOMS for name in importlib.import_module(f"hashlens.{room}").__all__]


@pytest.mark.parametrize("name", [*MODULES, "hashlens.files"])
def test_examples_say_what_happens(name: str) -> None:
    failed, _ = doctest.testmod(importlib.import_module(name))
    assert failed == 0


@pytest.mark.parametrize(("room", "name"), PUBLIC)
def test_what_is_public_has_an_example(room: str, name: str) -> None:
    thing = getattr(importlib.import_module(f"hashlens.{room}"), name)
    if name != "register":  # a method of the registry, where its example stands
        documented = type(thing) if name.isupper() else thing
        assert ">>>" in (documented.__doc__ or "")
