"""An extension of griffe, which reads Markdown: it takes a row for each argument, and examples and
roles of reStructuredText are code."""

from __future__ import annotations

import re
from typing import Any

import griffe

SEVERAL = re.compile(r"^    ((?:\w+, )+\w+): (.*(?:\n {5,}.*)*)\n?", re.MULTILINE)  # arguments that share a line
ROLE = re.compile(r":(?:class|func|meth|attr|mod|data|exc):`~?([^`]+)`")


class AsMarkdown(griffe.Extension):
    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        if obj.docstring is not None:
            text = re.sub(
                r"^Example:$", "Examples:", obj.docstring.value, flags=re.MULTILINE
            )  # as griffe calls them
            text = SEVERAL.sub(
                lambda found: "".join(f"    {name}: {found[2]}\n" for name in found[1].split(", ")), text
            )
            obj.docstring.value = ROLE.sub(r"`\1`", text)
