"""How well the cuts of a region tree cover people's segmentations."""

from __future__ import annotations

import numpy as np

from esam_fast.segmenters.regions.hierarchy import Hierarchy

LEVELS = np.geomspace(2, 60, 40)  # merge heights


def overlaps(h: Hierarchy, truths: list[np.ndarray]) -> list[tuple[np.ndarray, np.ndarray]]:
    """For each label map 1..R: IoU of every node with every region, float64 [N, R + 1], and their shares [R + 1]."""
    tables = []
    for truth in truths:
        regions = int(truth.max()) + 1
        cells = h.rank[h.leaf].ravel() * regions + truth.ravel()
        both = np.bincount(cells, minlength=h.tree.leaves * regions).reshape(-1, regions).cumsum(axis=0)
        both = np.concatenate([np.zeros((1, regions)), both])
        inter = both[h.last] - both[h.first]
        tables.append((inter / (h.tree.area[:, None] + both[-1] - inter), both[-1] / truth.size))
    return tables


def at_levels(h: Hierarchy, tables: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """Covering by the cut at each of LEVELS, the largest nodes made below it: mean over the `overlaps` of people."""
    height = h.tree.scaled_height
    over = np.append(height[h.tree.parent[:-1]], np.inf)
    cuts = (height <= LEVELS[:, None]) & (over > LEVELS[:, None])
    return np.array([np.mean([iou[cut].max(axis=0) @ share for iou, share in tables]) for cut in cuts])
