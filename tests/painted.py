"""A segmenter without faults, and the images that it can read."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from esam_fast import MaskGrid, PackedMasks, PointMasks


@dataclass
class PaintedEmbedding:
    grid: MaskGrid
    features: np.ndarray
    colours: np.ndarray  # int64 [h, w]


class Painted:
    """Sees what has one colour, to the pixel: the grid is the image."""

    name = "painted"
    score_threshold = stability_threshold = 0.5

    def embed(self, image: np.ndarray) -> PaintedEmbedding:
        h, w = image.shape[:2]
        colours = image.astype(np.int64) @ [1, 256, 65536]
        return PaintedEmbedding(MaskGrid(h, w, float(h), float(w), h, w), np.ones((4, 1, 1), np.float32), colours)

    def masks(self, embedding: PaintedEmbedding, points: np.ndarray, *, min_score: float | None = None) -> PointMasks:
        masks = PackedMasks.from_bool(np.repeat(self._masks(embedding, points), 3, axis=0))
        return PointMasks(masks, *(np.full((len(points), 3), 0.9, np.float32) for _ in range(2)))

    def logits(self, embedding: PaintedEmbedding, points: np.ndarray, channels: np.ndarray) -> np.ndarray:
        return np.where(self._masks(embedding, points), np.float32(4), np.float32(-4))

    def _masks(self, embedding: PaintedEmbedding, points: np.ndarray) -> np.ndarray:
        at = embedding.colours.ravel()[embedding.grid.pixels(points)]
        return embedding.colours == at[:, None, None]


def painted(labels: np.ndarray) -> np.ndarray:
    """uint8 [H, W, 3]: a colour of its own for each label."""
    colours = np.random.default_rng(0).permutation(125)[: labels.max() + 1]
    return np.stack([colours // 25, colours // 5 % 5, colours % 5], axis=1)[labels].astype(np.uint8) * 60
