"""Drawing entities at full resolution, against resizing every plane with OpenCV.

pytest benchmarks/bench_draw.py
"""

from __future__ import annotations

import cv2
import numpy as np
import oracle_ops
import pytest
import workloads
from pytest_benchmark.fixture import BenchmarkFixture
from race import Peer, race

from esam_fast.masks import Float, Labels, MaskGrid
from esam_fast.ops import draw_labels, nms

ENTITIES = 150


def planes(height: int, width: int) -> tuple[Float, MaskGrid]:
    """Logit planes of 150 parts of entities that overlap little."""
    sam = workloads.segmenter(height, width)
    points = sam.grid.point_grid(48)
    embedding = sam.embed(np.zeros((height, width, 3), np.uint8))
    found = sam.masks(embedding, points)
    kept = nms(found.masks.take(np.arange(len(points)) * 3 + 1), found.scores[:, 1], 0.3)[:ENTITIES]
    assert len(kept) == ENTITIES
    return sam.logits(embedding, points[kept], found.channels[kept, 1]), sam.grid


@pytest.mark.parametrize(("height", "width"), [(500, 750), (1000, 1500), (2000, 3000), (4000, 6000)])
def test_draw(benchmark: BenchmarkFixture, height: int, width: int) -> None:
    logits, grid = planes(height, width)
    peers: dict[str, Peer | str] = {}
    if height == 2000:
        peers["cv2.resize of each plane, running maximum"] = Peer(lambda: resized(logits, grid), rounds=2)
    labels = race(
        benchmark, lambda: draw_labels(logits, grid), peers, group="Drawing 150 entities",
        work=f"{width} x {height} pixels", size=height * width, rounds=11, amount=(height * width, "pixels"),
    )  # fmt: skip
    if height == 500:
        np.testing.assert_array_equal(labels, oracle_ops.draw_labels(logits, grid))
    else:
        np.testing.assert_array_equal(labels, draw_labels(logits, grid, backend="numba"))


def resized(logits: Float, grid: MaskGrid) -> Labels:
    best = np.zeros((grid.image_height, grid.image_width), np.float32)
    labels = np.zeros(best.shape, np.int32)
    for k, plane in enumerate(logits):
        full = cv2.resize(plane[: grid.rows, : grid.cols], best.shape[::-1], interpolation=cv2.INTER_LINEAR)
        wins = full > best
        best[wins], labels[wins] = full[wins], k + 1
    return labels
