"""What is built, what is here, what was asked for. A kernel's own errors pass through untouched."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any

BACKENDS = ("native", "cuda", "numba")
_MODULES = {"native": "esam_fast._core", "numba": "esam_fast._numba"}


class BackendUnavailable(RuntimeError):
    """A backend was asked for by name and is not here."""


@cache
def available() -> list[str]:
    """Names of the backends that can run here, best first."""
    return [name for name in BACKENDS if name in _MODULES and find_spec(_MODULES[name]) is not None]


def resolve(backend: str | None) -> str:
    """The backend that serves: the one asked for, or the best one here."""
    if backend is None:
        return available()[0]
    if backend not in BACKENDS:
        raise ValueError(f"backend must be one of {', '.join(BACKENDS)} or None, got {backend!r}")
    if backend not in available():
        raise BackendUnavailable(f"backend {backend!r} is not available here; available: {', '.join(available())}")
    return backend


def kernel(name: str, backend: str | None) -> Callable[..., Any]:
    """The raw kernel `name` of the backend that serves."""
    chosen = resolve(backend)
    module = _load(chosen)
    _apply_threads(chosen, module)
    return getattr(module, name)


@cache
def _load(backend: str) -> ModuleType:
    return import_module(_MODULES[backend])


_num_threads: int | None = None


def set_num_threads(n: int) -> None:
    """Use `n` threads in native and numba kernels (default: the cores this process may run on).

    Raises:
        TypeError: n is not a whole number. ValueError: n is below 1.
    """
    from esam_fast import _check

    global _num_threads
    _num_threads = _check.integer("n", n, 1)


def get_num_threads() -> int:
    """Threads that native and numba kernels use."""
    if _num_threads is not None:
        return _num_threads
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _apply_threads(backend: str, module: ModuleType) -> None:
    if backend == "native":
        module.set_num_threads(get_num_threads())
    else:
        import numba

        numba.set_num_threads(min(get_num_threads(), numba.config.NUMBA_NUM_THREADS))


def build_info() -> dict[str, Any]:
    """What is built, found and chosen.

    Returns:
        version: of esam_fast; python: of the interpreter; backends: those available here, best first;
        default_backend: the one that serves when none is named; compiler, simd, simd_available: of the native
        module (None without it); cuda_built: whether it holds CUDA kernels; threads: see `set_num_threads`.
    """
    from esam_fast import __version__

    native = _load("native") if "native" in available() else None
    return {
        "version": __version__,
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "backends": list(available()),
        "default_backend": resolve(None),
        "compiler": native.compiler if native else None,
        "simd": native.simd_level() if native else None,
        "simd_available": native.simd_levels() if native else None,
        "cuda_built": bool(native and native.cuda_built),
        "threads": get_num_threads(),
    }
