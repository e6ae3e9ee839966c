"""Things of one kind by name: how a method, a loss, a metric, an engine or a source is found."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from hashlens.errors import BadInput

T = TypeVar("T")


class Registry(Generic[T]):
    """Names and the things behind them, open to whoever adds one.

    Args:
        kind: what the things are, for messages.

    Example:
        >>> shapes = Registry[type]("shape")
        >>> @shapes.register("square")
        ... class Square: ...
        >>> shapes["square"] is Square, list(shapes)
        (True, ['square'])
        >>> shapes["circle"]
        Traceback (most recent call last):
        ...
        hashlens.errors.BadInput: There is no shape 'circle'; use one of square.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._things: dict[str, T] = {}

    def register(self, name: str) -> Callable[[T], T]:
        """A decorator that adds a thing under ``name``, in place of one that has it, with a warning."""

        def add(thing: T) -> T:
            if name in self._things:
                warnings.warn(f"The {self.kind} '{name}' is replaced.", stacklevel=2)
            self._things[name] = thing
            return thing

        return add

    def remove(self, name: str) -> None:
        """Forget what has this name.

        Raises:
            BadInput: nothing has it.
        """
        del self._things[self._known(name)]

    def __getitem__(self, name: str) -> T:
        """The thing of that name.

        Raises:
            BadInput: there is none; the message names those that there are.
        """
        return self._things[self._known(name)]

    def __contains__(self, name: object) -> bool:
        return name in self._things

    def __iter__(self) -> Iterator[str]:
        return iter(self._things)

    def values(self) -> list[T]:
        """The things themselves, in the order in which they were added."""
        return list(self._things.values())

    def items(self) -> list[tuple[str, T]]:
        """Names and things, in the order in which they were added."""
        return list(self._things.items())

    def __len__(self) -> int:
        return len(self._things)

    def _known(self, name: str) -> str:
        if name not in self._things:
            raise BadInput(f"There is no {self.kind} '{name}'; use one of {', '.join(self._things)}.")
        return name
