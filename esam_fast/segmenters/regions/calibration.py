"""The predicted IoU of every node: boosted trees on its size, shape, contours, look and place in the tree."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from esam_fast.masks import Float, Int
from esam_fast.ops import measure_labels
from esam_fast.ops.region_tree import RegionTree
from esam_fast.segmenters.regions.hierarchy import Hierarchy

LAB_UNIT = np.array([100 / 255, 1, 1], np.float32)  # of OpenCV's 8-bit Lab
ALSO_OF_KIN = ("fill", "outline", "contrast", "inner contrast", "colour spread", "embedding spread")


def properties(h: Hierarchy, *, backend: str | None = None) -> dict[str, NDArray[np.float64]]:
    """What the calibration looks at, float64 [N] each; heights are free of the image's size."""
    tree = h.tree
    up = np.where(tree.parent < 0, len(tree.parent) - 1, tree.parent)
    sibling, largest = _kin(tree.area, up)
    of_nodes = _heights(tree, up, sibling) | _shapes(h, up, largest, backend) | _looks(h, sibling)
    for kin, nodes_of_kin in (("parent", up), ("largest part", largest)):
        of_nodes |= {f"{name} of {kin}": of_nodes[name][nodes_of_kin] for name in ALSO_OF_KIN}
    return of_nodes


def _kin(area: Int, up: Int) -> tuple[Int, Int]:
    """Each node's sibling, the root's being itself, and its largest part, a leaf's being itself: int64 [N] each."""
    sibling, largest = np.tile(np.arange(len(area)), (2, 1))
    order = np.argsort(up[:-1], kind="stable")  # children side by side
    sibling[order] = order.reshape(-1, 2)[:, ::-1].ravel()
    order = np.argsort(area[:-1], kind="stable")
    largest[up[order]] = order  # the last one stays
    return sibling, largest


def _heights(tree: RegionTree, up: Int, sibling: Int) -> dict[str, NDArray[np.float64]]:
    """Where nodes lie in the tree."""
    nodes = len(up)
    log_height = np.log1p(tree.scaled_height)
    above = nodes - np.searchsorted(np.sort(tree.height), tree.height, side="right")
    highest_part, depth = np.zeros((2, nodes))
    np.maximum.at(highest_part, up[:-1], log_height[:-1])
    for node in range(nodes - 2, -1, -1):
        depth[node] = depth[up[node]] + 1
    return {
        "height": log_height,
        "rise to parent": log_height[up] - log_height,
        "rise of parent": log_height[up[up]] - log_height[up],
        "rise to sibling": log_height[sibling] - log_height,
        "rise to root": log_height[-1] - log_height,
        "rise from parts": log_height - highest_part,
        "log nodes above": np.log1p(above),
        "depth": depth,
    }


def _shapes(h: Hierarchy, up: Int, largest: Int, backend: str | None) -> dict[str, NDArray[np.float64]]:
    """Sizes, boxes, and what lies along the outlines."""
    tree, leaf, leaves = h.tree, h.leaf, h.tree.leaves
    height, width = leaf.shape
    box = measure_labels(leaf + 1, leaves, backend=backend)[1].astype(np.float64)
    extent = _over_leaves(h, np.maximum, box[:, 2:]) - _over_leaves(h, np.minimum, box[:, :2])  # [N, 2], of the box
    edges = [np.bincount(edge, minlength=leaves) for edge in (leaf[0], leaf[-1], leaf[:, 0], leaf[:, -1])]
    sides = _over_leaves(h, np.add, np.stack(edges, axis=1))
    outline = tree.perimeter + sides.sum(axis=1)
    inner_length = _over_leaves(h, np.add, tree.perimeter[:leaves]) - tree.perimeter
    inner_strength = _over_leaves(h, np.add, tree.strength[:leaves]) - tree.strength
    return {
        "log area": np.log(tree.area / leaf.size),
        "share of parent": tree.area / tree.area[up],
        "share of grandparent": tree.area / tree.area[up[up]],
        "share of largest part": tree.area[largest] / tree.area,
        "fill": tree.area / extent.prod(axis=1),
        "box height": extent[:, 1] / height,
        "box width": extent[:, 0] / width,
        "outline": np.log(outline**2 / tree.area),
        "border share": sides.sum(axis=1) / outline,
        "border sides": (sides > 0).sum(axis=1).astype(np.float64),
        "contrast": tree.strength / np.maximum(tree.perimeter, 1),
        "inner contrast": inner_strength / np.maximum(inner_length, 1),
    }


