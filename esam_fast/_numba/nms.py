"""Greedy mask NMS, one threshold per mask (Eq. 4), and the clustering of the gallery's masks."""

from __future__ import annotations

import numpy as np

from esam_fast._arrays import Bools, Doubles, Int64s, Masks
from esam_fast._numba._jit import jit
from esam_fast._numba._rules import intersection, iou, iou_bound


@jit
def nms(masks: Masks, order: Int64s, thresholds: Doubles, keep: Bools) -> None:
    """Visit in `order`: a live mask p is kept and removes every later q with IoU(p, q) > thresholds[p]."""
    words, area, box, _, w = masks
    keep[:] = False
    live = order.copy()
    count = live.size
    while count > 0:
        p = live[0]
        keep[p] = True
        survivors = 0
        for at in range(1, count):
            q = live[at]
            removed = iou_bound(area[p], box[p], area[q], box[q]) > thresholds[p]
            if removed:
                inter = intersection(words[p], box[p], words[q], box[q], w)
                removed = iou(inter, area[p], area[q]) > thresholds[p]
            if not removed:
                live[survivors] = q
                survivors += 1
        count = survivors


@jit
def cluster_masks(masks: Masks, order: Int64s, threshold: float, representative: Int64s) -> None:
    """Visit in `order`: a mask joins the first representative with IoU >= threshold, else becomes one."""
    words, area, box, _, w = masks
    leaders = np.empty(order.size, np.int64)
    count = 0
    for q in order:
        representative[q] = q
        for at in range(count):
            p = leaders[at]
            if iou_bound(area[p], box[p], area[q], box[q]) >= threshold:
                inter = intersection(words[p], box[p], words[q], box[q], w)
                if iou(inter, area[p], area[q]) >= threshold:
                    representative[q] = p
                    break
        if representative[q] == q:
            leaders[count] = q
            count += 1
