"""A segmenter that remembers its answers for one image, so that a sweep costs the stages alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from esam_fast import _arrays
from esam_fast.masks import Float, PointMasks
from esam_fast.segmenters.protocol import Segmenter


class CachingSegmenter:
    """Answers as another segmenter does, and the same question twice from memory; a new image clears it.

    `min_score` is not passed on, so that an answer serves every threshold. A question is a whole call to `masks`,
    and one prompt's plane in `logits`; at SAM's size an image takes about 130 MB, and 0.25 MB a plane.

    Args:
        segmenter: the other one.
        device: where answers are kept and handed out, a torch.device; None: masks where they are, planes in NumPy.
    """

    def __init__(self, segmenter: Segmenter, device: Any = None) -> None:
        self._segmenter, self._device = segmenter, device
        self.name = segmenter.name
        self.score_threshold = segmenter.score_threshold
        self.stability_threshold = segmenter.stability_threshold
        self._image: NDArray[np.uint8] | None = None

    def embed(self, image: NDArray[np.uint8]) -> Any:
        if self._image is None or not np.array_equal(image, self._image):
            self._image = image.copy()
            self._embedding = self._segmenter.embed(image)
            self._masks: dict[bytes, PointMasks] = {}
            self._planes: dict[tuple[float, float, int], Any] = {}
        return self._embedding

    def masks(self, embedding: Any, points: Float, *, min_score: float | None = None) -> PointMasks:
        question = points.tobytes()
        if question not in self._masks:
            answer = self._segmenter.masks(embedding, points)
            moved = answer if self._device is None else replace(answer, masks=answer.masks.to(self._device))
            self._masks[question] = moved
        return self._masks[question]

    def logits(self, embedding: Any, points: Float, channels: NDArray[np.int8]) -> Any:
        asked = [(float(x), float(y), int(c)) for (x, y), c in zip(points, channels, strict=True)]
        new = [i for i, question in enumerate(asked) if question not in self._planes]
        if new or not asked:
            answer = _arrays.move(self._segmenter.logits(embedding, points[new], channels[new]), self._device)
            self._planes.update((asked[i], answer[k : k + 1]) for k, i in enumerate(new))
        return _arrays.concatenate([self._planes[q] for q in asked]) if asked else answer
