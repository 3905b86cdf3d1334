"""Greedy NMS and clustering: all claims on the device, the greedy scan on the host."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from esam_fast._arrays import Array, Bools, Doubles, Int64s, Masks
from esam_fast._torch.bits import chunks, common, iou, tensor


def nms(masks: Masks, order: Int64s, thresholds: Doubles, keep: Bools) -> None:
    """Which masks no earlier kept one removes: keep [N]."""
    limits = tensor(thresholds, tensor(masks[0]))
    leader = _leaders(masks, order, lambda iou, rows: iou > limits[rows, None])
    keep[:] = leader == np.arange(len(leader))


def cluster_masks(masks: Masks, order: Int64s, threshold: float, representative: Int64s) -> None:
    """The first earlier representative that is near enough to each mask, else itself: representative [N]."""
    representative[:] = _leaders(masks, order, lambda iou, rows: iou >= threshold)


def _leaders(masks: Masks, order: Int64s, claims: Array) -> Int64s:
    """For each mask, the first leader before it in the order that claims it; itself: a leader. int64 [N].

    claims: of IoU float64 [n, N] of leaders `rows` int64 [n] with all masks: bool [n, N].
    """
    words, area, _, h, w = masks
    pixels = h * w
    ordered = tensor(words)[tensor(order, tensor(words))]
    areas = tensor(area[order], ordered)
    rows = tensor(order, ordered)
    leader = np.full(len(order), -1, np.int64)  # by position in the order
    for part in chunks(len(order), pixels):
        matrix: Tensor = claims(iou(common(ordered[part], ordered, pixels), areas[part], areas), rows[part])
        for position, claimed in enumerate(matrix.cpu().numpy(), part.start):
            if leader[position] < 0:
                leader[(leader < 0) & claimed & (np.arange(len(order)) > position)] = position
                leader[position] = position
    found = np.empty_like(leader)
    found[order] = order[leader]
    return found
