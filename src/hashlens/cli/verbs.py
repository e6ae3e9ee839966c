"""The verbs of the command line by name."""

from __future__ import annotations

from collections.abc import Callable

from hashlens.registry import Registry

VERBS: Registry[Callable[..., None]] = Registry("verb")
"""A verb is a function whose parameters are annotated as typer takes them; its docstring is the help."""
