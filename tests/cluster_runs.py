"""What the tests of `esam_fast.cluster` share: images, segmenters that die, and the rows that one process gives.

Where ray is missing, the tests that import this are skipped; with ESAM_EXPECT_RAY=1, they fail.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
from libraries import library
from painted import Painted, PaintedEmbedding, painted
from PIL import Image

from esam_fast import Esam

library("ray.data", "ESAM_EXPECT_RAY")
ray = library("ray", "ESAM_EXPECT_RAY")

MEMORY = 200_000_000  # bytes of an object store
POISON = (21, 34)  # height and width of the image that kills


class Poisoned(Painted):
    """Dies at every image of the size POISON."""

    name = "poisoned"

    def __init__(self, how: str) -> None:
        self.how = how

    def embed(self, image: np.ndarray) -> PaintedEmbedding:
        if image.shape[:2] == POISON:
            if self.how == "exit":
                os._exit(3)
            os.kill(os.getpid(), signal.SIGSEGV)
        return super().embed(image)


class Slow(Painted):
    """Takes a while for each image, and notes which process had it."""

    name = "slow"

    def __init__(self, seconds: float, notes: Path) -> None:
        self.seconds, self.notes = seconds, notes

    def embed(self, image: np.ndarray) -> PaintedEmbedding:
        (self.notes / str(os.getpid())).touch()
        time.sleep(self.seconds)
        return super().embed(image)


class Lost(Painted):
    """Loses its GPU at an image of the size POISON once, and for good in that process."""

    name = "lost"

    def __init__(self, notes: Path) -> None:
        self.note, self.broken = notes / "lost", False

    def embed(self, image: np.ndarray) -> PaintedEmbedding:
        if image.shape[:2] == POISON and not self.note.exists():
            self.note.touch()
            self.broken = True
        if self.broken:
            raise RuntimeError("CUDA error: an illegal memory access was encountered")
        return super().embed(image)


def unloadable() -> Painted:
    raise ValueError("no such weights")


def deadly() -> Painted:
    os._exit(3)


def pictures(folder: Path, count: int) -> list[str]:
    """Paths of images, each of another size and with other entities."""
    folder.mkdir(parents=True)
    paths = []
    for i in range(count):
        labels = np.add.outer(np.arange(20 + i % 7) // (5 + i % 3), np.arange(24 + i % 5) // (6 + i % 4) * 3)
        paths.append(str(folder / f"{i:03}.png"))
        Image.fromarray(painted(labels)).save(paths[-1])
    return paths


def poison(path: Path) -> str:
    Image.fromarray(np.full((*POISON, 3), 7, np.uint8)).save(path)
    return str(path)


def by_path(rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Rows by path, plain Python throughout; a path that is there twice is a failure."""
    assert len({row["path"] for row in rows}) == len(rows)
    return {row["path"]: _plain(row) for row in rows}


def expected(paths: list[str]) -> dict[str, dict[str, Any]]:
    """The rows that one process gives, less the run's hash."""
    esam = Esam(Painted())
    rows = {}
    for path in paths:
        found = esam.segment(path)
        records = found.to_coco_results(0)
        rows[path] = {
            "path": path,
            "height": found.labels.shape[0],
            "width": found.labels.shape[1],
            "counts": [record["segmentation"]["counts"] for record in records],
            "scores": [record["score"] for record in records],
            "boxes": found.boxes.tolist(),
            "areas": found.areas.tolist(),
            "error": None,
        }
        assert len(records) > 3
    return rows


def without_hash(rows: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    assert len({row["run_hash"] for row in rows.values()}) == 1
    return {path: {name: value for name, value in row.items() if name != "run_hash"} for path, row in rows.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, (list, np.ndarray)):
        return [_plain(one) for one in value]
    return value.item() if isinstance(value, np.generic) else value
