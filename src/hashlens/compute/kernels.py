"""Kernels: functions that numba compiles for the machine it runs on."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

# numba's own threading layers may abort when two Python threads call in at once, as a web service does.
# So kernels release the interpreter lock and run on Python threads.
compiled = njit(nogil=True, cache=True, boundscheck=False)


def _popcount(typing_context: Any, word: Any) -> Any:
    """Number of one bits of a uint64, as int64 (LLVM's ctpop, which numba does not expose)."""
    if word != types.uint64:
        return None

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        count = builder.module.declare_intrinsic("llvm.ctpop", [ir.IntType(64)])
        return builder.call(count, arguments)

    return types.int64(types.uint64), generate


popcount: Any = intrinsic(_popcount)  # compiled code passes the word alone
