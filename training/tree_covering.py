"""How well the cuts of a region tree cover people's segmentations."""

from __future__ import annotations

import numpy as np

from esam_fast.evaluate.covering import covering
from esam_fast.segmenters.regions.hierarchy import Hierarchy

LEVELS = np.geomspace(2, 60, 40)  # merge heights


def at_levels(h: Hierarchy, truths: list[np.ndarray]) -> np.ndarray:
    """Covering by the cut at each of LEVELS: the largest nodes that were made below it."""
    height, scores = h.tree.scaled_height, []
    for level in LEVELS:
        own = np.arange(len(height))
        for node in range(len(own) - 2, -1, -1):
            over = h.tree.parent[node]
            own[node] = own[over] if height[over] <= level else node
        scores.append(covering(own[h.leaf] + 1, [truth.astype(np.int64) for truth in truths]))
    return np.array(scores)
