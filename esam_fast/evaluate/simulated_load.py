"""A realistic load for the stages on machines without weights: one segmenter works, a simulated SAM answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from esam_fast import superpixels
from esam_fast.config import SuperpixelConfig
from esam_fast.evaluate.caching import CachingSegmenter
from esam_fast.evaluate.simulated import SimulatedSegmenter
from esam_fast.masks import Float, MaskGrid, PointMasks
from esam_fast.segmenters.protocol import Segmenter, gpu


@dataclass(frozen=True)
class _Embedding:
    grid: MaskGrid
    features: Float
    timed: Any


class _Load:
    """Does the work of one segmenter and hands on the answers of another, which costs next to nothing."""

    def __init__(self, timed: Segmenter, answers: CachingSegmenter, image: NDArray[np.uint8], source: str) -> None:
        self.timed, self.source, self.device = timed, source, gpu(timed)
        self.name, self.score_threshold, self.stability_threshold = (
            timed.name, answers.score_threshold, answers.stability_threshold,
        )  # fmt: skip
        self._answers, self._known = answers, answers.embed(image)

    def embed(self, image: NDArray[np.uint8]) -> _Embedding:
        embedding = self.timed.embed(image)
        if embedding.grid != self._known.grid:
            raise ValueError(f"segmenter {self.name!r} must answer on SAM's grid {self._known.grid}")
        return _Embedding(embedding.grid, embedding.features, embedding)

    def masks(self, embedding: _Embedding, points: Float, *, min_score: float | None = None) -> PointMasks:
        self.timed.masks(embedding.timed, points)  # random scores say nothing: every prompt is decoded to the end
        return self._answers.masks(self._known, points)

    def logits(self, embedding: _Embedding, points: Float, channels: NDArray[np.int8]) -> Any:
        self.timed.logits(embedding.timed, points, channels)
        return self._answers.logits(self._known, points, channels)


def simulated_load(timed: Segmenter, image: NDArray[np.uint8]) -> Segmenter:
    """A segmenter that works like `timed` on this image, and answers like a simulated SAM.

    The stages then meet masks as a trained SAM gives them, whatever the weights of `timed`, and on its GPU if it works
    on one. The simulation's entities are a coarse Felzenszwalb map of the image. Its answers are remembered: after the
    first run they cost no time.

    Args:
        timed: on SAM's grid.
        image: uint8 [H, W, 3] RGB, the one image that can be asked about.
    """
    simulated, source = simulation(image)
    return _Load(timed, CachingSegmenter(simulated, gpu(timed)), image, source)


def simulation(image: NDArray[np.uint8]) -> tuple[SimulatedSegmenter, str]:
    """The simulated SAM over an image uint8 [H, W, 3] that `simulated_load` answers with, and what it is in words."""
    height, width = image.shape[:2]
    coarse = superpixels.segment(image, SuperpixelConfig(scale=500.0, min_size=1000))
    labels = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_NEAREST) + 1
    return SimulatedSegmenter(labels, "profile"), f"simulated SAM over {coarse.max() + 1} regions of the image"
