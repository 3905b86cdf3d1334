"""Intersections and IoUs of every mask of one list with every mask of another."""

from __future__ import annotations

from numba import prange

from ._jit import Doubles, Int32s, Int64s, Words, parallel_jit
from ._rules import intersection, iou, iou_bound


@parallel_jit
def intersections(
    a_words: Words,  # [N, W]
    a_area: Int64s,
    a_box: Int32s,
    b_words: Words,  # [M, W]
    b_area: Int64s,
    b_box: Int32s,
    h: int,
    w: int,
    out: Int32s,  # [N, M]
) -> None:
    """Pixels that a[i] and b[j] share."""
    for i in prange(a_area.size):
        for j in range(b_area.size):
            out[i, j] = intersection(a_words[i], a_box[i], b_words[j], b_box[j], w)


@parallel_jit
def mask_iou(
    a_words: Words,  # [N, W]
    a_area: Int64s,
    a_box: Int32s,
    b_words: Words,  # [M, W]
    b_area: Int64s,
    b_box: Int32s,
    h: int,
    w: int,
    out: Doubles,  # [N, M]
) -> None:
    """IoU of a[i] and b[j]."""
    for i in prange(a_area.size):
        for j in range(b_area.size):
            inter = intersection(a_words[i], a_box[i], b_words[j], b_box[j], w)
            out[i, j] = iou(inter, a_area[i], b_area[j])


@parallel_jit
def max_iou(
    a_words: Words,  # [N, W]
    a_area: Int64s,
    a_box: Int32s,
    b_words: Words,  # [M, W]
    b_area: Int64s,
    b_box: Int32s,
    h: int,
    w: int,
    best: Doubles,  # [N]
    index: Int64s,  # [N]
) -> None:
    """Highest IoU of a[i] with any b[j] and the first j that reaches it; 0 and -1 where there is no b."""
    for i in prange(a_area.size):
        highest, first = 0.0, -1 if b_area.size == 0 else 0
        for j in range(b_area.size):
            if iou_bound(a_area[i], a_box[i], b_area[j], b_box[j]) > highest:
                inter = intersection(a_words[i], a_box[i], b_words[j], b_box[j], w)
                value = iou(inter, a_area[i], b_area[j])
                if value > highest:
                    highest, first = value, j
        best[i], index[i] = highest, first
