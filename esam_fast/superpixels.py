"""Superpixels on the mask grid: the density of Eq. 3, centroids, and the features that Eq. 7 compares."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from esam_fast.config import SuperpixelConfig
from esam_fast.masks import Float, Int, MaskGrid, PackedMasks
from esam_fast.ops import felzenszwalb


@dataclass(frozen=True)
class Superpixels:
    """The superpixels that are present on a grid, numbered 0..K-1 in the order of the image's label map.

    Attributes:
        labels: int32 [h, w] on the grid; -1 outside content.
        sizes: int64 [K], grid pixels.
        density: float64 [h, w], w_k = exp(-|S_k| / mean|S|) (Eq. 3), so that small superpixels are dense; 0
            outside content.
        centres: int64 [K], flat grid index of each superpixel's pixel nearest its centroid.
    """

    labels: NDArray[np.int32]
    sizes: Int
    density: NDArray[np.float64]
    centres: Int

    def __len__(self) -> int:
        return len(self.sizes)


def segment(image: NDArray[np.uint8], config: SuperpixelConfig, *, backend: str | None = None) -> NDArray[np.int32]:
    """Superpixel label map int32 [h, w] of an image [H, W, 3].

    A larger image is area-averaged to `config.max_side` first, so the map may be smaller than the image.

    Raises:
        ModuleNotFoundError: method "slic" without scikit-image.
    """
    height, width = image.shape[:2]
    s = config.max_side / max(height, width)
    if s < 1.0:
        size = max(1, int(width * s + 0.5)), max(1, int(height * s + 0.5))
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
    if config.method == "felzenszwalb":
        return felzenszwalb(image, config.scale, config.sigma, config.min_size, backend=backend)
    from skimage.segmentation import slic

    labels = slic(image, config.slic_segments, config.slic_compactness, start_label=0, channel_axis=-1)
    return labels.astype(np.int32)


def on_grid(labels: NDArray[np.int32], grid: MaskGrid) -> Superpixels:
    """A label map [H', W'] brought to the grid by nearest sampling at grid pixel centres."""
    height, width = labels.shape
    row = np.floor((np.arange(grid.rows) + 0.5) * height / grid.content_height).astype(np.int64)
    col = np.floor((np.arange(grid.cols) + 0.5) * width / grid.content_width).astype(np.int64)
    sampled = labels[np.minimum(row, height - 1)[:, None], np.minimum(col, width - 1)]
    present, inverse = np.unique(sampled, return_inverse=True)
    placed = np.full(grid.shape, -1, np.int32)
    placed[: grid.rows, : grid.cols] = inverse.reshape(sampled.shape)
    sizes = np.bincount(inverse.ravel(), minlength=len(present)).astype(np.int64)
    weights = np.append(np.exp(-sizes / (sizes.sum() / len(sizes))), 0.0)  # the last one is for label -1
    density = weights[placed]
    return Superpixels(placed, sizes, density, label_centres(placed, len(present)))


def label_centres(labels: NDArray[np.int32], n: int) -> Int:
    """Flat index of the pixel nearest each label's centroid, labels 0..n-1: int64 [n], -1 where absent.

    It minimises n (y^2 + x^2) - 2 (y sum y + x sum x) in int64, which is that distance but for a factor and a summand
    of the label's own; first in raster order.
    """
    flat = np.flatnonzero(labels.ravel() >= 0)
    label = labels.ravel()[flat].astype(np.int64)
    y, x = np.divmod(flat, labels.shape[1])
    count = np.bincount(label, minlength=n).astype(np.int64)
    sum_y = np.zeros(n, np.int64)
    sum_x = np.zeros(n, np.int64)
    np.add.at(sum_y, label, y)
    np.add.at(sum_x, label, x)
    distance = count[label] * (y * y + x * x) - 2 * (y * sum_y[label] + x * sum_x[label])
    order = np.lexsort((flat, distance, label))
    found, first = np.unique(label[order], return_index=True)
    centres = np.full(n, -1, np.int64)
    centres[found] = flat[order][first]
    return centres


def mask_centre(masks: PackedMasks, i: int) -> int:
    """The pixel of mask `i` nearest its centroid, as flat grid index (see `label_centres`)."""
    pixels = masks.pixels(i)
    y, x = np.divmod(pixels, masks.shape[1])
    n = len(pixels)
    return int(pixels[np.argmin(n * (y * y + x * x) - 2 * (y * y.sum() + x * x.sum()))])


def features_at(features: Float, pixels: Int, grid: MaskGrid) -> Float:
    """Bilinear samples of an embedding [C, fh, fw] (content only) at grid pixels [N]: float32 [N, C]."""
    _, fh, fw = features.shape
    row, col = np.divmod(pixels, grid.width)
    y = np.clip((row + 0.5) / grid.content_height * fh - 0.5, 0, fh - 1)
    x = np.clip((col + 0.5) / grid.content_width * fw - 0.5, 0, fw - 1)
    y0, x0 = y.astype(np.int64), x.astype(np.int64)
    y1, x1 = np.minimum(y0 + 1, fh - 1), np.minimum(x0 + 1, fw - 1)
    wy, wx = (y - y0).astype(np.float32), (x - x0).astype(np.float32)
    top = features[:, y0, x0] * (1 - wx) + features[:, y0, x1] * wx
    bottom = features[:, y1, x0] * (1 - wx) + features[:, y1, x1] * wx
    return np.ascontiguousarray((top * (1 - wy) + bottom * wy).T)
