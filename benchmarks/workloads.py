"""The loads that are timed: the masks a simulated SAM answers with, and masks of which no pair can be pruned.

The simulation is that of `esam-fast ablate --simulated` (esam_fast/evaluate/simulated.py): nested levels, jittered
borders, faults in patches, scores that follow quality. Every load has a fixed seed.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from esam_fast.evaluate.simulated import SimulatedSegmenter
from esam_fast.evaluate.truth_regions import smooth_noise
from esam_fast.masks import Float, Labels, PackedMasks, PointMasks, ScoredMasks
from esam_fast.stages.handover import guided

SIZES = (100, 1_000, 3_072, 12_288)  # masks
SIDE = 256  # of the grid


@cache
def label_map(height: int = 1024, width: int = 1024, entities: int = 120, seed: int = 0) -> Labels:
    """Entities 1..N of very different sizes, with wavy borders: int32 [height, width]."""
    rng = np.random.default_rng(seed)
    step = max(height, width) / SIDE
    rows, cols = int(height / step), int(width / step)
    at = rng.random((entities, 2)) * (rows, cols)
    reach = rng.lognormal(0, 0.6, entities) ** 2  # large and small
    y, x = (axis + 4 * smooth_noise((rows, cols), 6.0, rng) for axis in np.mgrid[:rows, :cols])
    nearest = np.zeros((rows, cols), np.int32)
    closest = np.full((rows, cols), np.inf)
    for k in range(entities):
        distance = ((y - at[k, 0]) ** 2 + (x - at[k, 1]) ** 2) / reach[k]
        nearest[distance < closest] = k + 1
        np.minimum(closest, distance, out=closest)
    row, col = np.arange(height) * rows // height, np.arange(width) * cols // width
    return nearest[np.ix_(row, col)]


@cache
def segmenter(height: int = 1024, width: int = 1024) -> SimulatedSegmenter:
    """A simulated SAM over `label_map`."""
    return SimulatedSegmenter(label_map(height, width), "load")


def answers(points: Float) -> PointMasks:
    """Three masks for each point float32 [N, 2]."""
    sam = segmenter()
    return sam.masks(sam.embed(np.zeros((1024, 1024, 3), np.uint8)), points)


@cache
def realistic(n: int) -> tuple[PackedMasks, Float]:
    """n masks of all levels and their scores: the answers to n / 3 random prompts."""
    found = answers(np.random.default_rng(1).uniform(0, 1024, (-(-n // 3), 2)).astype(np.float32))
    return found.masks.take(np.arange(n)), found.scores.ravel()[:n]


@cache
def gallery(side: int = 64) -> ScoredMasks:
    """The guidance mask of each of side x side points (Eq. 6)."""
    points = segmenter().grid.point_grid(side)
    found = answers(points)
    return guided(found, points, 0.1)


@cache
def dense(n: int, side: int = SIDE) -> PackedMasks:
    """n masks of large random blobs, each over the whole grid: every pair meets, and no bound helps."""
    rng = np.random.default_rng(2)
    fields = [smooth_noise((side, side), side / 10, rng) > 0 for _ in range(min(n, 64))]
    parts = []
    for start in range(0, n, 1024):
        moved = [np.roll(fields[i % 64], rng.integers(0, side, 2), (0, 1)) for i in range(start, min(n, start + 1024))]
        block = np.stack(moved)
        block[:, 0, 0] = block[:, -1, -1] = True  # so that every box is the whole grid
        parts.append(PackedMasks.from_bool(block))
    return PackedMasks.concatenate(parts)


@cache
def logits(n: int, side: int = SIDE) -> Float:
    """Logit planes float32 [n, side, side] of blobs about as large as entities."""
    rng = np.random.default_rng(3)
    planes = np.stack([smooth_noise((side, side), 12.0, rng) for _ in range(min(n, 32))]) * 8 - 6
    return np.ascontiguousarray(np.resize(planes, (n, side, side)), np.float32)
