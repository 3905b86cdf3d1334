"""Which nodes of the tree answer a prompt: subpart, part and object of each leaf."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from esam_fast.masks import Int
from esam_fast.ops.region_tree import RegionTree

LEVEL = 25.0  # merge height of objects: of 23 and 25, where trees cover best what people outlined, the coarser


def stability(tree: RegionTree) -> NDArray[np.float64]:
    """1 - height / height of the parent: how long a node lasts while merging goes on, float64 [N]; 1 for the root."""
    over = np.append(tree.height[tree.parent[:-1]], np.inf)
    return 1 - np.divide(tree.height, over, out=np.ones_like(over), where=over > 0)


def choose_levels(tree: RegionTree, scores: NDArray[np.float64]) -> Int:
    """Nodes of subpart, part and object of each leaf: int64 [K, 3], nested.

    Object: the largest node on the path from the leaf that was merged at a height of at most LEVEL. Part and subpart:
    the highest-scored one with at most half the area of the level above; where there is none, the level above again.
    """
    leaves, parent = tree.leaves, np.append(tree.parent[:-1], len(tree.parent) - 1)
    within = tree.scaled_height[parent] <= LEVEL  # of the parent; heights do not fall on the way to the root
    within[-1] = False
    objects = np.arange(leaves)
    while (rising := within[objects]).any():
        objects = np.where(rising, parent[objects], objects)
    levels = [objects]
    for _ in range(2):
        limit = tree.area[levels[0]] / 2
        found, on_path = np.full(leaves, -1), np.arange(leaves)
        while (small := tree.area[on_path] <= limit).any():
            found = np.where(small & ((found < 0) | (scores[on_path] >= scores[found])), on_path, found)
            on_path = parent[on_path]
        levels.insert(0, np.where(found >= 0, found, levels[0]))
    return np.stack(levels, axis=1).astype(np.int64)
