"""Entities at full resolution: one logit plane each, cut where the split gave an overlap away, then drawn."""

from __future__ import annotations

import cv2
import numpy as np

from esam_fast.masks import Float, Int, Labels, MaskGrid, PackedMasks
from esam_fast.ops import draw_labels, measure_labels
from esam_fast.stages.handover import Entities

LEAST = np.float32(1e-6)  # of a logit whose bit is set


def entity_planes(entities: Entities, logits: Float) -> Float:
    """One logit plane an entity, by score descending.

    The plane is the maximum over the entity's members. Where a member lost pixels, its logit becomes
    min(its own, -the holder's), so that the border is the holder's zero line and not a staircase. Where a sign
    contradicts the decided bit, the bit wins.

    Args:
        entities: K entities of M members.
        logits: float32 [M, h, w], finite; changed in place.

    Returns:
        float32 [K, h, w].
    """
    m, h, w = logits.shape
    flat = logits.reshape(m, h * w)
    holder = np.full(h * w, np.nan, np.float32)
    for i in range(m):
        pixels = entities.kept.pixels(i)
        holder[pixels] = flat[i, pixels]
    planes = np.full((len(entities), h * w), -np.inf, np.float32)
    taken = PackedMasks.from_words(entities.members.masks.words & ~entities.kept.words, (h, w))
    for i in range(m):
        lost = taken.pixels(i)
        theirs = np.where(np.isnan(holder[lost]), np.abs(flat[i, lost]), holder[lost])
        flat[i, lost] = np.minimum(flat[i, lost], -theirs)
        plane = planes[entities.owner[i]]
        np.maximum(plane, flat[i], out=plane)
    for k in range(len(entities)):
        plane, pixels = planes[k], entities.masks.pixels(k)
        held = plane[pixels]
        np.negative(np.abs(plane, out=plane), out=plane)
        plane[pixels] = np.where(held > 0, held, np.maximum(-held, LEAST))
    return planes.reshape(-1, h, w)


def label_map(
    planes: Float, grid: MaskGrid, min_region_area: int, *, backend: str | None = None
) -> tuple[Labels, Int, Labels]:
    """Draw planes float32 [K, h, w]: labels int32 [H, W] (k + 1 for plane k), areas int64 [K], boxes int32 [K, 4].

    Holes and islands under `min_region_area` image pixels are cleaned (see `clean`); 0: none.
    """
    labels = draw_labels(planes, grid, backend=backend)
    areas, boxes = measure_labels(labels, len(planes), backend=backend)
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
