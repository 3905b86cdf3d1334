"""Images too large to be looked at pixel by pixel, made smaller."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from esam_fast.images import TiffWindows

LARGE = 8192  # a side over which pictures are of the reduced image, pixels
SIDE = 4096  # its longer side then, at most

_BLOCK = 1 << 24  # pixels that are reduced at a time


def reduced(
    image: NDArray[np.uint8] | TiffWindows, labels: NDArray[np.int32]
) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """An image and its label map [H, W]; if a side is over LARGE, reduced by the least whole number to SIDE at most.

    The image is averaged, of the label map every n-th pixel is taken; rows and columns that are left over are dropped.
    """
    height, width = labels.shape
    down, across = _steps(height, width)
    if (down, across) == (1, 1):
        return image[:], labels
    rows, columns = height // down, width // across
    out = np.empty((rows, columns, 3), np.uint8)
    step = max(1, _BLOCK // (down * width))
    for top in range(0, rows, step):
        bottom = min(top + step, rows)
        strip = image[top * down : bottom * down, : columns * across]
        out[top:bottom] = cv2.resize(strip, (columns, bottom - top), interpolation=cv2.INTER_AREA)
    return out, fewer(labels)


def fewer(labels: NDArray[np.int32]) -> NDArray[np.int32]:
    """A label map as `reduced` gives it."""
    height, width = labels.shape
    down, across = _steps(height, width)
    if (down, across) == (1, 1):
        return labels
    return np.ascontiguousarray(labels[down // 2 :: down, across // 2 :: across][: height // down, : width // across])


def _steps(height: int, width: int) -> tuple[int, int]:
    """Rows and columns that become one."""
    if max(height, width) <= LARGE:
        return 1, 1
    n = -(-max(height, width) // SIDE)
    return min(n, height), min(n, width)
