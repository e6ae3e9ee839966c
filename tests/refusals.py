"""How a refusal of bad input reads."""

from __future__ import annotations

import pytest

from hashlens.errors import BadInput


def is_one_sentence(error: pytest.ExceptionInfo[BadInput]) -> bool:
    text = str(error.value)
    return text.endswith(".") and "\n" not in text