def _looks(h: Hierarchy, sibling: Int) -> dict[str, NDArray[np.float64]]:
    """Colours and embeddings."""
    colour, colour_spread = _moments(h, h.lab.astype(np.float32) * LAB_UNIT)
    embedding, embedding_spread = _moments(h, h.embedding)
    return {
        "colour spread": np.log1p(colour_spread),
        "embedding spread": embedding_spread,
        "colour from sibling": np.linalg.norm(colour - colour[sibling], axis=1),
        "colour from image": np.linalg.norm(colour - colour[-1], axis=1),
        "embedding from sibling": np.linalg.norm(embedding - embedding[sibling], axis=1),
        "embedding from image": np.linalg.norm(embedding - embedding[-1], axis=1),
    }


def _moments(h: Hierarchy, values: Float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Means [N, C] of float32 [h, w, C] in each node, root of its summed variances [N], by every fourth pixel."""
    channels, at = values.shape[-1], h.leaf[::2, ::2].ravel()
    sums = [np.bincount(at, minlength=h.tree.leaves)]
    sums += [
        np.bincount(at, (values[::2, ::2, c] ** p).ravel(), h.tree.leaves) for p in (1, 2) for c in range(channels)
    ]
    means = _over_leaves(h, np.add, np.stack(sums, axis=1))
    means = means[:, 1:] / np.maximum(means[:, :1], 1)
    means, squares = means[:, :channels], means[:, channels:]
    return means, np.sqrt(np.maximum(squares - means**2, 0).sum(axis=1))


def _over_leaves(h: Hierarchy, over: np.ufunc, values: NDArray[Any]) -> NDArray[np.float64]:
    """Leaf values [K, ...] reduced over the leaves of each node: [N, ...]."""
    ranked = np.empty((h.tree.leaves + 1, *values.shape[1:]), np.float64)
    ranked[h.rank], ranked[-1] = values, 0
    return over.reduceat(ranked, np.stack([h.first, h.last], axis=1).ravel(), axis=0)[::2]


@cache
def _calibration() -> tuple[list[str], float, Int, NDArray[np.float64], NDArray[np.float64]]:
    """Names of the properties, the base, and per boosted tree: property, threshold (heap order) and leaf values."""
    data = json.loads(files("esam_fast.segmenters.regions").joinpath("calibration.json").read_text("utf-8"))
    asked = np.array([tree["if"] for tree in data["trees"]])
    above = np.array([tree["above"] for tree in data["trees"]], np.float64)
    return data["properties"], data["base"], asked, above, np.array([tree["add"] for tree in data["trees"]], np.float64)


def predict_iou(of_nodes: dict[str, NDArray[np.float64]]) -> NDArray[np.float64]:
    """Predicted IoU of every node, float64 [N] in [0, 1], by the boosted trees of calibration.json."""
    names, base, asked, above, add = _calibration()
    table = np.stack([of_nodes[name] for name in names])  # [P, N]
    nodes = np.arange(table.shape[1])
    total = np.full(len(nodes), base)
    for question, threshold, value in zip(asked, above, add, strict=True):
        at = np.zeros(len(nodes), np.int64)
        while at[0] < len(question):
            at = 2 * at + 1 + (table[question[at], nodes] > threshold[at])
        total += value[at - len(question)]
    return total.clip(0, 1)
