"""A segmenter that needs no weights: superpixels merged into a tree of regions, with a calibrated score.

Felzenszwalb superpixels become the leaves of a binary partition tree (`esam_fast.ops.region_tree`). Each node gets
a predicted IoU, from boosted trees fitted on human segmentations (regions_calibration.json). A point's three masks
are nested nodes on the path from its leaf to the root. A stand-in, not SAM.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from esam_fast.masks import Float, Int, MaskGrid, PackedMasks, PointMasks
from esam_fast.ops import felzenszwalb, region_tree
from esam_fast.ops.region_tree import RegionTree

NOTICE = (
    "segmenter 'regions': no model weights are used. It merges superpixels by colour and texture: a stand-in for "
    "trying things out; it does not know what things are, and SAM segments far better."
)

GRID_SIDE = 256  # longer side of the mask grid
WORK_SIDE = 480  # longer side at most of the image that the tree is built on: the scale of the calibration
SUPERPIXELS = {"scale": 30.0, "sigma": 0.6, "min_size": 30}

# What a pixel looks like: its place among these centres of L, a and b (two neighbours share it), and its oriented
# gradients. The distance between two regions' means of all this saturates, as a histogram distance does.
CENTRES = ((5, 20, 35, 50, 65, 80, 95), (-30, -15, -7, 0, 7, 15, 30), (-35, -18, -8, 0, 8, 18, 35))
LIGHTNESS_WEIGHT, COLOUR_WEIGHT, TEXTURE_WEIGHT, GRADIENT_WEIGHT = 11.0, 14.0, 13.0, 0.85
TEXTURE_SCALES = (1.0, 2.0)  # sigma, pixels
GRADIENT_SCALE = 2.0

# The object level is the cut of the tree that maximises the sum of area ** AREA_POWER * (predicted IoU + LEVEL_BONUS
# where the cut at merge height LEVEL passes). Without the bonus, the maximum is drawn to the largest errors of the
# prediction; the power keeps it from preferring few large regions.
LEVEL, LEVEL_BONUS, AREA_POWER = 10.5, 0.1, 0.9


@dataclass(frozen=True)
class Hierarchy:
    """A tree of regions over one image at working size, its leaves ranked so that every node is a range of ranks.

    Attributes:
        tree: K leaves, N = 2K - 1 nodes.
        leaf: int32 [h, w], the leaf of each pixel. rank: int32 [K], of each leaf.
        first, last: int64 [N], half-open range of leaf ranks of each node.
        cells: float32 [fh, fw, C], the image's cues at a quarter of the grid.
        properties: name -> float64 [N], what the calibration looks at.
    """

    tree: RegionTree
    leaf: NDArray[np.int32]
    rank: Int
    first: Int
    last: Int
    cells: Float
    properties: dict[str, NDArray[np.float64]]


@dataclass(frozen=True)
class RegionsEmbedding:
    """One image, ready to be prompted.

    Attributes:
        grid: the plane that masks are answered on; all of it is content.
        features: float32 [C, fh, fw], colour and texture, without their mean over the image.
        rank_at_work: int32 [h, w], leaf rank of each pixel at working size; rank_on_grid: the same on the grid.
        first, last: int64 [N], range of leaf ranks of each node.
        levels: int64 [K, 3], by leaf rank: the nodes of subpart, part and object.
        scores, stability: float32 [N].
    """

    grid: MaskGrid
    features: Float
    rank_at_work: NDArray[np.int32]
    rank_on_grid: NDArray[np.int32]
    first: Int
    last: Int
    levels: Int
    scores: Float
    stability: Float


class RegionsSegmenter:
    """Answers point prompts with regions of a partition tree; needs no weights, no torch and no GPU.

    Attributes:
        name: "regions".
        score_threshold, stability_threshold: tuned on human segmentations; see `masks` for the two numbers.

    Args:
        backend: of the operations: "native", "numba", or None for the best one here.
    """

    name = "regions"
    score_threshold = 0.2
    stability_threshold = 0.0

    def __init__(self, backend: str | None = None) -> None:
        self.backend = backend

    def embed(self, image: NDArray[np.uint8]) -> RegionsEmbedding:
        """Build the tree of an image uint8 [H, W, 3] RGB, which is not changed."""
        height, width = image.shape[:2]
        grid_height, grid_width = _fit(height, width, GRID_SIDE, enlarge=True)
        grid = MaskGrid(grid_height, grid_width, float(grid_height), float(grid_width), height, width)
        size = _fit(height, width, WORK_SIDE)[::-1]
        work = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
        h = hierarchy(work, backend=self.backend)
        scores = predict_iou(h.properties)
        rank = h.rank[h.leaf].astype(np.int32)
        row, col = (_nearest(n, m) for n, m in zip(grid.shape, rank.shape, strict=True))
        levels = choose_levels(h.tree, scores)
        features = h.cells - h.cells.mean(axis=(0, 1))
        return RegionsEmbedding(
            grid, np.ascontiguousarray(features.transpose(2, 0, 1)), rank, rank[row[:, None], col], h.first, h.last,
            levels[np.argsort(h.rank)], scores.astype(np.float32), stability(h.tree).astype(np.float32),
        )  # fmt: skip

    def masks(self, embedding: RegionsEmbedding, points: Float, *, min_score: float | None = None) -> PointMasks:
        """Three nested masks, by area ascending, for each point float32 [N, 2] (x y in image pixels).

        A score is the predicted IoU with what a person would outline; the stability is `stability` of the node.
        `min_score` changes nothing here: every answer costs the same.
        """
        e = embedding
        nodes = e.levels[e.rank_on_grid.ravel()[e.grid.pixels(points)]]  # [N, 3]
        distinct, which = np.unique(nodes, return_inverse=True)
        packed = _pack(e, distinct).take(which.ravel())
        channels = np.tile(np.arange(3, dtype=np.int8), (len(nodes), 1))
        return PointMasks(packed, e.scores[nodes], e.stability[nodes], channels)

    def logits(self, embedding: RegionsEmbedding, points: Float, channels: NDArray[np.int8]) -> Float:
        """Share of each grid pixel that the mask covers, minus a half: float32 [N, grid.height, grid.width].

        Its sign is the mask's bit everywhere.
        """
        e = embedding
        leaf = e.rank_on_grid.ravel()[e.grid.pixels(points)]
        planes = np.empty((len(points), *e.grid.shape), np.float32)
        for plane, node in zip(planes, e.levels[leaf, channels], strict=True):
            fine = _holds(e.rank_at_work, e.first[node], e.last[node]).astype(np.float32)
            share = cv2.resize(fine, e.grid.shape[::-1], interpolation=cv2.INTER_AREA) - np.float32(0.5)
            bits = _holds(e.rank_on_grid, e.first[node], e.last[node])
            plane[:] = np.where(bits, np.maximum(share, 1e-3), np.minimum(share, -1e-3))
        return planes


def hierarchy(image: NDArray[np.uint8], *, backend: str | None = None) -> Hierarchy:
    """The tree of an image [h, w, 3] RGB at working size, with what the calibration looks at."""
    lab = cv2.cvtColor(image, cv2.COLOR_RGB2LAB)
    colour = lab.astype(np.float32) * np.array([100 / 255, 1, 1], np.float32)
    textures = [_oriented(colour[..., 0], sigma) for sigma in TEXTURE_SCALES]
    features = np.concatenate([_occupancy(lab), *textures], axis=-1)
    boundary = GRADIENT_WEIGHT * _gradient(colour, GRADIENT_SCALE)
    leaf = felzenszwalb(image, **SUPERPIXELS, backend=backend)  # type: ignore[arg-type]
    tree = region_tree(leaf, boundary, features, backend=backend)
    rank, first, last = _ranges(tree.parent.tolist())
    height, width = _fit(leaf.shape[0], leaf.shape[1], GRID_SIDE // 4, enlarge=True)
    small = [cv2.resize(plane, (width, height), interpolation=cv2.INTER_AREA) for plane in (lab, *textures)]
    cells = np.concatenate([_occupancy(small[0]), *(t.reshape(height, width, -1) for t in small[1:])], axis=-1)
    return Hierarchy(tree, leaf, rank, first, last, cells, _properties(tree, leaf, colour, rank, first, last))


def _fit(height: int, width: int, side: int, *, enlarge: bool = False) -> tuple[int, int]:
    """Height and width with the longer side at `side`; smaller images stay as they are unless enlarged."""
    s = side / max(height, width)
    return (height, width) if s >= 1 and not enlarge else (max(1, round(height * s)), max(1, round(width * s)))


def _nearest(n: int, m: int) -> Int:
    """Which of m pixels lies under the centre of each of n."""
    return np.floor((np.arange(n) + 0.5) * m / n).astype(np.int64)


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


def _occupancy(lab: NDArray[np.uint8]) -> Float:
    """8-bit Lab [h, w, 3] -> float32 [h, w, 21]."""
    return np.concatenate([table[lab[..., c]] for c, table in enumerate(_tables())], axis=-1)


def _slopes(image: Float, sigma: float) -> tuple[Float, Float]:
    """Differences of the two neighbours along x and y after Gaussian smoothing, times sigma."""
    smooth = cv2.GaussianBlur(image, (0, 0), sigma)
    padded = cv2.copyMakeBorder(smooth, 1, 1, 1, 1, cv2.BORDER_REPLICATE) * np.float32(sigma)
    return padded[1:-1, 2:] - padded[1:-1, :-2], padded[2:, 1:-1] - padded[:-2, 1:-1]


def _gradient(colour: Float, sigma: float) -> Float:
    """Boundary strength: gradient of Lab, float32 [h, w]."""
    dx, dy = _slopes(colour, sigma)
    return np.sqrt((dx * dx + dy * dy).sum(axis=-1))


def _oriented(lightness: Float, sigma: float) -> Float:
    """Gradient of lightness in four directions, clipped, weighted: float32 [h, w, 4]."""
    dx, dy = _slopes(lightness, sigma)
    turns = [(1.0, 0.0), (0.5**0.5, 0.5**0.5), (0.0, 1.0), (-(0.5**0.5), 0.5**0.5)]
    planes = [np.abs(np.float32(c) * dx + np.float32(s) * dy) for c, s in turns]
    return np.minimum(np.stack(planes, axis=-1) / np.float32(16), np.float32(1)) * np.float32(TEXTURE_WEIGHT)


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


def _properties(
    tree: RegionTree, leaf: NDArray[np.int32], colour: Float, rank: Int, first: Int, last: Int
) -> dict[str, NDArray[np.float64]]:
    """What the calibration looks at, float64 [N] each; heights are free of the image's size."""
    leaves, nodes = tree.leaves, len(tree.parent)
    height, width = leaf.shape
    flat = leaf.ravel()
    up = np.where(tree.parent < 0, nodes - 1, tree.parent)
    bounds = np.stack([first, last], axis=1).ravel()

    def gather(over: np.ufunc, values: NDArray[Any]) -> NDArray[np.float64]:
        """Leaf values [K, ...] over the leaves of each node: [N, ...]."""
        ranked = np.empty((leaves + 1, *values.shape[1:]), np.float64)
        ranked[rank], ranked[leaves] = values, 0
        return over.reduceat(ranked, bounds, axis=0)[::2]

    def count(at: NDArray[Any], weights: NDArray[Any] | None = None) -> NDArray[Any]:
        return np.bincount(at.ravel(), None if weights is None else weights.ravel(), leaves)

    y, x = np.divmod(np.arange(flat.size), width)
    low, high = np.full((leaves, 2), flat.size), np.zeros((leaves, 2), np.int64)
    np.minimum.at(low, flat, np.stack([y, x], axis=1))
    np.maximum.at(high, flat, np.stack([y, x], axis=1) + 1)
    extent = gather(np.maximum, high) - gather(np.minimum, low)  # [N, 2], height and width of the box
    sides = gather(np.add, np.stack([count(edge) for edge in (leaf[0], leaf[-1], leaf[:, 0], leaf[:, -1])], axis=1))
    outline = tree.perimeter + sides.sum(axis=1)
    inner_length = gather(np.add, tree.perimeter[:leaves]) - tree.perimeter
    inner_strength = gather(np.add, tree.strength[:leaves]) - tree.strength
    moments = [count(flat, colour[..., c] ** p) for p in (1, 2) for c in range(3)]
    means = gather(np.add, np.stack(moments, axis=1)) / tree.area[:, None]
    spread = np.sqrt(np.maximum(means[:, 3:] - means[:, :3] ** 2, 0).sum(axis=1))
    log_height = np.log1p(tree.height / flat.size**0.25)
    above = nodes - np.searchsorted(np.sort(tree.height), tree.height, side="right")
    largest_part, highest_part, sibling = np.zeros((3, nodes))
    np.maximum.at(largest_part, up[:-1], tree.area[:-1])
    np.maximum.at(highest_part, up[:-1], log_height[:-1])
    order = np.argsort(up[:-1], kind="stable")  # children side by side
    sibling[order] = log_height[order.reshape(-1, 2)[:, ::-1].ravel()]
    depth = np.zeros(nodes)
    for node in range(nodes - 2, -1, -1):
        depth[node] = depth[up[node]] + 1
    return {
        "log area": np.log(tree.area / flat.size),
        "height": log_height,
        "rise to parent": log_height[up] - log_height,
        "rise of parent": log_height[up[up]] - log_height[up],
        "rise to sibling": sibling - log_height,
        "rise to root": log_height[-1] - log_height,
        "rise from parts": log_height - highest_part,
        "log nodes above": np.log1p(above),
        "depth": depth,
        "share of parent": tree.area / tree.area[up],
        "share of grandparent": tree.area / tree.area[up[up]],
        "largest part": largest_part / tree.area,
        "fill": tree.area / extent.prod(axis=1),
        "box height": extent[:, 0] / height,
        "box width": extent[:, 1] / width,
        "outline": np.log(outline**2 / tree.area),
        "border share": sides.sum(axis=1) / outline,
        "border sides": (sides > 0).sum(axis=1).astype(np.float64),
        "contrast": tree.strength / np.maximum(tree.perimeter, 1),
        "inner contrast": inner_strength / np.maximum(inner_length, 1),
        "colour spread": np.log1p(spread),
    }


