"""The CUDA kernels on a CPU: their sources as plain C++, with tests/cuda_emulation, behind the package's adapter."""

from __future__ import annotations

import ctypes
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pybind11
from numpy.typing import NDArray

from esam_fast import _cuda

ROOT = Path(__file__).parents[1]
HERE = ROOT / "tests" / "cuda_emulation"
SANITIZER = os.environ.get("ESAM_EMULATED_SANITIZER")  # "thread" or "address"; see sanitize.py
SANITIZE = [f"-fsanitize={SANITIZER}", "-g"] if SANITIZER else []
WARN = ["-Wall", "-Wno-unknown-pragmas"]
FLAGS = ["-x", "c++", "-std=c++20", "-fPIC", "-fvisibility=hidden", "-ffp-contract=off", *WARN, *SANITIZE]
POISON = 0xA5


class HostMemory:
    """Host memory in place of a GPU's, filled with a pattern, so that output that was not written shows."""

    index = 0
    stream = 0

    def __init__(self, tensors: list[Any]) -> None:
        assert not tensors

    def empty(self, size: int) -> NDArray[np.uint8]:
        return np.full(size, POISON, np.uint8)

    def upload(self, data: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return data.copy()

    def download(self, buffer: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return buffer.copy()

    def address(self, buffer: NDArray[np.uint8]) -> int:
        return int(buffer.ctypes.data)


class Apart(_cuda._Packed):
    """Each array in memory of its own, so that the sanitizer sees an access beyond it."""

    def __init__(self, arrays: list[NDArray[Any]]) -> None:
        super().__init__(arrays)
        self.own = [np.empty(array.nbytes, np.uint8) for array in arrays]

    def addresses(self, start: int) -> dict[int, int]:
        for own, offset in zip(self.own, self.offsets, strict=True):
            own[:] = (ctypes.c_uint8 * len(own)).from_address(start + offset)
        return {id(array): int(own.ctypes.data) for array, own in zip(self.arrays, self.own, strict=True)}

    def unpack(self, data: NDArray[np.uint8]) -> None:
        for own, offset in zip(self.own, self.offsets, strict=True):
            data[offset : offset + len(own)] = own
        super().unpack(data)


def kernels(cache: Path) -> _cuda.Kernels:
    """The CUDA backend's kernels, emulated; built once for each state of the sources in the folder `cache`.

    Raises:
        RuntimeError: no C++ compiler, or it refuses; what it says is in the message.
    """
    if SANITIZER == "address":
        _cuda._Packed = Apart  # type: ignore[misc]
    return _cuda.Kernels(_module(cache), HostMemory)


def _module(cache: Path) -> ModuleType:
    compiler = os.environ.get("CXX") or shutil.which("c++") or shutil.which("g++") or shutil.which("clang++")
    if compiler is None:
        raise RuntimeError("no C++ compiler to build the emulated CUDA kernels with")
    sources = [HERE / "module.cpp", *sorted((ROOT / "csrc/cuda").glob("*.cu"))]
    headers = [*sorted((ROOT / "csrc/cuda").glob("*.*h*")), *sorted((ROOT / "csrc/common").glob("*.hpp"))]
    read = [*sources, *headers, ROOT / "csrc/cuda/bindings.cpp", HERE / "cuda_runtime.h"]
    state = "".join(FLAGS) + compiler + pybind11.__version__ + "".join(p.read_text(encoding="utf-8") for p in read)
    folder = cache / hashlib.sha256(state.encode()).hexdigest()[:16]
    library = folder / f"emulated_cuda{sysconfig.get_config_var('EXT_SUFFIX')}"
    if not library.exists():
        made = folder.with_name(f"{folder.name}.{os.getpid()}")  # several processes may be at it
        made.mkdir(parents=True, exist_ok=True)
        folder.mkdir(exist_ok=True)
        includes = [ROOT / "csrc", HERE, Path(pybind11.get_include()), Path(sysconfig.get_paths()["include"])]
        flags = [*FLAGS, *(f"-I{path}" for path in includes)]
        objects = [made / f"{path.name}.o" for path in sources]

        def compile_one(source: Path, target: Path) -> None:
            optimise = "-O0" if source.name == "module.cpp" else "-O2"
            _run([compiler, *flags, optimise, "-c", str(source), "-o", str(target)])

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(compile_one, sources, objects))
        _run([compiler, "-shared", *SANITIZE, *map(str, objects), "-o", str(made / library.name)])
        os.replace(made / library.name, library)
        shutil.rmtree(made)
    spec = importlib.util.spec_from_file_location("emulated_cuda", library)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr}")
