"""The native module under GCC's sanitizers: no data race, nothing beyond an array, nothing that C++ leaves undefined.

    python tests/sanitize_native.py [address,undefined] [thread]

The module is built anew for each, by the CMake option ESAM_SANITIZE, with the kernels of planted.cpp in it. First the
sanitizer has to find their faults, through Python as all else; then the tests of the ops, of threads and the fuzzed
calls run with that module. Needs GCC (as g++, or named by CXX).
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from sanitize import FOUND, OPTIONS, library

HERE = Path(__file__).parent


class Build(NamedTuple):
    """Libraries to be there before Python, faults that must be found, and the tests to run."""

    libraries: tuple[str, ...]
    faults: dict[str, str]
    tests: tuple[str, ...]


OPS = ("ops", "test_masks.py", "--backend", "native", "-m", "not long")
BUILDS = {
    "address,undefined": Build(
        ("libasan.so", "libubsan.so", "libstdc++.so"),
        {
            "one item beyond an array": "core.run('planted_beyond', (np.zeros(1000, np.int64),))",
            "a shift too far": "core.run('planted_undefined', (64,))",
        },
        OPS,
    ),
    "thread": Build(("libtsan.so",), {"a race": "core.run('planted_race', (100000,))"}, OPS),
}
LOAD = """
import sys
from importlib.util import module_from_spec, spec_from_file_location
import numpy as np
spec = spec_from_file_location("esam_fast._core", sys.argv[1])
core = module_from_spec(spec)
spec.loader.exec_module(core)
core.set_num_threads(4)
try:
    core.run("planted_throw", (1000,))
except ValueError as error:
    assert str(error) == "planted"
else:
    raise AssertionError("what a thread throws did not reach the caller")
"""


def main() -> int:
    for name in sys.argv[1:] or BUILDS:
        if name not in BUILDS:
            sys.exit(f"sanitizer must be one of {' '.join(BUILDS)}, got {name!r}")
        with tempfile.TemporaryDirectory() as folder:
            status = _check(name, BUILDS[name], _build(name, Path(folder)))
        if status:
            return status
    return 0


def _build(name: str, folder: Path) -> Path:
    """The module, built with this sanitizer into a folder."""
    options = {"ESAM_SANITIZE": name, "ESAM_CUDA": "OFF", "CMAKE_INTERPROCEDURAL_OPTIMIZATION": "OFF"}
    defines = [word for key, value in options.items() for word in ("-C", f"cmake.define.{key}={value}")]
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(folder)]
    subprocess.run([*pip, *defines, "-C", "cmake.build-type=RelWithDebInfo", str(HERE.parent)], check=True)
    return next((folder / "esam_fast").glob("_core*.so"))


def _check(name: str, build: Build, module: Path) -> int:
    compiler = os.environ.get("CXX", "g++")
    environment = (
        os.environ
        | OPTIONS
        | {
            "LD_PRELOAD": " ".join(library(compiler, name) for name in build.libraries),
            "UBSAN_OPTIONS": f"exitcode={FOUND} print_stacktrace=1",
            "PYTHONMALLOC": "malloc",  # each object by itself, so that what lies beyond it is known
            "ESAM_TEST_CORE": str(module),
            "ESAM_EXPECT_BACKENDS": "native",
        }
    )
    # Where the system scatters addresses more widely than the sanitizer can follow, it is told not to.
    prefix: list[str] = []
    if _call(prefix, module, "", environment).returncode:
        prefix = ["setarch", "-R"]
    for fault, call in {"": "", **build.faults}.items():
        done = _call(prefix, module, call, environment)
        if done.returncode != (FOUND if fault else 0):
            print(f"{name}: {fault or 'no fault'} ended in {done.returncode}\n{done.stdout}{done.stderr}")
            return 1
    print(f"{name}: finds {', '.join(build.faults)}", flush=True)
    pytest = [sys.executable, "-m", "pytest", "-q", "-x", "-s", "-p", "no:faulthandler"]
    tests = [str(HERE / test) if (HERE / test).exists() else test for test in build.tests]
    for more in (tests, [str(HERE / "pipeline/test_threads.py"), "-k", "native"], [str(HERE / "fuzz"), "-k", "calls"]):
        status = subprocess.run([*prefix, *pytest, *more], env=environment).returncode
        if status:
            print(f"{name}: {'found something' if status == FOUND else 'the tests failed'}")
            return status
    return 0


def _call(prefix: list[str], module: Path, call: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = [*prefix, sys.executable, "-c", LOAD + call, str(module)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


if __name__ == "__main__":
    sys.exit(main())