@cache
def _calibration() -> tuple[list[str], float, Int, NDArray[np.float64], NDArray[np.float64]]:
    """Names of the properties, the base, and per boosted tree: property, threshold (heap order) and leaf values."""
    data = json.loads(files("esam_fast.segmenters").joinpath("regions_calibration.json").read_text("utf-8"))
    names = data["properties"]
    asked = np.array([[names.index(name) for name in tree["if"]] for tree in data["trees"]])
    above = np.array([tree["above"] for tree in data["trees"]], np.float64)
    return names, data["base"], asked, above, np.array([tree["add"] for tree in data["trees"]], np.float64)


def predict_iou(properties: dict[str, NDArray[np.float64]]) -> NDArray[np.float64]:
    """Predicted IoU of every node, float64 [N] in [0, 1], by the boosted trees of regions_calibration.json."""
    names, base, asked, above, add = _calibration()
    table = np.stack([properties[name] for name in names])  # [P, N]
    nodes = np.arange(table.shape[1])
    total = np.full(len(nodes), base)
    for question, threshold, value in zip(asked, above, add, strict=True):
        at = np.zeros(len(nodes), np.int64)
        while at[0] < len(question):
            at = 2 * at + 1 + (table[question[at], nodes] > threshold[at])
        total += value[at - len(question)]
    return total.clip(0, 1)


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
    height = tree.height / size**0.25
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


def _holds(rank: NDArray[np.int32], first: Any, last: Any) -> NDArray[np.bool_]:
    return (rank >= first) & (rank < last)


def _pack(embedding: RegionsEmbedding, nodes: Int) -> PackedMasks:
    """The masks of these nodes on the grid."""
    rank, first, last = embedding.rank_on_grid, embedding.first, embedding.last
    parts = [
        PackedMasks.from_bool(_holds(rank, first[some, None, None], last[some, None, None]))
        for some in np.array_split(nodes, max(1, len(nodes) // 64))
    ]
    return PackedMasks.concatenate(parts)
