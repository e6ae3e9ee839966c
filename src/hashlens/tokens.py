"""The token that a service asks for, which proves that a request may be answered."""

from __future__ import annotations

import os
from pathlib import Path

from hashlens.errors import BadInput

VARIABLE = "HASHLENS_TOKEN"
SHORTEST_TOKEN = 16


def read_token(path: str | os.PathLike[str]) -> str:
    """The token in a file, without the white space around it.

    Raises:
        BadInput: the file cannot be read, or holds none or a short one.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = Path(folder, "token")
        ...     _ = file.write_text("0123456789abcdef")
        ...     read_token(file)
        '0123456789abcdef'
    """
    try:
        token = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"The token file {path} cannot be read ({error}).") from None
    return _checked(token, str(path))


def own_token(path: str | os.PathLike[str] | None = None) -> str | None:
    """The token to send: that in a file, or else in the variable HASHLENS_TOKEN; ``None`` where there is neither.

    Raises:
        BadInput: it is none, or a short one.

    Example:
        >>> own_token() is None or VARIABLE in os.environ
        True
    """
    if path is not None:
        return read_token(path)
    return _checked(os.environ[VARIABLE], VARIABLE) if os.environ.get(VARIABLE) else None


def _checked(text: str, where: str) -> str:
    token = text.strip()
    if len(token) < SHORTEST_TOKEN or not token.isascii() or not token.isprintable() or " " in token:
        raise BadInput(
            f"The token in {where} must be {SHORTEST_TOKEN} or more letters, digits and signs without a space; "
            "make one with: openssl rand -hex 24"
        )
    return token
