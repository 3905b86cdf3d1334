"""The result: every entity of one image, and what people ask of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from esam_fast import _check, export
from esam_fast.masks import Bool, Float, Int, Labels, MaskGrid, PackedMasks, ScoredMasks


@dataclass(frozen=True)
class EntityMap:
    """Every entity of one image; no two overlap.

    Attributes:
        labels: int32 [H, W], 0 where nothing was found, 1..K by score descending.
        scores: float32 [K], score of entity k + 1.
        areas: int64 [K], image pixels.
        boxes: int32 [K, 4], x0 y0 x1 y1, half-open, image pixels.
        points: float32 [K, 2], the prompt of the entity's highest-scored mask, x y in image pixels.
        stability: float32 [K], that mask's stability score.
        timings: seconds for embed, superpixels (beside a GPU only what was waited for), decode, mmg, emr, usr, draw and
            total.
        prompts: points asked for the "mmg" grid, the "gallery" and "usr"; 0 for a stage that is off. Decoding what
            is drawn once more does not count.
        spans: (stage, begin, end) of each time a stage ran, in seconds since the start, in order.
        grid: the grid on which the masks in `stages` live.
        stages: intermediate masks, when asked for: "mmg" (object level, overlapping), "part", "subpart", "emr"
            and "usr" (disjoint).
    """

    labels: Labels
    scores: Float
    areas: Int
    boxes: NDArray[np.int32]
    points: Float
    stability: Float
    timings: dict[str, float]
    grid: MaskGrid
    stages: dict[str, PackedMasks | ScoredMasks] | None = None
    spans: tuple[tuple[str, float, float], ...] = ()
    prompts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(("mmg", "gallery", "usr"), 0))

    def __len__(self) -> int:
        return len(self.scores)

    def mask(self, label: int) -> Bool:
        """Entity `label` (1..K) as bool [H, W].

        Raises:
            TypeError: label is not a whole number. IndexError: there is no such entity.
        """
        if not 1 <= _check.integer("label", label, 0) <= len(self):
            raise IndexError(f"label must lie in 1..{len(self)}, got {label}")
        return self.labels == label

    def to_coco_results(self, image_id: int | str) -> list[dict[str, Any]]:
        """COCO results records, one an entity: image_id, category_id 1, bbox XYWH, compressed RLE, score, area."""
        return export.coco_results(self, image_id)

    def to_amg_records(self) -> list[dict[str, Any]]:
        """The records of segment_anything's SamAutomaticMaskGenerator, one an entity, by score descending."""
        return export.amg_records(self)
