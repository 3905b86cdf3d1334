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

    `min_score` is not passed on, so that an answer serves every threshold. No point is put twice to `masks`, and no
    prompt's plane to `logits`, whatever the calls. At SAM's size a point takes 25 kB, a plane 0.25 MB.

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
            self._rows: dict[tuple[float, float], int] = {}
            self._known: PointMasks | None = None
            self._planes: dict[tuple[float, float, int], Any] = {}
        return self._embedding

    def masks(self, embedding: Any, points: Float, *, min_score: float | None = None) -> PointMasks:
        asked = [(float(x), float(y)) for x, y in points]
        new = list(dict.fromkeys(question for question in asked if question not in self._rows))
        if new or self._known is None:
            answer = self._segmenter.masks(embedding, np.array(new, np.float32).reshape(-1, 2))
            if self._device is not None:
                answer = replace(answer, masks=answer.masks.to(self._device))
            self._rows.update(zip(new, range(len(self._rows), len(self._rows) + len(new)), strict=True))
            self._known = answer if self._known is None else PointMasks.concatenate([self._known, answer])
        return self._known.take(np.array([self._rows[question] for question in asked], np.int64))

    def logits(self, embedding: Any, points: Float, channels: NDArray[np.int8]) -> Any:
        asked = [(float(x), float(y), int(c)) for (x, y), c in zip(points, channels, strict=True)]
        new = [i for i, question in enumerate(asked) if question not in self._planes]
        if new or not asked:
            answer = _arrays.move(self._segmenter.logits(embedding, points[new], channels[new]), self._device)
            self._planes.update((asked[i], answer[k : k + 1]) for k, i in enumerate(new))
        return _arrays.concatenate([self._planes[q] for q in asked]) if asked else answer
