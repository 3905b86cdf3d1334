"""What Windows and macOS lack or refuse, forced here: the commands run all the same."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import esam_fast

# Run before the package is imported; the packages that it uses are imported first, as they are here.
COMMON = """
import os, sys, types
import click, cv2, faster_coco_eval.core, multiprocessing, numba, numpy, PIL.Image, PIL.ImageDraw, platformdirs
import multiprocessing.connection, requests, tempfile, tqdm
for name in ("fork", "sched_getaffinity", "mkfifo"):
    delattr(os, name)
"""
WINDOWS = """
import fcntl
def locking(descriptor, mode, count):  # of bytes from the position on, for this process
    fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, count, 0, os.SEEK_CUR)
sys.modules["msvcrt"] = types.SimpleNamespace(LK_NBLCK=2, locking=locking)
sys.modules["fcntl"] = sys.modules["resource"] = None
sys.platform = "win32"
for name in ("register_at_fork", "sysconf", "O_NONBLOCK"):
    delattr(os, name)
def refusing(change):
    def checked(*paths, **options):
        for path in filter(os.path.exists, paths):
            for number in os.listdir("/proc/self/fd"):
                if os.path.exists(f"/proc/self/fd/{number}") and os.path.samefile(f"/proc/self/fd/{number}", path):
                    raise PermissionError(13, "a file that is open is neither renamed nor removed", str(path))
        return change(*paths, **options)
    return checked
os.replace, os.unlink, os.remove = refusing(os.replace), refusing(os.unlink), refusing(os.remove)
"""
MACOS = """
sys.platform = "darwin"
"""
FORCED = {"win32": COMMON + WINDOWS, "darwin": COMMON + MACOS}

pytestmark = pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="forced on Linux; others are what they are")


# Each command as if by itself; the first that fails ends it.
COMMANDS = """
from esam_fast.cli import main
for command in commands:
    try:
        main(command)
    except SystemExit as end:
        if end.code:
            sys.exit(f"{command}: {end.code}")
"""


@pytest.mark.parametrize("platform", FORCED)
def test_commands(tmp_path: Path, platform: str) -> None:
    (tmp_path / "écran 图").mkdir()
    photo = tmp_path / "écran 图" / "φ.png"
    blocks = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)
    Image.fromarray(blocks.repeat(16, 0).repeat(16, 1)).save(photo)
    segment = ["segment", str(photo.parent), "--out", "out"]
    commands = [
        ["demo", "--out", "demo"], segment, segment,  # over results that are there
        ["profile", str(photo), "--out", "times"], ["info"], ["weights", "list"],
    ]  # fmt: skip
    path = f"sys.path.insert(0, {str(Path(esam_fast.__file__).parents[1])!r})"
    code = "\n".join([FORCED[platform], path, f"commands = {commands!r}", COMMANDS])
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert {path.name for path in (tmp_path / "out").iterdir()} >= {"φ.png", "φ.json", "φ_overlay.jpg", "run.json"}
    assert (tmp_path / "times" / "profile.html").exists()
    assert not list(tmp_path.rglob(".*.tmp"))


def test_a_file_in_use_is_refused_as_there(tmp_path: Path) -> None:
    code = f"{FORCED['win32']}\nfile = open('a', 'wb')\nos.replace('a', 'b')"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "PermissionError" in done.stderr
