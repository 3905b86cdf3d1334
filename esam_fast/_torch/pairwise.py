"""Mask IoU for all pairs, and each mask's best match."""

from __future__ import annotations

from typing import Any

import torch

from esam_fast._torch.bits import Int32s, Int64s, chunks, common, iou, put, tensor


def intersections(
    a_words: Any, a_area: Int64s, a_box: Int32s, b_words: Any, b_area: Int64s, b_box: Int32s, h: int, w: int, out: Any
) -> None:
    """Common pixels of all pairs: out [N, M]."""
    put(out, common(tensor(a_words), tensor(b_words), h * w).to(torch.int32))


def mask_iou(
    a_words: Any, a_area: Int64s, a_box: Int32s, b_words: Any, b_area: Int64s, b_box: Int32s, h: int, w: int, out: Any
) -> None:
    """IoU of all pairs: out [N, M]."""
    a, b = tensor(a_words), tensor(b_words)
    put(out, iou(common(a, b, h * w), tensor(a_area, a), tensor(b_area, a)))


def max_iou(
    a_words: Any, a_area: Int64s, a_box: Int32s, b_words: Any, b_area: Int64s, b_box: Int32s, h: int, w: int,
    best: Any, index: Any,
) -> None:  # fmt: skip
    """Highest IoU of each mask with any other, and the first that reaches it: best, index [N]; 0 and -1 for none."""
    a, b = tensor(a_words), tensor(b_words)
    best[:], index[:] = 0.0, -1
    if len(b) == 0:
        return
    area_a, area_b = tensor(a_area, a), tensor(b_area, a)
    for rows in chunks(len(a), h * w):
        values = iou(common(a[rows], b, h * w), area_a[rows], area_b)
        at = values.argmax(1)
        put(best[rows], values.gather(1, at[:, None])[:, 0])
        put(index[rows], at)
