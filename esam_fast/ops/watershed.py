"""Superpixels that end on contours."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from esam_fast import _check
from esam_fast._backend import on_host, run


def watershed(relief: NDArray[np.uint8], *, backend: str | None = None) -> NDArray[np.int32]:
    """Basins of a relief by flooding (Meyer 1991), in 4-neighbourhood and without lines between basins.

    Every regional minimum (a plateau none of whose neighbours is lower) is a basin. Its pixels give their basin to
    their unlabelled neighbours (up, left, right, down), which then do the same: lower pixels first, among equals
    those that came first. A pixel behind a higher one counts as high as that one.

    Args:
        relief: [h, w] uint8, at least 1 x 1.
        backend: "native", "cuda", "numba", or None for the best one here ("cuda" has no such kernel).

    Returns:
        [h, w] int32 labels 0..K-1 in raster order of the minima's first pixels.

    Raises:
        TypeError: wrong dtype. ValueError: wrong shape; the message names the argument.
        BackendUnavailable: a backend asked for by name is not here.
    """
    relief = _check.array("relief", relief, np.uint8, ("h", "w"))
    if 0 in relief.shape:
        raise ValueError(f"relief must have at least one pixel, got shape {list(relief.shape)}")
    labels = np.empty(relief.shape, np.int32)
    run("watershed.watershed", on_host(backend), relief, out=(labels,))
    return labels
