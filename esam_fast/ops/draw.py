"""Drawing at full resolution."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from esam_fast import _arrays, _check
from esam_fast._arrays import Array
from esam_fast._backend import run
from esam_fast._limits import MAX_LABELS
from esam_fast.masks import Int, MaskGrid
from esam_fast.ops.packing import pack_logits


def draw_labels(planes: Array, grid: MaskGrid, *, backend: str | None = None) -> Array:
    """Give each image pixel to the plane with the largest positive bilinear sample.

    Samples lie at half-pixel centres and use content only; blending is vertical first, in float32 without fused
    multiply-add.

    Args:
        planes: [K, h, w] float32, finite, one logit plane an entity, on `grid`; NumPy or a torch tensor.
        grid: where the planes lie over the image.
        backend: "native", "cuda", "numba", "torch", or None for the best one for where the planes live.

    Returns:
        [H, W] int32: k + 1 for plane k (ties: the lower k), 0 where no sample is positive; where the planes live.

    Raises:
        TypeError: wrong dtype. ValueError: wrong shape or range; the message names the argument.
        BackendUnavailable: a backend asked for by name is not here.
    """
    if not isinstance(grid, MaskGrid):
        raise TypeError(f"grid must be a MaskGrid, got {type(grid).__name__}")
    planes = _check.finite_array_or_tensor("planes", planes, ("K", *grid.shape))
    positive, _ = pack_logits(planes, grid.rows, grid.cols, backend=backend)
    labels = _arrays.empty(planes, (grid.image_height, grid.image_width), np.int32)
    content = grid.rows, grid.cols, grid.content_height, grid.content_width
    run("draw.draw_labels", backend, planes, positive.box, *content, out=(labels,))
    return labels


def measure_labels(labels: Array, n: int, *, backend: str | None = None) -> tuple[Int, NDArray[np.int32]]:
    """Area and box of each label of a map.

    Args:
        labels: [H, W] int32, NumPy or a torch tensor; values outside 1..n are ignored.
        n: number of labels, 0 to 2 ** 26.
        backend: see `draw_labels`.

    Returns:
        area [n] int64 and box [n, 4] int32, x0 y0 x1 y1, half-open (0 0 0 0 where the label is absent).

    Raises:
        TypeError, ValueError, BackendUnavailable: see `draw_labels`.
    """
    labels = _check.array_or_tensor("labels", labels, np.int32, ("H", "W"))
    n = _check.integer("n", n, 0, MAX_LABELS)
    area, box = np.empty(n, np.int64), np.empty((n, 4), np.int32)
    run("draw.measure_labels", backend, labels, out=(area, box))
    return area, box
