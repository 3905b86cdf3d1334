"""Mean of a plane over masks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from esam_fast import _check
from esam_fast._backend import resolve, run
from esam_fast.masks import PackedMasks, check_masks


def mask_mean(masks: PackedMasks, plane: NDArray[np.float64], *, backend: str | None = None) -> NDArray[np.float64]:
    """Mean of a plane over each mask's pixels: the density of a mask, given the density map (Eq. 3, Sec. 3.2).

    Args:
        masks: PackedMasks, N masks on one grid.
        plane: [h, w] float64.
        backend: "native", "cuda", "numba", "torch", or None for the best one for where the masks live; the masks of
            "torch" are brought to the host.

    Returns:
        [N] float64, summed in pixel order; 0 for an empty mask.

    Raises:
        TypeError: wrong dtype. ValueError: wrong shape; the message names the argument.
        BackendUnavailable: a backend asked for by name is not here.
    """
    check_masks("masks", masks)
    plane = _check.array("plane", plane, np.float64, masks.shape)
    out = np.empty(len(masks), np.float64)
    if resolve(backend, masks.words) == "torch":  # promises no order of a sum on any device
        backend, masks = None, masks.to(None)
    run("density.mask_mean", backend, masks.raw, plane.ravel(), out=(out,))
    return out
