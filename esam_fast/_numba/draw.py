"""Drawing logit planes of the grid as one label map at the image's resolution."""

from __future__ import annotations

import numpy as np
from numba import prange

from ._jit import Doubles, Floats, Int32s, Int64s, jit, parallel_jit


def _axis(size: int, content: float, limit: int) -> tuple[Int64s, Floats]:
    """For each image coordinate: the grid coordinate before it and the weight of the one after."""
    at: Doubles = (np.arange(size) + 0.5) * content / size - 0.5
    at = np.clip(at, 0, limit - 1)
    before = np.floor(at).astype(np.int64)
    return before, (at - before).astype(np.float32)


@jit
def _across(row: Floats, x_before: Int64s, x_weight: Floats, out: Floats, last: int) -> None:
    """Sample one grid row at image columns."""
    for x in range(out.size):
        x0 = x_before[x]
        x1 = min(x0 + 1, last)
        out[x] = row[x0] * (np.float32(1) - x_weight[x]) + row[x1] * x_weight[x]


@jit
def _raise(top: Floats, bottom: Floats, weight: np.float32, label: int, best: Floats, labels: Int32s) -> None:
    """Where the sample between two rows exceeds what is there, it takes the pixel."""
    for x in range(best.size):
        value = top[x] * (np.float32(1) - weight) + bottom[x] * weight
        if value > best[x]:
            best[x] = value
            labels[x] = label


@parallel_jit
def _draw_bands(
    planes: Floats,  # [K, h, w]
    box: Int32s,  # [K, 4]
    bands: Int64s,  # [B + 1], image rows where another grid row begins
    rows: int,
    cols: int,
    y_before: Int64s,  # [H]
    y_weight: Floats,
    x_before: Int64s,  # [W]
    x_weight: Floats,
    x_range: Int64s,  # [K, 2], the image columns that a box reaches
    labels: Int32s,  # [H, W]
) -> None:
    """Image rows between the same two grid rows share the samples across: only those between them differ."""
    for band in prange(bands.size - 1):
        start, stop = bands[band], bands[band + 1]
        y0 = y_before[start]
        y1 = min(y0 + 1, rows - 1)
        best = np.zeros((stop - start, labels.shape[1]), np.float32)
        samples = np.empty((2, labels.shape[1]), np.float32)
        labels[start:stop] = 0
        for k in range(planes.shape[0]):
            left, right = x_range[k]
            if y1 < box[k, 1] or y0 >= box[k, 3] or left >= right:
                continue
            top, bottom = samples[0, left:right], samples[1, left:right]
            _across(planes[k, y0], x_before[left:right], x_weight[left:right], top, cols - 1)
            _across(planes[k, y1], x_before[left:right], x_weight[left:right], bottom, cols - 1)
            for y in range(start, stop):
                _raise(top, bottom, y_weight[y], k + 1, best[y - start, left:right], labels[y, left:right])


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
    bands = np.concatenate([np.flatnonzero(np.diff(y_before, prepend=-1)), [labels.shape[0]]])
    x_range = np.searchsorted(x_before, np.stack([box[:, 0] - 1, box[:, 2]], axis=1))
    _draw_bands(planes, box, bands, rows, cols, y_before, y_weight, x_before, x_weight, x_range, labels)


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
