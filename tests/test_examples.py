"""Every public function and class shows what it does, in an example that runs."""

from __future__ import annotations

import doctest
import importlib
import inspect
import pkgutil

import pytest

import hashlens

PACKAGE = hashlens.__path__[0]
# In these nothing public is without an example.
ROOMS = (
    *("codes", "sources", "classes", "centres", "objectives", "metrics", "backbones", "methods", "models"),
    *("training", "engines", "catalogue", "reports", "service"),
)
GROUND = (
    "cache",
    "compute.devices",
    "compute.threads",
    "errors",
    "files",
    "hub",
    "plugins",
    "progress",
    "registry",
    "tokens",
)
MODULES = [
    *(f"hashlens.{name}" for name in GROUND),
    *(
        module.name
        for room in ROOMS
        for module in pkgutil.walk_packages([f"{PACKAGE}/{room}"], f"hashlens.{room}.")
    ),
]
PUBLIC = [
    (f"hashlens.{room}", name) for room in ROOMS for name in importlib.import_module(f"hashlens.{room}").__all__
]
PUBLIC += [
    (module, name)
    for module in (f"hashlens.{name}" for name in GROUND)
    for name, thing in vars(importlib.import_module(module)).items()
    if not name.startswith("_") and getattr(thing, "__module__", None) == module and callable(thing)
]


@pytest.mark.parametrize("name", MODULES)
def test_examples_say_what_happens(name: str) -> None:
    failed, _ = doctest.testmod(importlib.import_module(name))
    assert failed == 0


@pytest.mark.parametrize(("module", "name"), PUBLIC)
def test_what_is_public_has_an_example(module: str, name: str) -> None:
    thing = getattr(importlib.import_module(module), name)
    if inspect.isclass(thing) or inspect.isfunction(thing):
        assert ">>>" in (thing.__doc__ or "")
