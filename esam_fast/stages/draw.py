"""Logit planes of entities drawn at full resolution, and cleaned of small islands and holes."""

from __future__ import annotations

import cv2
import numpy as np

from esam_fast._arrays import Array, host
from esam_fast.masks import Int, Labels, MaskGrid
from esam_fast.ops import draw_labels, measure_labels


def label_map(
    planes: Array, grid: MaskGrid, min_region_area: int, *, backend: str | None = None
) -> tuple[Labels, Int, Labels]:
    """Draw planes float32 [K, h, w]: labels int32 [H, W] (k + 1 for plane k), areas int64 [K], boxes int32 [K, 4].

    Planes may live on a GPU; the labels are drawn and measured there, and returned in NumPy.

    Holes and islands under `min_region_area` image pixels are cleaned (see `clean`); 0: none.
    """
    drawn = draw_labels(planes, grid, backend=backend)
    areas, boxes = measure_labels(drawn, len(planes), backend=backend)
    labels = host(drawn)
    if min_region_area:
        labels = clean(labels, boxes, min_region_area)
        areas, boxes = measure_labels(labels, len(planes), backend=backend)
    return labels, areas, boxes


def clean(labels: Labels, boxes: Labels, min_area: int) -> Labels:
    """Remove islands and fill holes under `min_area` image pixels, as AMG's post-processing does (8-neighbourhood).

    An entity keeps its largest island; a hole takes only pixels that no entity holds.

    Args:
        labels: int32 [H, W]. boxes: int32 [K, 4] of the labels 1..K. min_area: in image pixels.
    """
    labels = labels.copy()
    height, width = labels.shape
    for k, (x0, y0, x1, y1) in enumerate(boxes.tolist(), start=1):
        top, left, bottom, right = max(y0 - 1, 0), max(x0 - 1, 0), min(y1 + 1, height), min(x1 + 1, width)
        window = labels[top:bottom, left:right]
        islands, area = _components(window == k)
        small = area < min_area
        small[0] = False
        if len(area) > 1:
            small[1 + np.argmax(area[1:])] = False
        window[small[islands]] = 0
        holes, area = _components(window != k)
        small = area < min_area
        small[0] = False
        for edge, open_ in (
            (holes[0], top > 0),
            (holes[-1], bottom < height),
            (holes[:, 0], left > 0),
            (holes[:, -1], right < width),
        ):
            if open_:
                small[edge] = False
        window[small[holes] & (window == 0)] = k
    return labels


def _components(mask: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> tuple[Labels, Labels]:
    _, components, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    return components, stats[:, cv2.CC_STAT_AREA]
