"""Mean of a plane over each mask."""

from __future__ import annotations

import numpy as np
from numba import prange

from ._bits import lowest_bit
from ._jit import Doubles, Int32s, Int64s, Words, jit, parallel_jit
from ._rules import word_range


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
def _mask_mean(words: Words, area: Int64s, box: Int32s, w: int, plane: Doubles, out: Doubles) -> None:
    for n in prange(area.size):
        first, last = word_range(box[n], box[n], w)
        out[n] = _sum_one(words[n], first, last, plane) / area[n] if area[n] > 0 else 0.0


def mask_mean(words: Words, area: Int64s, box: Int32s, h: int, w: int, plane: Doubles, out: Doubles) -> None:
    """Mean of plane [h, w] over the pixels of each mask, 0 for an empty one: out [N]."""
    _mask_mean(words, area, box, w, plane.ravel(), out)
