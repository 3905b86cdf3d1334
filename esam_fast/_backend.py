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

from esam_fast import _arrays, _check
from esam_fast._version import __version__

BACKENDS = ("native", "cuda", "numba", "torch")
_MODULES = {
    "native": "esam_fast._core",
    "cuda": "esam_fast._cuda",
    "numba": "esam_fast._numba",
    "torch": "esam_fast._torch",
}
_HOST = ("native", "numba")  # serve NumPy arrays; "torch" serves tensors anywhere, "cuda" those on a GPU
_HOST_ONLY = ("felzenszwalb", "region_tree", "watershed")
_HOMES: dict[str, Any] = {"native": None, "cuda": "cuda", "numba": None, "torch": "cpu"}


class BackendUnavailable(RuntimeError):
    """A backend was asked for by name and is not here."""


def available() -> list[str]:
    """Names of the backends that can run here, best first."""
    return [name for name in BACKENDS if _is_here(name)]


@cache
def _is_here(name: str) -> bool:
    if name == "cuda":
        native = _load("native") if _is_here("native") else None
        return bool(native and native.cuda_built and native.cuda.device_count() > 0 and _is_here("torch"))
    return find_spec("torch" if name == "torch" else _MODULES[name]) is not None


def check(backend: str | None) -> str | None:
    """A backend's name, or None, as it is.

    Raises:
        ValueError: there is no such backend. BackendUnavailable: it is not here.
    """
    if backend is not None:
        if backend not in BACKENDS:
            raise ValueError(f"backend must be one of {', '.join(BACKENDS)} or None, got {backend!r}")
        if not _is_here(backend):
            here = ", ".join(available())
            raise BackendUnavailable(f"backend {backend!r} is not available here; available: {here}")
    return backend


def resolve(backend: str | None, like: Any = None) -> str:
    """The backend that serves an array: the one asked for, or the best one for where the array lives.

    Raises:
        ValueError: there is no such backend, or it does not work on arrays that live there.
        BackendUnavailable: it is not here.
    """
    device = _arrays.place(like)
    able = _HOST if device is None else ("cuda", "torch") if device.type == "cuda" else ("torch",)
    if check(backend) is None:
        return next(name for name in able if _is_here(name))
    assert backend is not None
    if device is not None and backend not in able:
        raise ValueError(f"backend must be one of {', '.join(able)} for what lives on {device}, got {backend!r}")
    return backend


def home(backend: str | None) -> Any:
    """Where masks should live for a backend: None for NumPy, or a torch device."""
    return None if backend is None else _HOMES[backend]


def kernel(name: str, backend: str | None, like: Any = None) -> Callable[..., Any]:
    """The raw kernel `name` of the backend that serves an array; superpixels stay on the host with every backend."""
    chosen = resolve(backend, like)
    if name in _HOST_ONLY and chosen not in _HOST:
        chosen = resolve(None)
    module = _load(chosen)
    _apply_threads(chosen, module)
    return getattr(module, name)


@cache
def _load(backend: str) -> Any:
    module = import_module(_MODULES[backend])
    return module.kernels() if backend == "cuda" else module


_num_threads: int | None = None


def set_num_threads(n: int) -> None:
    """Use `n` threads in native and numba kernels (default: the cores this process may run on).

    Raises:
        TypeError: n is not a whole number. ValueError: n is below 1.
    """
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
    elif backend == "numba":
        import numba

        numba.set_num_threads(min(get_num_threads(), numba.config.NUMBA_NUM_THREADS))


def build_info() -> dict[str, Any]:
    """What is built, found and chosen.

    Returns:
        A dict with version (of esam_fast), python (of the interpreter), platform, backends (those available here,
        best first), default_backend (the one that serves NumPy arrays when none is named), compiler, simd and
        simd_available (of the native module; None without it), cuda_built (whether it holds CUDA kernels),
        cuda_devices (how many devices these find) and threads (see `set_num_threads`).
    """
    native = _load("native") if _is_here("native") else None
    return {
        "version": __version__,
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "backends": available(),
        "default_backend": resolve(None),
        "compiler": native.compiler if native else None,
        "simd": native.simd_level() if native else None,
        "simd_available": native.simd_levels() if native else None,
        "cuda_built": bool(native and native.cuda_built),
        "cuda_devices": native.cuda.device_count() if native and native.cuda_built else 0,
        "threads": get_num_threads(),
    }
