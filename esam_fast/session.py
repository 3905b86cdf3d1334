"""One image being prompted: the only place that asks a segmenter anything, and checks what it answers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from esam_fast import _arrays, _backend
from esam_fast._arrays import Array, Device
from esam_fast.masks import Float, MaskGrid, PointMasks, ScoredMasks
from esam_fast.segmenters.protocol import Segmenter, check_answer, check_embedding, check_logits

_PLANES = 64  # logit planes that `planes` holds at a time: 16 MB at 256 x 256


class Session:
    """An image's embedding, prompted as often as needed.

    Args:
        segmenter: anything with the `Segmenter` protocol.
        image: uint8 [H, W, 3] RGB.
        backend: of the operations; "cuda" and "torch" have masks that are on the host brought to them first.

    Raises:
        TypeError, ValueError: an embedding that cannot be used, and so with the answers later; the message says why.
    """

    def __init__(self, segmenter: Segmenter, image: NDArray[np.uint8], backend: str | None = None) -> None:
        self._segmenter = segmenter
        self._wanted = _backend.device_for(backend)
        self._device: Device = self._wanted  # where the answers' masks live
        self._embedding = segmenter.embed(image)
        check_embedding(segmenter, self._embedding, image)
        self.grid: MaskGrid = self._embedding.grid
        self.features: Float = self._embedding.features

    def ask(self, points: Float, *, min_score: float | None = None) -> PointMasks:
        """Three masks for each of the points float32 [N, 2], x y in image pixels; no points: nobody is asked."""
        if len(points) == 0:
            return PointMasks.empty(self.grid.shape, self._device)
        answer = self._segmenter.masks(self._embedding, points, min_score=min_score)
        answer = check_answer(self._segmenter, answer, self.grid, len(points))
        if self._wanted is not None and answer.masks.device is None:
            answer = replace(answer, masks=answer.masks.to(self._wanted))
        self._device = answer.masks.device
        return answer

    def logits(self, masks: ScoredMasks) -> Array:
        """The logit plane of each mask, decoded again: float32 [N, h, w] beside the masks; none: nobody is asked."""
        if len(masks) == 0:
            return _arrays.move(np.zeros((0, *self.grid.shape), np.float32), masks.masks.device)
        planes = self._segmenter.logits(self._embedding, masks.points, masks.channels)
        planes = check_logits(self._segmenter, planes, self.grid, len(masks))
        return _arrays.move(planes, masks.masks.device)

    def planes(self, masks: ScoredMasks) -> Iterator[tuple[ScoredMasks, Array]]:
        """Each mask alone, with its logits float32 [1, h, w]; only a few planes are held at a time."""
        for first in range(0, len(masks), _PLANES):
            few = masks.take(np.arange(first, min(first + _PLANES, len(masks))))
            logits = self.logits(few)
            for i in range(len(few)):
                yield few.take(np.array([i])), logits[i : i + 1]
