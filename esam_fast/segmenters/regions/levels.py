"""Which nodes of the tree answer a prompt: subpart, part and object of each leaf."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from esam_fast.masks import Int
from esam_fast.ops.region_tree import RegionTree

# The object level is the cut of the tree that maximises the sum of area ** AREA_POWER * (predicted IoU + LEVEL_BONUS
# where the cut at merge height LEVEL passes). Without the bonus, the maximum is drawn to the largest errors of the
# prediction; the power keeps it from preferring few large regions.
LEVEL, LEVEL_BONUS, AREA_POWER = 10.5, 0.1, 0.9


def stability(tree: RegionTree) -> NDArray[np.float64]:
    """1 - height / height of the parent: how long a node lasts while merging goes on, float64 [N]; 1 for the root."""
    over = np.append(tree.height[tree.parent[:-1]], np.inf)
    return 1 - np.divide(tree.height, over, out=np.ones_like(over), where=over > 0)


def choose_levels(tree: RegionTree, scores: NDArray[np.float64]) -> Int:
    """Nodes of subpart, part and object of each leaf: int64 [K, 3], nested.

    Object: the node of the best cut of the tree (see LEVEL). Part and subpart: the highest-scored node on the path
    from the leaf with at most half the area of the level above; where there is none, the level above again.
    """
    leaves, parent = tree.leaves, np.append(tree.parent[:-1], len(tree.parent) - 1)
    size = tree.area[-1]
    height = tree.scaled_height
    at_level = (height <= LEVEL) & (np.append(height[parent[:-1]], np.inf) > LEVEL)
    value = ((tree.area / size) ** AREA_POWER * (scores + LEVEL_BONUS * at_level)).tolist()
    best, parts = list(value), [0.0] * len(value)
    for node, above in enumerate(tree.parent.tolist()):
        best[node] = max(value[node], parts[node])
        if above >= 0:
            parts[above] += best[node]
    chosen = [-1] * len(value)
    for node in range(len(value) - 1, -1, -1):
        over = chosen[tree.parent[node]] if node < len(value) - 1 else -1
        chosen[node] = over if over >= 0 else (node if value[node] >= parts[node] else -1)
    levels = [np.array(chosen[:leaves])]
    for _ in range(2):
        limit = tree.area[levels[0]] / 2
        found, on_path = np.full(leaves, -1), np.arange(leaves)
        while (small := tree.area[on_path] <= limit).any():
            found = np.where(small & ((found < 0) | (scores[on_path] >= scores[found])), on_path, found)
            on_path = parent[on_path]
        levels.insert(0, np.where(found >= 0, found, levels[0]))
    return np.stack(levels, axis=1).astype(np.int64)
