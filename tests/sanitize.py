"""The emulated CUDA kernels under the compiler's sanitizers: no data race, nothing read or written beyond an array.

    python tests/sanitize.py [thread] [address]

A race is what two threads of a block, or two lanes of a warp, do to one place in shared or global memory without a
barrier between them. First each sanitizer has to find the faults planted in cuda_emulation/planted.cpp; then the tests
of the ops run under it, with fresh builds of the kernels. Needs GCC (as g++, or named by CXX).
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
SELECTED = ("--backend", "emulated", "-m", "not long")
FOUND = 66  # exit code
OPTIONS = {
    "TSAN_OPTIONS": f"exitcode={FOUND} halt_on_error=1 ignore_noninstrumented_modules=1",
    "ASAN_OPTIONS": f"exitcode={FOUND} detect_leaks=0",
}
FAULTS = {"thread": ("barrier", "warp", "atomic"), "address": ("beyond",)}
LIBRARIES = {"thread": ("libtsan.so",), "address": ("libasan.so", "libstdc++.so")}  # to be there before Python


def main() -> int:
    compiler = os.environ.get("CXX", "g++")
    for sanitizer in sys.argv[1:] or FAULTS:
        if sanitizer not in FAULTS:
            sys.exit(f"sanitizer must be one of {', '.join(FAULTS)}, got {sanitizer!r}")
        environment = os.environ | OPTIONS
        with tempfile.TemporaryDirectory() as folder:
            program = f"{folder}/planted"
            build = [compiler, "-std=c++20", "-O2", "-g", f"-fsanitize={sanitizer}", f"-I{HERE / 'cuda_emulation'}"]
            subprocess.run([*build, str(HERE / "cuda_emulation/planted.cpp"), "-o", program], check=True)
            # Where the system scatters addresses more widely than the sanitizer can follow, it is told not to.
            prefix = [] if _code([program, "none"], environment) == 0 else ["setarch", "-R"]
            for fault in ("none", *FAULTS[sanitizer]):
                code, expected = _code([*prefix, program, fault], environment), 0 if fault == "none" else FOUND
                if code != expected:
                    print(f"{sanitizer}: planted fault {fault!r} ended in {code}, not in {expected}")
                    return 1
        print(f"{sanitizer}: finds {', '.join(FAULTS[sanitizer])}", flush=True)

        environment |= {
            "CXX": compiler,
            "ESAM_EMULATED_SANITIZER": sanitizer,
            "LD_PRELOAD": " ".join(library(compiler, name) for name in LIBRARIES[sanitizer]),
        }
        pytest = [sys.executable, "-m", "pytest", "-q", "-x", "-s", "-p", "no:faulthandler", *SELECTED]
        code = subprocess.run([*prefix, *pytest, str(HERE / "ops")], env=environment).returncode
        if code:
            print(f"{sanitizer}: {'found something' if code == FOUND else 'the tests failed'}")
            return code
    return 0


def _code(command: list[str], environment: dict[str, str]) -> int:
    """What a command ends in; what it says is not shown."""
    return subprocess.run(command, env=environment, capture_output=True).returncode


def library(compiler: str, name: str) -> str:
    """The path of one of the compiler's own libraries."""
    return subprocess.run(
        [compiler, f"-print-file-name={name}"], capture_output=True, text=True, check=True
    ).stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
