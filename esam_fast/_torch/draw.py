"""Drawing logit planes as one label map at the image's resolution."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from esam_fast._arrays import Array, Int32s, Int64s
from esam_fast._torch.bits import put, tensor


def draw_labels(
    planes: Array, box: Int32s, rows: int, cols: int, content_h: float, content_w: float, labels: Array
) -> None:
    """Label 1 + the plane [K, h, w] with the largest positive bilinear sample (tie: lower index), 0 if none."""
    logits = tensor(planes)
    height, width = labels.shape
    ys, xs = _Axis(height, content_h, rows, logits), _Axis(width, content_w, cols, logits)
    drawn = torch.zeros(height, width, dtype=torch.int32, device=logits.device)
    best = torch.zeros(height, width, device=logits.device)
    for k, (x0, y0, x1, y1) in enumerate(box.tolist()):
        y, x = ys.reach(y0, y1), xs.reach(x0, x1)
        top, bottom = logits[k, ys.low[y]], logits[k, ys.high[y]]
        weight = ys.weight[y, None]
        column = top * (1 - weight) + bottom * weight  # vertical first
        value = column[:, xs.low[x]] * (1 - xs.weight[x]) + column[:, xs.high[x]] * xs.weight[x]
        wins = value > best[y, x]
        best[y, x] = torch.where(wins, value, best[y, x])
        drawn[y, x] = torch.where(wins, k + 1, drawn[y, x])
    put(labels, drawn)


class _Axis:
    """Where image pixel centres fall between grid pixel centres, content only."""

    def __init__(self, size: int, content: float, limit: int, like: Tensor) -> None:
        at: NDArray[np.float64] = (np.arange(size) + 0.5) * content / size - 0.5
        at = np.clip(at, 0, limit - 1)
        self._low = at.astype(np.int64)
        self._high = np.minimum(self._low + 1, limit - 1)
        self.low, self.high = tensor(self._low, like), tensor(self._high, like)
        self.weight = tensor((at - self._low).astype(np.float32), like)

    def reach(self, first: int, last: int) -> slice:
        """Image pixels that have a neighbour among grid pixels [first, last)."""
        return slice(int(np.searchsorted(self._high, first)), int(np.searchsorted(self._low, last)))


def measure_labels(labels: Array, area: Int64s, box: Int32s) -> None:
    """Area [n] and half-open box [n, 4] of the labels 1..n in a map [H, W]; other values are ignored."""
    found = tensor(labels)
    height, width = found.shape
    n = len(area)
    y, x = torch.nonzero((found > 0) & (found <= n), as_tuple=True)
    label = (found[y, x] - 1).long()
    count = torch.bincount(label, minlength=n)
    edges = torch.tensor([width, height, 0, 0], device=found.device).repeat(n, 1)
    for side, (values, reduce) in enumerate(((x, "amin"), (y, "amin"), (x + 1, "amax"), (y + 1, "amax"))):
        edges[:, side].scatter_reduce_(0, label, values, reduce)
    put(area, count)
    put(box, (edges * (count > 0)[:, None]).to(torch.int32))
