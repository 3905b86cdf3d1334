"""The two ways kernels are compiled: cached on disk, and free of the GIL."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

Function = TypeVar("Function", bound=Callable[..., Any])


def jit(function: Function) -> Function:
    """Compile for one thread. IEEE arithmetic: no fast-math, and division by zero does not raise."""
    return _compiled(function)


def parallel_jit(function: Function) -> Function:
    """Compile with `numba.prange` loops spread over numba's threads."""
    return _compiled(function, parallel=True)


def _compiled(function: Function, **options: bool) -> Function:
    options |= {"nogil": True}
    try:
        return cast(Function, numba.njit(cache=True, error_model="numpy", **options)(function))
    except RuntimeError:  # no folder for its cache can be written: compiled anew in every process
        return cast(Function, numba.njit(error_model="numpy", **options)(function))
