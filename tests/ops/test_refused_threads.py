"""Where the system refuses a thread: fewer threads and the same result, or an error that says so; never an abort.

A process whose threads want more stack than its memory may grow gets none, as one does that is at its limit of threads.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from waiting import PATIENCE

import esam_fast
from esam_fast._backend import available

resource = pytest.importorskip("resource", reason="limits of POSIX")
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="/proc tells how much memory is mapped")

START = """
import resource, sys, threading
import numpy as np
from esam_fast import PackedMasks, set_num_threads
from esam_fast.ops import felzenszwalb, mask_iou, nms

STACK, ROOM = 8 << 30, 100 << 20
rng = np.random.default_rng(0)
bits = rng.random((300, 64, 64)) < 0.5
scores = rng.random(300).astype(np.float32)
image = rng.integers(0, 255, (300, 300, 3), dtype=np.uint8)

def limit(threads):
    mapped = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (mapped + threads * (STACK + ROOM) + ROOM * 5,) * 2)

def refused():
    try:
        threading.Thread(target=print).start()
    except RuntimeError:
        return True
    return False

def results(backend):
    masks = PackedMasks.from_bool(bits, backend=backend)
    iou, kept = mask_iou(masks, masks, backend=backend), nms(masks, scores, 0.3, backend=backend)
    return iou, kept, felzenszwalb(image, backend=backend)
"""
LAUNCH = """
import os, resource, sys
resource.setrlimit(resource.RLIMIT_STACK, (8 << 30, resource.getrlimit(resource.RLIMIT_STACK)[1]))
os.execv(sys.executable, [sys.executable, "-c", sys.argv[1]])
"""


def run(code: str) -> tuple[int, str]:
    """Code in a process whose threads want a stack of 8 GB each: its exit status and what it prints."""
    environment = {
        "PYTHONPATH": str(Path(esam_fast.__file__).parents[1]),
        "OPENBLAS_NUM_THREADS": "1",
        "NUMBA_NUM_THREADS": "8",
    }
    command = [sys.executable, "-c", LAUNCH, START + code]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=PATIENCE)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.skipif("native" not in available(), reason="its own threads")
@pytest.mark.parametrize("allowed", [0, 1, 2])
def test_native_kernels_go_on_with_fewer(allowed: int) -> None:
    code = f"""
set_num_threads(1)
expected = results("native")
limit({allowed})
assert {allowed} > 0 or refused()
set_num_threads(16)
print([np.array_equal(a, b) for a, b in zip(expected, results("native"))])
"""
    assert run(code) == (0, "[True, True, True]\n")


def test_numba_says_so() -> None:
    code = """
import numba, numba.np.linalg
limit(1)
try:
    results("numba")
except RuntimeError as error:
    print(error)
"""
    status, printed = run(code)
    assert status == 0, printed
    assert printed.startswith("numba starts 8 threads and the system allows 1 (can't start new thread)")


def test_reading_ahead_says_so() -> None:
    code = """
from esam_fast._prefetch import in_order
limit(1)
for _ in range(2):
    try:
        print(list(in_order(range(5), abs, abs, 4)))
    except RuntimeError as error:
        print(error)
"""
    assert run(code) == (0, "can't start new thread\n" * 2)
