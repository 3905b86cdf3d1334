"""Which backends are here, which one serves a call, and running kernels on it."""

from __future__ import annotations

import os
import platform
import threading
from collections.abc import Callable
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from esam_fast import _arrays, _check
from esam_fast._arrays import Array, Device, KernelArguments
from esam_fast._limits import MAX_THREADS
from esam_fast._version import __version__

BACKENDS = ("native", "cuda", "numba", "torch")
_HOST = ("native", "numba")  # serve NumPy arrays; "torch" serves tensors anywhere, "cuda" those on a GPU
_DEVICES: dict[str, Device] = {"native": None, "cuda": "cuda", "numba": None, "torch": "cpu"}


class BackendUnavailable(RuntimeError):
    """A backend was asked for by name and is not here."""


def available() -> list[str]:
    """Names of the backends that can run here, best first."""
    return [name for name in BACKENDS if _is_here(name)]


@cache
def _is_here(name: str) -> bool:
    if name == "cuda":
        core = _core()
        return bool(core and core.cuda_built and core.cuda.device_count() > 0 and _is_here("torch"))
    return installed({"native": "esam_fast._core"}.get(name, name))


def installed(module: str) -> bool:
    """Whether a module can be imported; a folder of its name, which has no origin, is none."""
    spec = find_spec(module)
    return spec is not None and spec.origin is not None


def check(backend: str | None) -> str | None:
    """A backend's name, or None, as it is.

    Raises:
        ValueError: there is no such backend. BackendUnavailable: it is not here.
    """
    if backend is not None:
        if not isinstance(backend, str) or backend not in BACKENDS:
            raise ValueError(f"backend must be one of {', '.join(BACKENDS)} or None, got {backend!r}")
        if not _is_here(backend):
            here = ", ".join(available())
            raise BackendUnavailable(f"backend {backend!r} is not available here; available: {here}")
    return backend


def resolve(backend: str | None, like: Array = None) -> str:
    """The backend that serves an array: the one asked for, or the best one for where the array lives.

    Raises:
        ValueError: there is no such backend, or it does not work on arrays that live there.
        BackendUnavailable: it is not here.
    """
    device = _arrays.device_of(like)
    if device is not None and device.type not in ("cpu", "cuda"):
        raise ValueError(f"masks must be on the CPU or a CUDA device, got {device}: decisions need float64")
    able = _HOST if device is None else ("cuda", "torch") if device.type == "cuda" else ("torch",)
    if check(backend) is None:
        return next(name for name in able if _is_here(name))
    assert backend is not None
    if device is not None and backend not in able:
        raise ValueError(f"backend must be one of {', '.join(able)} for what lives on {device}, got {backend!r}")
    return backend


def device_for(backend: str | None) -> Device:
    """Where masks should live for a backend: None for NumPy, or a torch device."""
    return None if backend is None else _DEVICES[backend]


def on_host(backend: str | None) -> str:
    """The backend for an op without kernels on devices: the one asked for if it serves NumPy arrays, else the best.

    Raises:
        ValueError, BackendUnavailable: see `resolve`.
    """
    return resolve(backend if check(backend) in _HOST else None)


def run(kernel: str, backend: str | None, *arguments: Any, out: tuple[Array, ...]) -> int | None:
    """Run a raw kernel on the backend that serves its first argument.

    Args:
        kernel: "file.name": the function `name` in the file of that name of each backend's folder.
        backend: see `resolve`.
        arguments: what the kernel reads: contiguous arrays, numbers, and packed masks as a tuple (`PackedMasks.raw`).
        out: the arrays that it writes, whole, in the order of its last parameters.

    Returns:
        What the kernel returns: None or a whole number.

    Raises:
        ValueError, BackendUnavailable: see `resolve`.
    """
    first = arguments[0]
    chosen = resolve(backend, first[0] if isinstance(first, tuple) else first)
    file, name = kernel.split(".")
    return _RUN[chosen](file, name, arguments, out)


def _run_native(file: str, name: str, arguments: KernelArguments, out: tuple[Array, ...]) -> int | None:
    core = _core()
    core.set_num_threads(get_num_threads())
    return core.run(name, (*arguments, *out))


def _run_cuda(file: str, name: str, arguments: KernelArguments, out: tuple[Array, ...]) -> int | None:
    return import_module("esam_fast._cuda").run(name, arguments, out)


def _run_numba(file: str, name: str, arguments: KernelArguments, out: tuple[Array, ...]) -> int | None:
    import numba

    with _ONE_AT_A_TIME:
        numba.set_num_threads(min(get_num_threads(), _numba_threads()))
        return _function("_numba", file, name)(*arguments, *out)


def _run_torch(file: str, name: str, arguments: KernelArguments, out: tuple[Array, ...]) -> int | None:
    return _function("_torch", file, name)(*arguments, *out)


@cache
def _numba_threads() -> int:
    """Threads of numba's pool; it hangs or aborts where the system refuses it one, so that is tried before.

    Raises:
        RuntimeError: the system refuses.
    """
    from numba import config

    wanted, gate, team = int(config.NUMBA_NUM_THREADS), threading.Event(), []
    try:
        for _ in range(wanted):
            thread = threading.Thread(target=gate.wait)
            thread.start()
            team.append(thread)
    except RuntimeError as error:
        raise RuntimeError(
            f"numba starts {wanted} threads and the system allows {len(team)} ({error}); "
            "set NUMBA_NUM_THREADS to fewer, or use the native module"
        ) from None
    finally:
        gate.set()
        for thread in team:
            thread.join()
    return wanted


_ONE_AT_A_TIME = threading.Lock()  # numba's own pool of threads aborts the process when two threads use it at once
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_ONE_AT_A_TIME.acquire, after_in_parent=_ONE_AT_A_TIME.release, after_in_child=_ONE_AT_A_TIME.release
    )
_RUN = {"native": _run_native, "cuda": _run_cuda, "numba": _run_numba, "torch": _run_torch}


@cache
def _function(folder: str, file: str, name: str) -> Callable[..., Any]:
    return getattr(import_module(f"esam_fast.{folder}.{file}"), name)


@cache
def _core() -> Any:
    """The native module; None where it was not built."""
    return import_module("esam_fast._core") if _is_here("native") else None


_num_threads: int | None = None


def set_num_threads(n: int) -> None:
    """Use `n` threads in native and numba kernels (default: the cores this process may run on).

    Raises:
        TypeError: n is not a whole number. ValueError: n is below 1, or over 4096.
    """
    global _num_threads
    _num_threads = _check.integer("n", n, 1, MAX_THREADS)


def get_num_threads() -> int:
    """Threads that native and numba kernels use."""
    return cores() if _num_threads is None else _num_threads


def cores() -> int:
    """Cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def build_info() -> dict[str, Any]:
    """What is built, found and chosen.

    Returns:
        A dict with version (of esam_fast), python (of the interpreter), platform, backends (those available here,
        best first), default_backend (the one that serves NumPy arrays when none is named), compiler, simd and
        simd_available (of the native module; None without it), cuda_built (whether it holds CUDA kernels),
        cuda_devices (how many devices these find) and threads (see `set_num_threads`).
    """
    core = _core()
    return {
        "version": __version__,
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "backends": available(),
        "default_backend": resolve(None),
        "compiler": core.compiler if core else None,
        "simd": core.simd_level() if core else None,
        "simd_available": core.simd_levels() if core else None,
        "cuda_built": bool(core and core.cuda_built),
        "cuda_devices": core.cuda.device_count() if core and core.cuda_built else 0,
        "threads": get_num_threads(),
    }
