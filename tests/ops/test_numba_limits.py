"""numba where it is difficult: several threads at once, and no folder for its cache."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import esam_fast

PACKAGE = Path(esam_fast.__file__).parent

CALLS = """
import sys, threading
import numpy as np
from esam_fast import PackedMasks, set_num_threads
from esam_fast.ops import mask_iou
set_num_threads(2)
masks = PackedMasks.from_bool(np.eye(64, dtype=bool).reshape(8, 8, 64), backend="numba")
expected = mask_iou(masks, masks, backend="numba")
wrong = []
def call():
    for _ in range(50):
        if not np.array_equal(mask_iou(masks, masks, backend="numba"), expected):
            wrong.append(1)
threads = [threading.Thread(target=call) for _ in range(3)]
for thread in threads: thread.start()
for thread in threads: thread.join()
assert not wrong
print("whole")
"""


def run(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    own = {**os.environ, "PYTHONPATH": str(PACKAGE.parent), **environment}
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=own)


def test_threads_at_once_on_numbas_own_pool():
    """Its "workqueue" layer aborts the process when two threads use it at the same time."""
    done = run(CALLS, NUMBA_THREADING_LAYER="workqueue")
    assert (done.returncode, done.stdout) == (0, "whole\n"), done.stderr


def test_no_folder_for_the_cache():
    """As in a read-only installation of a user without a home: numba names no place for its cache."""
    code = (
        "import numba\n"
        "whole = numba.njit\n"
        "def njit(*args, cache=False, **options):\n"
        "    if cache: raise RuntimeError('cannot cache function: no locator available')\n"
        "    return whole(*args, **options)\n"
        "numba.njit = njit\n"
    )
    done = run(code + CALLS)
    assert (done.returncode, done.stdout) == (0, "whole\n"), done.stderr


def test_other_sources_never_share_a_file_of_the_cache(tmp_path):
    """numba names cached code before it writes it; another process would run what an older source left there."""
    cache = tmp_path / "cache"
    code = "import numpy as np\nfrom kernels._bits import lowest_bit\nlowest_bit(np.uint64(8))"
    shutil.copytree(PACKAGE / "_numba", tmp_path / "kernels", ignore=shutil.ignore_patterns("__pycache__"))
    for path in (tmp_path / "kernels").glob("*.py"):
        path.write_text(path.read_text().replace("esam_fast._numba", "kernels"))

    def cached() -> set[str]:
        done = run(code, NUMBA_CACHE_DIR=str(cache), PYTHONPATH=os.pathsep.join([str(tmp_path), str(PACKAGE.parent)]))
        assert done.returncode == 0, done.stderr
        return {path.name for path in cache.rglob("*.nb?")}

    before = cached()
    with (tmp_path / "kernels" / "_rules.py").open("a") as file:
        file.write("# another version\n")
    assert before
    assert len(cached()) == 2 * len(before)
