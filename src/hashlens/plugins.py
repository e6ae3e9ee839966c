"""Files and packages of other people that add to HashLens when the command line starts.

A plugin is a module that registers something as it is imported: an engine, a metric, a loss, a source, a verb. In a
program, importing it is all there is to do. The command line imports

- the modules that installed packages name as entry points of the group ``hashlens.plugins``;
- the files and modules in the environment variable ``HASHLENS_PLUGINS``, separated as in ``PATH``.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from importlib.metadata import entry_points
from pathlib import Path

from hashlens.errors import BadInput

GROUP = "hashlens.plugins"
VARIABLE = "HASHLENS_PLUGINS"


def load_plugins() -> None:
    """Import all of them.

    Raises:
        BadInput: one cannot be imported; it tells which and why.

    Example:
        >>> import tempfile
        >>> from unittest import mock
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     plugin = Path(folder, "mine.py")
        ...     _ = plugin.write_text("print('loaded')", encoding="utf-8")
        ...     with mock.patch.dict(os.environ, {VARIABLE: str(plugin)}):
        ...         load_plugins()
        loaded
    """
    for point in entry_points(group=GROUP):
        _load(point.value, f"The plugin '{point.name}'")
    for given in filter(None, os.environ.get(VARIABLE, "").split(os.pathsep)):
        _load(given, f"The plugin '{given}' in {VARIABLE}")


def _load(given: str, what: str) -> None:
    path = Path(given)
    try:
        if path.suffix != ".py":
            importlib.import_module(given)
            return
        name = f"hashlens_plugin_{path.stem}"
        spec = importlib.util.spec_from_file_location(name, path)
        if spec is None or spec.loader is None:
            raise ImportError("it is no Python file")
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    except BadInput:
        raise
    except Exception as error:  # whatever somebody's code does wrong
        raise BadInput(f"{what} cannot be loaded ({type(error).__name__}: {error}).") from error
