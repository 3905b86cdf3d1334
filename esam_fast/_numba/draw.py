"""Drawing logit planes of the grid as one label map at the image's resolution."""

from __future__ import annotations

import numpy as np
from numba import prange

from esam_fast._arrays import Doubles, Floats, Int32s, Int64s
from esam_fast._numba._jit import jit, parallel_jit


def _axis(size: int, content: float, limit: int) -> tuple[Int64s, Floats]:
    """For each image coordinate: the grid coordinate before it and the weight of the one after."""
    at: Doubles = (np.arange(size) + 0.5) * content / size - 0.5
    at = np.clip(at, 0, limit - 1)
    before = np.floor(at).astype(np.int64)
    return before, (at - before).astype(np.float32)


@jit
def _blend(top: Floats, bottom: Floats, weight: np.float32, out: Floats) -> None:
    """Sample between two grid rows, at grid columns."""
    for x in range(out.size):
        out[x] = top[x] * (np.float32(1) - weight) + bottom[x] * weight


@jit
def _take_larger(
    row: Floats, x_before: Int64s, x_weight: Floats, last: int, label: int, best: Floats, labels: Int32s
) -> None:
    """A pixel gets the label where its sample, between two columns of the row, exceeds the best so far."""
    for x in range(best.size):
        x0 = x_before[x]
        x1 = min(x0 + 1, last)
        value = row[x0] * (np.float32(1) - x_weight[x]) + row[x1] * x_weight[x]
        if value > best[x]:
            best[x] = value
            labels[x] = label


@parallel_jit
def _draw_rows(
    planes: Floats,  # [K, h, w]
    box: Int32s,  # [K, 4]
    rows: int,
    cols: int,
    y_before: Int64s,  # [H]
    y_weight: Floats,
    x_before: Int64s,  # [W]
    x_weight: Floats,
    x_range: Int64s,  # [K, 2], the image columns that a box reaches
    labels: Int32s,  # [H, W]
) -> None:
    for y in prange(labels.shape[0]):
        y0 = y_before[y]
        y1 = min(y0 + 1, rows - 1)
        best = np.zeros(labels.shape[1], np.float32)
        row = np.empty(cols, np.float32)
        labels[y] = 0
        for k in range(planes.shape[0]):
            left, right = x_range[k]
            if y1 < box[k, 1] or y0 >= box[k, 3] or left >= right:
                continue
            from_, to = x_before[left], min(x_before[right - 1] + 2, cols)
            _blend(planes[k, y0, from_:to], planes[k, y1, from_:to], y_weight[y], row[from_:to])
            _take_larger(
                row,
                x_before[left:right],
                x_weight[left:right],
                cols - 1,
                k + 1,
                best[left:right],
                labels[y, left:right],
            )


def draw_labels(
    planes: Floats,  # [K, h, w]
    box: Int32s,  # [K, 4]
    rows: int,
    cols: int,
    content_h: float,
    content_w: float,
    labels: Int32s,  # [H, W]
) -> None:
    """Label 1 + the plane with the largest positive bilinear sample (tie: lower index), 0 if none."""
    y_before, y_weight = _axis(labels.shape[0], content_h, rows)
    x_before, x_weight = _axis(labels.shape[1], content_w, cols)
    x_range = np.searchsorted(x_before, np.stack([box[:, 0] - 1, box[:, 2]], axis=1))
    _draw_rows(planes, box, rows, cols, y_before, y_weight, x_before, x_weight, x_range, labels)


@jit
def measure_labels(labels: Int32s, area: Int64s, box: Int32s) -> None:
    """Area [n] and half-open box [n, 4] of the labels 1..n in a map [H, W]; other values are ignored."""
    area[:] = 0
    box[:] = 0
    for y in range(labels.shape[0]):
        for x in range(labels.shape[1]):
            k = labels[y, x] - 1
            if k < 0 or k >= area.size:
                continue
            if area[k] == 0:
                box[k, 0], box[k, 1] = x, y
            area[k] += 1
            box[k, 0] = min(box[k, 0], x)
            box[k, 2] = max(box[k, 2], x + 1)
            box[k, 3] = y + 1
