"""Every public function and class shows what it does, in an example that runs."""

from __future__ import annotations

import doctest
import importlib
import inspect
import pkgutil

import pytest

import hashlens

# In these nothing public is without an example.
ROOMS = ("centres", "classes", "methods", "objectives", "sources", "training")
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
    if inspect.isclass(thing) or inspect.isfunction(thing):
        assert ">>>" in (thing.__doc__ or "")
