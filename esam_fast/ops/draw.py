"""Drawing at full resolution."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from esam_fast import _check
from esam_fast._backend import kernel
from esam_fast.masks import Float, MaskGrid
from esam_fast.ops.packing import pack_logits


def draw_labels(planes: Float, grid: MaskGrid, *, backend: str | None = None) -> NDArray[np.int32]:
    """Give each image pixel to the plane with the largest positive bilinear sample.

    Samples lie at half-pixel centres and use content only; blending is vertical first, in float32 without fused
    multiply-add.

    Args:
        planes: [K, h, w] float32, finite, one logit plane an entity, on `grid`.
        grid: where the planes lie over the image.
        backend: "native", "cuda", "numba", or None for the best one here.

    Returns:
        [H, W] int32: k + 1 for plane k (ties: the lower k), 0 where no sample is positive.

    Raises:
        TypeError: wrong dtype. ValueError: wrong shape or range; the message names the argument.
        BackendUnavailable: a backend asked for by name is not here.
    """
    if not isinstance(grid, MaskGrid):
        raise TypeError(f"grid must be a MaskGrid, got {type(grid).__name__}")
    planes = _check.finite("planes", planes, ("K", *grid.shape))
    positive, _ = pack_logits(planes, grid.rows, grid.cols, backend=backend)
    labels = np.empty((grid.image_height, grid.image_width), np.int32)
    kernel("draw_labels", backend)(
        planes, positive.box, grid.rows, grid.cols, grid.content_height, grid.content_width, labels
    )
    return labels
