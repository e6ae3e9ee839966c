"""Kernels: functions that numba compiles for the machine it runs on.

numba is loaded when the first of them is called, since that takes most of a second.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cached_property, update_wrapper
from threading import RLock
from typing import Any

_loading = RLock()


class _Kernel:
    """What stands for a function until it is called, by Python or by another kernel."""

    __wrapped__: Callable[..., Any]

    def __init__(self, function: Callable[..., Any]) -> None:
        update_wrapper(self, function)

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        return self._compiled(*arguments, **named)

    @cached_property
    def _compiled(self) -> Any:
        with _loading:
            from numba import njit

            # numba's own threading layers may abort when two Python threads call in at once, as a web service does.
            # So kernels release the interpreter lock and run on Python threads.
            return njit(nogil=True, cache=True, boundscheck=False)(self.__wrapped__)

    @cached_property
    def _numba_type_(self) -> Any:
        """What numba asks of a global that compiled code calls."""
        return self._compiled._numba_type_


class _Intrinsic:
    """What stands for a function whose LLVM code we write ourselves; compiled code alone can call it."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    def __call__(self, *arguments: Any) -> Any:
        raise TypeError(f"{self._function.__name__} can be called in kernels alone.")

    @cached_property
    def _numba_type_(self) -> Any:
        with _loading:
            from numba.core.registry import cpu_target
            from numba.extending import intrinsic

            built = intrinsic(self._function)
            cpu_target.typing_context.refresh()  # or it is unknown where a kernel is being compiled
            return cpu_target.typing_context.resolve_value_type(built)


def compiled(function: Callable[..., Any]) -> Any:
    """Make a function one that numba compiles when it is first called; it may call others and read constants.

    Example:
        >>> @compiled
        ... def twice(number):
        ...     return 2 * number
        >>> twice(21)
        42
    """
    return _Kernel(function)


def intrinsic(function: Callable[..., Any]) -> Any:
    """A function that writes LLVM code for kernels, and is itself as :func:`numba.extending.intrinsic` wants it."""
    return _Intrinsic(function)


def loaded() -> bool:
    """Whether numba has been loaded, so that a kernel starts at once."""
    return "numba" in sys.modules


@intrinsic
def popcount(typing_context: Any, word: Any) -> Any:
    """Number of one bits of a uint64, as int64 (LLVM's ctpop, which numba does not expose)."""
    from llvmlite import ir
    from numba import types

    if word != types.uint64:
        return None

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        count = builder.module.declare_intrinsic("llvm.ctpop", [ir.IntType(64)])
        return builder.call(count, arguments)

    return types.int64(types.uint64), generate
