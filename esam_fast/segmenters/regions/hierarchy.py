"""The tree of regions of an image: basins of the contours, merged where contours are weak and the sides alike."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from esam_fast.masks import Float, Int
from esam_fast.ops import region_tree, watershed
from esam_fast.ops.region_tree import RegionTree
from esam_fast.segmenters.regions.contours import WEIGHTS, find_contours

SMOOTHING = 1.2  # sigma before the watershed, pixels

# What a pixel looks like: its place among these centres of L, a and b (two neighbours share it), and its embedding.
# The distance between two regions' means of the former saturates, as a histogram distance does.
CENTRES = ((5, 20, 35, 50, 65, 80, 95), (-30, -15, -7, 0, 7, 15, 30), (-35, -18, -8, 0, 8, 18, 35))
CONTOUR_WEIGHT, LIGHTNESS_WEIGHT, COLOUR_WEIGHT, EMBEDDING_WEIGHT = 53.0, 10.0, 18.0, 11.0


@dataclass(frozen=True)
class Hierarchy:
    """A tree of regions over one image of h x w pixels, its leaves ranked so that every node is a range of ranks.

    Attributes:
        tree: K leaves, N = 2K - 1 nodes.
        leaf: int32 [h, w], the leaf of each pixel. rank: int32 [K], of each leaf.
        first, last: int64 [N], half-open range of leaf ranks of each node.
        lab: uint8 [h, w, 3], the image in OpenCV's 8-bit Lab. embedding: float32 [h, w, E], the network's.
    """

    tree: RegionTree
    leaf: NDArray[np.int32]
    rank: Int
    first: Int
    last: Int
    lab: NDArray[np.uint8]
    embedding: Float


def hierarchy(image: NDArray[np.uint8], *, weights: Path = WEIGHTS, backend: str | None = None) -> Hierarchy:
    """The tree of an image [h, w, 3] RGB, which is not changed."""
    contours = find_contours(image, weights)
    lab = np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2LAB), np.uint8)
    boundary = contours.strength * np.float32(CONTOUR_WEIGHT / 255)
    leaf = watershed(np.asarray(cv2.GaussianBlur(contours.strength, (0, 0), SMOOTHING), np.uint8), backend=backend)
    tree = region_tree(leaf, boundary, features(lab, contours.embedding), backend=backend)
    return Hierarchy(tree, leaf, *_ranges(tree.parent.tolist()), lab, contours.embedding)


def features(lab: NDArray[np.uint8], embedding: Float) -> Float:
    """What the tree compares, float32 [h, w, 21 + E], of 8-bit Lab [h, w, 3] and the network's embedding [h, w, E]."""
    n = len(CENTRES[0])
    out = np.empty((*lab.shape[:2], 3 * n + embedding.shape[-1]), np.float32)
    for c, table in enumerate(_tables()):
        out[..., c * n : (c + 1) * n] = table[lab[..., c]]
    np.multiply(embedding, np.float32(EMBEDDING_WEIGHT), out=out[..., 3 * n :])
    return out


@cache
def _tables() -> list[Float]:
    """Occupancy of the centres by each value of 8-bit L, a and b, weighted: float32 [256, 7] each."""
    values = np.arange(256)
    tables = []
    for channel, centres in enumerate(CENTRES):
        value = values * 100 / 255 if channel == 0 else values - 128.0
        place = np.interp(value, centres, np.arange(len(centres)))
        weight = COLOUR_WEIGHT if channel else LIGHTNESS_WEIGHT
        near = np.maximum(0, 1 - np.abs(place[:, None] - np.arange(len(centres))))
        tables.append((weight * near).astype(np.float32))
    return tables


def _ranges(parent: list[int]) -> tuple[Int, Int, Int]:
    """Ranks of the leaves in tree order, and each node's half-open range of ranks."""
    nodes, leaves = len(parent), (len(parent) + 1) // 2
    size = [1] * leaves + [0] * (leaves - 1)
    for node in range(nodes - 1):
        size[parent[node]] += size[node]
    first, free = [0] * nodes, [0] * nodes
    for node in range(nodes - 2, -1, -1):
        above = parent[node]
        first[node] = free[node] = free[above]
        free[above] += size[node]
    start = np.array(first)
    return start[:leaves], start, start + np.array(size)
