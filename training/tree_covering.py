"""How well the cuts of a region tree cover people's segmentations."""

from __future__ import annotations

import numpy as np

from esam_fast.segmenters.regions.hierarchy import Hierarchy

LEVELS = np.geomspace(2, 60, 40)  # merge heights


def overlaps(h: Hierarchy, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """IoU of every node with every region of one label map 1..R, float64 [N, R], and the regions' shares [R]."""
    regions = int(truth.max()) + 1
    both = np.bincount(h.rank[h.leaf].ravel() * regions + truth.ravel(), minlength=h.tree.leaves * regions)
    both = np.concatenate([np.zeros((1, regions)), both.reshape(-1, regions).cumsum(axis=0)])
    inter = both[h.last] - both[h.first]
    return inter / (h.tree.area[:, None] + both[-1] - inter), both[-1] / truth.size


def at_levels(h: Hierarchy, truths: list[np.ndarray]) -> np.ndarray:
    """Covering of the truths, averaged over people, by the cut at each of LEVELS: the largest nodes made below it."""
    height = h.tree.scaled_height
    over = np.append(height[h.tree.parent[:-1]], np.inf)
    cuts = (height <= LEVELS[:, None]) & (over > LEVELS[:, None])
    tables = [overlaps(h, truth.astype(np.int64)) for truth in truths]
    return np.array([np.mean([iou[cut].max(axis=0) @ share for iou, share in tables]) for cut in cuts])
