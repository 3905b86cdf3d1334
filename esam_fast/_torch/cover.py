"""Greedy cover of what no entity holds yet."""

from __future__ import annotations

import torch
from torch import Tensor

from esam_fast._arrays import Array, Int64s, Masks
from esam_fast._torch.bits import chunks, tensor, unpack


def greedy_cover(masks: Masks, order: Int64s, covered: Array, min_gain: float, picks: Int64s, gains: Int64s) -> int:
    """Pick the mask with most uncovered pixels (ties: earlier in the order) until that is under min_gain or 0."""
    words, _, _, h, w = masks
    ordered = tensor(words)[tensor(order, tensor(words))]
    pixels, picked = h * w, 0
    free = ~unpack(tensor(covered)[None], pixels)[0]
    parts = chunks(len(order), pixels)
    bits: Tensor | None = unpack(ordered, pixels) if len(parts) == 1 else None  # kept where they are few
    while len(order):
        counts = torch.cat([((unpack(ordered[p], pixels) if bits is None else bits) & free).sum(1) for p in parts])
        best = int(counts.argmax())
        gain = int(counts[best])
        if gain == 0 or gain < min_gain:
            break
        picks[picked], gains[picked] = order[best], gain
        free &= ~unpack(ordered[best : best + 1], pixels)[0]
        picked += 1
    return picked
