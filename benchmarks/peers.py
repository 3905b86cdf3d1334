"""Peers that bring a cv2 of their own, so that they live in an environment of their own.

    python benchmarks/peers.py --make .peers    # builds it: OpenCV contrib and supervision
    ESAM_PEERS=.peers pytest benchmarks/bench_*.py

In that environment this file runs as a server: it reads a task and a file of inputs a line, does it, and answers with
the seconds that it took, by the clock and of the processor. It imports nothing of esam_fast.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

# supervision wants another build of OpenCV, which contrib's replaces: its other needs are named here.
PACKAGES = ["numpy", "opencv-contrib-python-headless"]
BARE = ["supervision"]
NEEDS = ["av", "defusedxml", "matplotlib", "pillow", "pydeprecate<0.14", "pyyaml", "requests", "scipy", "tqdm"]


def make(folder: Path) -> None:
    """Build the environment."""
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    pip = [folder / "bin" / "python", "-m", "pip", "install", "-q"]
    subprocess.run([*pip, *PACKAGES, *NEEDS], check=True)
    subprocess.run([*pip, "--no-deps", *BARE], check=True)


class Environment:
    """The server in its own environment, as seen from the benchmarks."""

    def __init__(self, folder: Path) -> None:
        command = [folder / "bin" / "python", __file__, "--serve"]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._folder = tempfile.TemporaryDirectory()

    def task(self, name: str, **inputs: Any) -> Callable[[], tuple[float, float]]:
        """A function that has the server do a task: its seconds, by the clock and of the processor."""
        file = Path(self._folder.name) / f"{name}-{len(os.listdir(self._folder.name))}.npz"
        np.savez(file, **inputs)

        def ask() -> tuple[float, float]:
            assert self._process.stdin is not None
            assert self._process.stdout is not None
            print(json.dumps([name, str(file)]), file=self._process.stdin, flush=True)
            seconds, cpu = json.loads(self._process.stdout.readline())
            return seconds, cpu

        return ask

    def close(self) -> None:
        self._process.communicate()
        self._folder.cleanup()


def open_environment() -> Environment | str:
    """The environment that ESAM_PEERS names, or why there is none."""
    folder = os.environ.get("ESAM_PEERS")
    return Environment(Path(folder).resolve()) if folder else "not run: ESAM_PEERS is not set"


def felzenszwalb(image: Any, sigma: Any, scale: Any, min_size: Any) -> None:
    """OpenCV contrib's graph segmentation."""
    import cv2

    segmentation = cv2.ximgproc.segmentation.createGraphSegmentation(float(sigma), float(scale), int(min_size))
    segmentation.processImage(image)


def mask_nms(masks: Any, predictions: Any, threshold: Any) -> None:
    """supervision's mask NMS."""
    from supervision.detection.utils.iou_and_nms import mask_non_max_suppression

    mask_non_max_suppression(predictions, masks, float(threshold))


def serve() -> None:
    tasks = {"felzenszwalb": felzenszwalb, "mask_nms": mask_nms}
    loaded: dict[str, Any] = {}
    for line in sys.stdin:
        name, file = json.loads(line)
        if file not in loaded:
            with np.load(file) as arrays:
                loaded = {file: dict(arrays)}
            tasks[name](**loaded[file])  # imports, warm-up
        start, cpu = time.perf_counter(), time.process_time()
        tasks[name](**loaded[file])
        print(json.dumps([time.perf_counter() - start, time.process_time() - cpu]), flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "--make":
        make(Path(sys.argv[2]))
    else:
        serve()
