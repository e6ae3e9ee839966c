"""What others cite is what is released."""

from __future__ import annotations

import re
from pathlib import Path

import hashlens as hl

ROOT = Path(__file__).resolve().parents[1]


def test_one_version_stands_everywhere() -> None:
    for name, form in (("pyproject.toml", r'^version = "(.+)"$'), ("CITATION.cff", r"^version: (.+)$")):
        text = (ROOT / name).read_text(encoding="utf-8")
        assert re.findall(form, text, re.MULTILINE) == [hl.__version__], name
    assert f"## {hl.__version__}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
