"""From logits to packed masks with area, box and stability; the area and box of packed masks."""

from __future__ import annotations

import numpy as np
from numba import prange

from esam_fast._arrays import Floats, Int32s, Int64s, Words
from esam_fast._numba._bits import highest_bit, lowest_bit, popcount
from esam_fast._numba._jit import jit, parallel_jit


@jit
def _measure_one(words: Words, w: int, box: Int32s) -> int:
    """Write the box of one mask and return its area."""
    area = 0
    x0, y0, x1, y1 = w, -1, 0, 0
    for k in range(words.size):
        word = words[k]
        area += popcount(word)
        while word != 0:  # once per grid row that has bits in this word
            y = (k * 64 + lowest_bit(word)) // w
            left, right = y * w - k * 64, (y + 1) * w - k * 64
            of_row = word if right >= 64 else word & ((np.uint64(1) << np.uint64(right)) - np.uint64(1))
            word ^= of_row
            x0, x1 = min(x0, lowest_bit(of_row) - left), max(x1, highest_bit(of_row) + 1 - left)
            y0, y1 = y if y0 < 0 else y0, y + 1
    if area == 0:
        x0, y0 = 0, 0
    box[0], box[1], box[2], box[3] = x0, y0, x1, y1
    return area


@parallel_jit
def measure(words: Words, h: int, w: int, area: Int64s, box: Int32s) -> None:
    """Area [N] and half-open box [N, 4] of each mask."""
    for n in prange(area.size):
        area[n] = _measure_one(words[n], w, box[n])


@jit
def _count_above(row: Floats, threshold: np.float32) -> int:
    count = 0
    for x in range(row.size):
        count += row[x] > threshold
    return count


@jit
def _positive(values: Floats, shift: int) -> np.uint64:
    """A word whose bit shift + t is values[t] > 0."""
    word = np.uint64(0)
    for t in range(values.size):
        word |= np.uint64(values[t] > 0) << np.uint64(shift + t)
    return word


@parallel_jit
def pack_logits(
    logits: Floats,  # [N, h, w]
    rows: int,
    cols: int,
    offset: float,
    words: Words,  # [N, W]
    area: Int64s,
    box: Int32s,
    stability: Floats,  # [N]
) -> None:
    """Bits: logits > 0 in the content rows x cols; stability: #(> +offset) / #(> -offset) there, or 0."""
    w = logits.shape[2]
    high = np.float32(offset)
    low = -high
    for n in prange(logits.shape[0]):
        above, below = 0, 0
        words[n, :] = 0
        for y in range(rows):
            row = logits[n, y, :cols]
            above += _count_above(row, high)
            below += _count_above(row, low)
            x = 0
            while x < cols:
                shift = (y * w + x) & 63
                words[n, (y * w + x) >> 6] |= _positive(row[x : x + 64 - shift], shift)
                x += 64 - shift
        area[n] = _measure_one(words[n], w, box[n])
        stability[n] = np.float32(above / below) if below > 0 else np.float32(0)
