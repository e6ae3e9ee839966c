"""Where HashLens keeps what it can make or fetch again."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """The folder named by the environment variable HASHLENS_CACHE, else the user's cache folder.

    Example:
        >>> from unittest import mock
        >>> with mock.patch.dict(os.environ, HASHLENS_CACHE="elsewhere"):
        ...     print(cache_folder())
        elsewhere
    """
    import platformdirs

    chosen = os.environ.get("HASHLENS_CACHE")
    return Path(chosen) if chosen else platformdirs.user_cache_path("hashlens")
