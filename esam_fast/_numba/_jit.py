"""The two ways kernels are compiled: cached on disk, and free of the GIL."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path
from typing import Any, TypeVar, cast

import numba

Function = TypeVar("Function", bound=Callable[..., Any])


def _digest() -> str:
    """Of the sources of all kernels; part of the names of numba's cache files.

    numba looks at a function's own file only, not at those whose functions it calls; and while one process replaces
    the machine code of an older source, another may load and run that code.
    """
    sources = (path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.py")))
    return blake2b(b"".join(sources), digest_size=6).hexdigest()


_DIGEST = _digest()


def jit(function: Function) -> Function:
    """Compile for one thread. IEEE arithmetic: no fast-math, and division by zero does not raise."""
    return _compiled(function)


def parallel_jit(function: Function) -> Function:
    """Compile with `numba.prange` loops spread over numba's threads."""
    return _compiled(function, parallel=True)


def _compiled(function: Function, **options: bool) -> Function:
    options |= {"nogil": True}
    function.__qualname__ += f"_{_DIGEST}"
    try:
        return cast(Function, numba.njit(cache=True, error_model="numpy", **options)(function))
    except RuntimeError:  # no folder for its cache can be written: compiled anew in every process
        return cast(Function, numba.njit(error_model="numpy", **options)(function))
