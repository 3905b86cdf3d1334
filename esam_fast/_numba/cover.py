"""Greedy cover of what no entity holds yet (USR, Sec. 3.4)."""

from __future__ import annotations

import numpy as np

from esam_fast._arrays import Int64s, Masks, Words
from esam_fast._numba._bits import popcount
from esam_fast._numba._jit import jit
from esam_fast._numba._rules import word_range


@jit
def greedy_cover(masks: Masks, order: Int64s, given: Words, min_gain: float, picks: Int64s, gains: Int64s) -> int:
    """Pick the mask with most uncovered pixels (ties: earlier in `order`) until that is under min_gain or 0.

    given [W] is covered at the start; picks, gains [N]; returns the number of picks.

    Gains never grow, so an old gain bounds the new one: only the mask in front is ever counted again.
    """
    words, area, box, _, w = masks
    covered = given.copy()
    bound = area[order]
    counted_at = np.full(order.size, -1, np.int64)
    picked = 0
    while order.size > 0:
        front = np.argmax(bound)
        if bound[front] < min_gain or bound[front] == 0:
            break
        mask = order[front]
        first, last = word_range(box[mask], box[mask], w)
        part, under = words[mask, first:last], covered[first:last]
        if counted_at[front] < picked:
            gain = 0
            for k in range(part.size):
                gain += popcount(part[k] & ~under[k])
            bound[front], counted_at[front] = gain, picked
        else:
            for k in range(part.size):
                under[k] |= part[k]
            picks[picked], gains[picked] = mask, bound[front]
            bound[front] = 0
            picked += 1
    return picked
