"""What all methods have: parameters, which are the fields of a dataclass."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self, get_type_hints


@dataclass(frozen=True, kw_only=True, eq=False)
class Parametrized:
    """Parameters that can be set, shown and saved."""

    def settable(self) -> dict[str, Any]:
        """Type hints of the parameters that a user may set, by name."""
        hints = get_type_hints(type(self))
        return {name: hints[name] for name in vars(self)}

    def with_parameters(self, values: Mapping[str, Any]) -> Self:
        """The same with other values of some parameters."""
        return replace(self, **values)

    def describe(self) -> dict[str, Any]:
        """The parameters, in a form that JSON can hold."""
        return {name: plain(value) for name, value in vars(self).items()}


def plain(value: Any) -> Any:
    """A parameter in a form that JSON can hold; of arrays, only that they were given."""
    return value if value is None or isinstance(value, str | int | float) else "given"
