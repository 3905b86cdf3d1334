"""Overlap splitting by guides (Eqs. 5 and 6)."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from esam_fast._arrays import Array, Floats, Int64s, Masks
from esam_fast._torch.bits import common, pack, put, tensor, unpack


def split_overlaps(
    masks: Masks,
    order: Int64s,
    point_pixel: Int64s,  # [P]
    point_guide: Int64s,  # [P], -1: no vote
    scores: Floats,  # [N]
    guides: Masks,
    guide_scores: Floats,  # [G]
    delta: float,
    score_margin: float,
    words: Array,  # [N, W], of the masks afterwards
) -> None:
    """Give every overlap of two masks to one owner, pair by pair in the order, on the masks' current state."""
    packed, guide_words, guide_area = tensor(masks[0]), tensor(guides[0]), guides[1]
    area, h, w = masks[1].copy(), *masks[3:]
    overlapping = (common(packed, packed, h * w) > 0).cpu().numpy()  # masks only shrink: no new overlap appears
    bits = unpack(packed, h * w)
    voters = point_guide >= 0
    pixel, guide = tensor(point_pixel[voters], packed), point_guide[voters]
    for i, p in enumerate(order):
        for q in order[i + 1 :][overlapping[p, order[i + 1 :]]]:
            overlap = bits[p] & bits[q]
            inter = int(overlap.sum())
            if inter == 0:
                continue
            outranks = float(scores[p]) - float(scores[q]) > score_margin
            winner = -1
            if not outranks and not inter / max(area[p], area[q]) < delta:
                winner = _winner(guide[overlap[pixel].cpu().numpy()], guide_scores)
            if winner < 0:
                p_loses = not outranks and area[p] > area[q]
            else:
                shared = bits[[p, q]] & unpack(guide_words[winner : winner + 1], h * w)
                p_iou, q_iou = _ious(shared, area[[p, q]], int(guide_area[winner]))
                p_loses = p_iou < q_iou
            loser = p if p_loses else q
            bits[loser] &= ~overlap
            area[loser] -= inter
    put(words, pack(bits))


def _winner(votes: Int64s, scores: Floats) -> int:
    """The guide with most votes; ties go to the higher score, then to the lower index; -1: no vote."""
    if len(votes) == 0:
        return -1
    voted, count = np.unique(votes, return_counts=True)
    return int(voted[np.lexsort((voted, -scores[voted], -count))[0]])


def _ious(shared: Tensor, areas: Int64s, guide_area: int) -> list[float]:
    inter = shared.sum(1).cpu().numpy()
    return [float(i / (a + guide_area - i)) if a + guide_area > i else 0.0 for i, a in zip(inter, areas, strict=True)]
