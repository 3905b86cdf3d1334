"""Mean of a plane over each mask."""

from __future__ import annotations

import numpy as np
from numba import prange

from esam_fast._arrays import Doubles, Masks, Words
from esam_fast._numba._bits import lowest_bit
from esam_fast._numba._jit import jit, parallel_jit
from esam_fast._numba._rules import word_range


@jit
def _sum_one(words: Words, first: int, last: int, plane: Doubles) -> float:
    total = 0.0  # in pixel order, on every backend
    for k in range(first, last):
        word = words[k]
        while word != 0:
            total += plane[k * 64 + lowest_bit(word)]
            word &= word - np.uint64(1)
    return total


@parallel_jit
def mask_mean(masks: Masks, plane: Doubles, out: Doubles) -> None:
    """Mean of plane [h * w] over the pixels of each mask, 0 for an empty one: out [N]."""
    words, area, box, _, w = masks
    for n in prange(area.size):
        first, last = word_range(box[n], box[n], w)
        out[n] = _sum_one(words[n], first, last, plane) / area[n] if area[n] > 0 else 0.0
