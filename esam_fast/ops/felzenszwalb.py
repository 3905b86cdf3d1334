"""Graph-based superpixels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from esam_fast import _check
from esam_fast._backend import on_host, run
from esam_fast._limits import MAX_FLOAT32, MAX_PLANE_PIXELS, MAX_SIGMA


def felzenszwalb(
    image: NDArray[np.uint8],
    scale: float = 100.0,
    sigma: float = 0.8,
    min_size: int = 50,
    *,
    backend: str | None = None,
) -> NDArray[np.int32]:
    """Superpixels by Felzenszwalb and Huttenlocher, IJCV 2004.

    Gaussian smoothing in float32, 8-neighbour edges weighted by the Euclidean distance of RGB in 0..255, sorted by
    weight and then edge index; two segments merge when the edge is no heavier than either's largest inner edge plus
    scale / size; segments under `min_size` are then absorbed along the same edges.

    Args:
        image: [h, w, 3] uint8, at least 1 x 1.
        scale: larger values prefer larger segments, at least 0.
        sigma: of the smoothing, in pixels, 0 (none) to 100.
        min_size: in pixels, at least 0.
        backend: "native", "cuda", "numba", or None for the best one here ("cuda" has no such kernel).

    Returns:
        [h, w] int32 labels 0..K-1 in raster order of first appearance.

    Raises:
        TypeError: wrong dtype. ValueError: wrong shape or range; the message names the argument.
        BackendUnavailable: a backend asked for by name is not here.
    """
    image = _check.array("image", image, np.uint8, ("h", "w", 3))
    if 0 in image.shape:
        raise ValueError(f"image must have at least one pixel, got shape {list(image.shape)}")
    scale = _check.at_least("scale", scale, 0, MAX_FLOAT32)
    sigma = _check.at_least("sigma", sigma, 0, MAX_SIGMA)
    min_size = _check.integer("min_size", min_size, 0, MAX_PLANE_PIXELS)
    labels = np.empty(image.shape[:2], np.int32)
    run("felzenszwalb.felzenszwalb", on_host(backend), image, scale, gaussian(sigma), min_size, out=(labels,))
    return labels


def gaussian(sigma: float) -> NDArray[np.float32]:
    """Normalised Gaussian weights out to int(4 sigma + 0.5) pixels: float32 [2 * radius + 1]."""
    radius = int(4 * sigma + 0.5)
    if radius == 0:
        return np.ones(1, np.float32)
    steps = np.arange(-radius, radius + 1, dtype=np.float64)
    weights = np.exp(-(steps * steps) / (2.0 * sigma * sigma))
    return (weights / weights.sum()).astype(np.float32)
