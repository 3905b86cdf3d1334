"""Intersections and IoUs of every mask of one list with every mask of another."""

from __future__ import annotations

from numba import prange

from esam_fast._arrays import Doubles, Int32s, Int64s, Masks
from esam_fast._numba._jit import parallel_jit
from esam_fast._numba._rules import intersection, iou, iou_bound


@parallel_jit
def intersections(a: Masks, b: Masks, out: Int32s) -> None:
    """Pixels that a[i] and b[j] share: out [N, M]."""
    a_words, a_area, a_box, _, w = a
    b_words, b_area, b_box, _, _ = b
    for i in prange(a_area.size):
        for j in range(b_area.size):
            out[i, j] = intersection(a_words[i], a_box[i], b_words[j], b_box[j], w)


@parallel_jit
def mask_iou(a: Masks, b: Masks, out: Doubles) -> None:
    """IoU of a[i] and b[j]: out [N, M]."""
    a_words, a_area, a_box, _, w = a
    b_words, b_area, b_box, _, _ = b
    for i in prange(a_area.size):
        for j in range(b_area.size):
            inter = intersection(a_words[i], a_box[i], b_words[j], b_box[j], w)
            out[i, j] = iou(inter, a_area[i], b_area[j])


@parallel_jit
def max_iou(a: Masks, b: Masks, best: Doubles, index: Int64s) -> None:
    """Highest IoU of a[i] with any b[j], and the first j that reaches it: [N] each; 0 and -1 where there is no b."""
    a_words, a_area, a_box, _, w = a
    b_words, b_area, b_box, _, _ = b
    for i in prange(a_area.size):
        highest, first = 0.0, -1 if b_area.size == 0 else 0
        for j in range(b_area.size):
            if iou_bound(a_area[i], a_box[i], b_area[j], b_box[j]) > highest:
                inter = intersection(a_words[i], a_box[i], b_words[j], b_box[j], w)
                value = iou(inter, a_area[i], b_area[j])
                if value > highest:
                    highest, first = value, j
        best[i], index[i] = highest, first
