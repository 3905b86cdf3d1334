"""Mask IoU for all pairs, and each mask's best match."""

from __future__ import annotations

import torch
from torch import Tensor

from esam_fast._arrays import Array, Masks
from esam_fast._torch.bits import chunks, common, iou, put, tensor


def intersections(a: Masks, b: Masks, out: Array) -> None:
    """Common pixels of all pairs: out [N, M]."""
    put(out, _common(a, b).to(torch.int32))


def mask_iou(a: Masks, b: Masks, out: Array) -> None:
    """IoU of all pairs: out [N, M]."""
    inter = _common(a, b)
    put(out, iou(inter, tensor(a[1], inter), tensor(b[1], inter)))


def max_iou(a: Masks, b: Masks, best: Array, index: Array) -> None:
    """Highest IoU of each mask with any other, and the first that reaches it: best, index [N]; 0 and -1 for none."""
    a_words, b_words, pixels = tensor(a[0]), tensor(b[0]), a[3] * a[4]
    best[:], index[:] = 0.0, -1
    if len(b_words) == 0:
        return
    a_area, b_area = tensor(a[1], a_words), tensor(b[1], a_words)
    for rows in chunks(len(a_words), pixels):
        values = iou(common(a_words[rows], b_words, pixels), a_area[rows], b_area)
        at = values.argmax(1)
        put(best[rows], values.gather(1, at[:, None])[:, 0])
        put(index[rows], at)


def _common(a: Masks, b: Masks) -> Tensor:
    return common(tensor(a[0]), tensor(b[0]), a[3] * a[4])
