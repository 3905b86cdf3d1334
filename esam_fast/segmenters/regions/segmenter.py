"""The segmenter: a tree of regions, its nodes' scores, and three of them for each prompt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from esam_fast import _backend, _check
from esam_fast.masks import Float, Int, MaskGrid, PackedMasks, PointMasks
from esam_fast.segmenters.regions.calibration import predict_iou, properties
from esam_fast.segmenters.regions.hierarchy import features, hierarchy
from esam_fast.segmenters.regions.levels import choose_levels, stability

NOTICE = (
    "segmenter 'regions': contours that a small network pretrained on ImageNet learned from 160 photographs, and a "
    "tree of regions over them: a stand-in for trying things out, not SAM; it does not know what things are, and SAM "
    "segments far better. Its weights are for non-commercial research and education (LICENSE.regions)."
)

GRID_SIDE = 256  # longer side of the mask grid


@dataclass(frozen=True)
class RegionsEmbedding:
    """One image, ready to be prompted.

    Attributes:
        grid: the plane that masks are answered on; all of it is content.
        features: float32 [C, fh, fw], colour and the network's embedding, without their mean over the image.
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
    """Answers point prompts with regions of a partition tree over learned contours; needs no torch and no GPU.

    Attributes:
        name: "regions".
        score_threshold, stability_threshold: tuned on human segmentations; see `masks` for the two numbers.

    Args:
        backend: of the operations: one by name, or None for the best one here.
        side: an image whose longer side is above it is segmented at that size, in pixels.
    """

    name = "regions"
    score_threshold = 0.2
    stability_threshold = 0.0

    def __init__(self, backend: str | None = None, side: int = 1024) -> None:
        self.backend = _backend.check(backend)
        self.side = _check.integer("side", side, 32)

    def embed(self, image: NDArray[np.uint8]) -> RegionsEmbedding:
        """Build the tree of an image uint8 [H, W, 3] RGB, which is not changed."""
        height, width = image.shape[:2]
        grid_height, grid_width = _fit(height, width, GRID_SIDE, enlarge=True)
        grid = MaskGrid(grid_height, grid_width, float(grid_height), float(grid_width), height, width)
        h = hierarchy(at_most(image, self.side), backend=self.backend)
        scores = predict_iou(properties(h, backend=self.backend))
        rank = h.rank[h.leaf].astype(np.int32)
        row, col = (_nearest(n, m) for n, m in zip(grid.shape, rank.shape, strict=True))
        levels = choose_levels(h.tree, scores)
        cell_size = max(1, grid_width // 4), max(1, grid_height // 4)
        cells = features(_small(h.lab, cell_size), _small(h.embedding, cell_size))
        cells -= cells.mean(axis=(0, 1))
        return RegionsEmbedding(
            grid, np.ascontiguousarray(cells.transpose(2, 0, 1)), rank, rank[row[:, None], col], h.first, h.last,
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
        packed = _pack(e, distinct, self.backend).take(which.ravel())
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


def at_most(image: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """The image with its longer side at most `side`, area-averaged."""
    size = _fit(image.shape[0], image.shape[1], side)[::-1]
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def _small(planes: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    """Area-averaged [h, w, C] -> [size[1], size[0], C]; OpenCV takes four channels at a time."""
    groups = [np.ascontiguousarray(planes[..., c : c + 4]) for c in range(0, planes.shape[-1], 4)]
    return np.concatenate([cv2.resize(group, size, interpolation=cv2.INTER_AREA) for group in groups], axis=-1)


def _fit(height: int, width: int, side: int, *, enlarge: bool = False) -> tuple[int, int]:
    """Height and width with the longer side at `side`; smaller images stay as they are unless enlarged."""
    s = side / max(height, width)
    return (height, width) if s >= 1 and not enlarge else (max(1, round(height * s)), max(1, round(width * s)))


def _nearest(n: int, m: int) -> Int:
    """Which of m pixels lies under the centre of each of n."""
    return np.floor((np.arange(n) + 0.5) * m / n).astype(np.int64)


def _holds(rank: NDArray[np.int32], first: Int | np.int64, last: Int | np.int64) -> NDArray[np.bool_]:
    return (rank >= first) & (rank < last)


def _pack(embedding: RegionsEmbedding, nodes: Int, backend: str | None) -> PackedMasks:
    """The masks of these nodes on the grid."""
    rank, first, last = embedding.rank_on_grid, embedding.first, embedding.last
    parts = [
        PackedMasks.from_bool(_holds(rank, first[some, None, None], last[some, None, None]), backend=backend)
        for some in np.array_split(nodes, max(1, len(nodes) // 64))
    ]
    return PackedMasks.concatenate(parts)
