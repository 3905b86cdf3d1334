"""The rules that kernels share: where two masks can overlap, by how much they do, and their IoU."""

from __future__ import annotations

from esam_fast._arrays import Int32s, Words
from esam_fast._numba._bits import popcount
from esam_fast._numba._jit import jit


@jit
def box_intersection(a_box: Int32s, b_box: Int32s) -> int:
    """Pixels that two boxes share."""
    width = min(a_box[2], b_box[2]) - max(a_box[0], b_box[0])
    height = min(a_box[3], b_box[3]) - max(a_box[1], b_box[1])
    return width * height if width > 0 and height > 0 else 0


@jit
def word_range(a_box: Int32s, b_box: Int32s, w: int) -> tuple[int, int]:
    """First and past-the-last word that can hold a bit of both masks."""
    x0, y0 = max(a_box[0], b_box[0]), max(a_box[1], b_box[1])
    x1, y1 = min(a_box[2], b_box[2]), min(a_box[3], b_box[3])
    if x0 >= x1 or y0 >= y1:
        return 0, 0
    return (y0 * w + x0) >> 6, (((y1 - 1) * w + x1 - 1) >> 6) + 1


@jit
def intersection(a: Words, a_box: Int32s, b: Words, b_box: Int32s, w: int) -> int:
    """Pixels that two masks share; the boxes may be larger than the masks."""
    first, last = word_range(a_box, b_box, w)
    a_part, b_part = a[first:last], b[first:last]
    count = 0
    for k in range(a_part.size):
        count += popcount(a_part[k] & b_part[k])
    return count


@jit
def iou(inter: int, a_area: int, b_area: int) -> float:
    """double(intersection) / double(union), 0 when the union is 0."""
    union = a_area + b_area - inter
    return inter / union if union > 0 else 0.0


@jit
def iou_bound(a_area: int, a_box: Int32s, b_area: int, b_box: Int32s) -> float:
    """An IoU that two masks cannot exceed; rounding keeps the order of quotients, so pruning is exact."""
    return iou(min(a_area, b_area, box_intersection(a_box, b_box)), a_area, b_area)
